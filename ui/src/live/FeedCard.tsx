/** Subscriptions, and what arrives by them. */

import { useSubscription } from '@herald/react';
import { Button, TextInput } from '@mantine/core';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import type { Feed } from '../feed';
import type { Settings } from '../settings';
import { Away } from './Away';
import { NamesUser } from './NamesUser';
import { Stream } from './Stream';

interface Props {
  settings: Settings;
  user: string;
  feed: Feed;
  onError: (words: string) => void;
}

export function FeedCard({ settings, user, feed, onError }: Props) {
  const { userPrefix, broadcastPrefix, broadcastPrefixes } = settings;
  // Where the first commands of the documentation publish.
  const [destinations, setDestinations] = useState([
    `${broadcastPrefix}/message`,
    ...(broadcastPrefixes.includes('/topic') ? ['/topic/news'] : []),
    `${userPrefix}${broadcastPrefix}/orders`,
  ]);
  const [wanted, setWanted] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const add = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const destination = wanted.trim();
    if (destination) setDestinations((all) => (all.includes(destination) ? all : [...all, destination]));
    setWanted('');
  };
  const remove = (gone: string) => setDestinations((all) => all.filter((destination) => destination !== gone));
  /** The focus goes on to the next chip, or to the field: what had it is gone. */
  const unsubscribe = (gone: string) => {
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const at = destinations.indexOf(gone);
    (buttons[at + 1] ?? buttons[at - 1] ?? field.current)?.focus();
    remove(gone);
  };
  return (
    <section className="card" aria-labelledby="live-title">
      <div className="head">
        <h2 id="live-title">Notifications</h2>
        <span className="count">{feed.received.toLocaleString()} received</span>
      </div>
      <form className="row" onSubmit={add}>
        <TextInput
          ref={field}
          className="grow"
          name="destination"
          aria-label="Destination to subscribe to"
          placeholder={`${broadcastPrefix}/… or ${userPrefix}/…`}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
          spellCheck={false}
          autoCapitalize="none"
          autoComplete="off"
          maxLength={1024}
          required
          autoFocus
        />
        <Button type="submit" variant="light">
          Subscribe
        </Button>
      </form>
      <NamesUser settings={settings} user={user} destinations={[wanted, ...destinations]} />
      <ul className="chips" id="subscriptions" aria-label="Subscriptions" ref={list}>
        {destinations.map((destination) => (
          <Listener
            key={destination}
            destination={destination}
            own={destination.startsWith(`${userPrefix}/`)}
            feed={feed}
            onRemove={() => unsubscribe(destination)}
            onRefused={(reason) => {
              remove(destination);
              onError(reason);
            }}
          />
        ))}
      </ul>
      <Away destinations={destinations} />
      <Stream settings={settings} feed={feed} />
    </section>
  );
}

interface ListenerProps {
  destination: string;
  own: boolean;
  feed: Feed;
  onRemove: () => void;
  onRefused: (reason: string) => void;
}

/** One subscription: as long as its chip stands. One's own notifications are acknowledged: their trace ends here. */
function Listener({ destination, own, feed, onRemove, onRefused }: ListenerProps) {
  const { joined, refused } = useSubscription(
    destination,
    (message) => {
      feed.add(message);
      if (message.headers.ack) message.ack();
    },
    own ? { headers: { ack: 'client-individual' } } : {},
  );
  useEffect(() => {
    if (refused) onRefused(refused);
  });
  return (
    <li data-own={own || undefined}>
      <span>{joined ? destination : `${destination} …`}</span>
      <button type="button" aria-label={`Unsubscribe from ${destination}`} onClick={onRemove}>
        ×
      </button>
    </li>
  );
}
