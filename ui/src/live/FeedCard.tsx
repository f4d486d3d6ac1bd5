/** Subscriptions, and what arrives by them. */

import { useSubscription } from '@herald/react';
import { Button, TextInput } from '@mantine/core';
import { type FormEvent, useEffect, useState } from 'react';
import type { Feed } from '../feed';
import { clock } from '../format';
import { Json } from '../Json';
import type { Settings } from '../settings';
import { TraceLink } from '../TraceLink';
import { Away } from './Away';

interface Props {
  settings: Settings;
  feed: Feed;
  onError: (words: string) => void;
}

export function FeedCard({ settings, feed, onError }: Props) {
  const { userPrefix, broadcastPrefix } = settings;
  const [destinations, setDestinations] = useState([
    `${broadcastPrefix}/message`,
    `${userPrefix}${broadcastPrefix}/orders`,
  ]);
  const add = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const wanted = `${new FormData(form).get('destination')}`.trim();
    if (wanted) setDestinations((all) => (all.includes(wanted) ? all : [...all, wanted]));
    form.reset();
  };
  const remove = (gone: string) => setDestinations((all) => all.filter((destination) => destination !== gone));
  return (
    <section className="card" aria-labelledby="live-title">
      <div className="head">
        <h2 id="live-title">Notifications</h2>
        <span className="count">
          {feed.received.toLocaleString()} received{' '}
          <Button variant="subtle" size="compact-xs" onClick={feed.clear}>
            Clear
          </Button>
        </span>
      </div>
      <form className="row" onSubmit={add}>
        <TextInput
          className="grow"
          name="destination"
          aria-label="Destination to subscribe to"
          placeholder={`${broadcastPrefix}/… or ${userPrefix}${broadcastPrefix}/…`}
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
      <ul className="chips" id="subscriptions" aria-label="Subscriptions">
        {destinations.map((destination) => (
          <Listener
            key={destination}
            destination={destination}
            own={destination.startsWith(`${userPrefix}/`)}
            feed={feed}
            onRemove={() => remove(destination)}
            onRefused={(reason) => {
              remove(destination);
              onError(reason);
            }}
          />
        ))}
      </ul>
      <Away destinations={destinations} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <div className="scroll" role="log" aria-label="Notifications, newest first" tabIndex={0}>
        <ol className="stream" id="stream">
          {feed.entries.map(({ key, destination, at, body, cut, traceId }) => (
            <li key={key}>
              <div className="meta">
                <span className="tag" data-own={destination.startsWith(`${userPrefix}/`) || undefined}>
                  {destination}
                </span>
                <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>
                {traceId && <TraceLink settings={settings} traceId={traceId} />}
              </div>
              <Json text={cut ? `${body} … (cut here)` : body} />
            </li>
          ))}
        </ol>
        {feed.entries.length === 0 && <p className="empty">Nothing yet. Publish something, or wait for it.</p>}
      </div>
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
