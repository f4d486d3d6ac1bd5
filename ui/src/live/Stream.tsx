/** What has arrived, newest first: paused and filtered by whoever reads. */

import { Button, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Entry, Feed } from '../feed';
import type { Settings } from '../settings';
import { Item } from './Item';

interface Props {
  settings: Settings;
  feed: Feed;
}

const EVERY = '';

export function Stream({ settings, feed }: Props) {
  const [paused, setPaused] = useState<{ entries: Entry[]; received: number }>();
  const [destination, setDestination] = useState(EVERY);
  const [words, setWords] = useState('');
  const clear = () => {
    feed.clear();
    setPaused(undefined);
  };
  const all = paused?.entries ?? feed.entries;
  const entries = all.filter((entry) => fits(entry, destination, words));
  const seen = [...new Set(all.map((entry) => entry.destination))].sort();
  const newer = paused ? feed.received - paused.received : 0;
  return (
    <>
      <div className="row tools">
        <NativeSelect
          size="xs"
          aria-label="Show only this destination"
          value={destination}
          onChange={(event) => setDestination(event.currentTarget.value)}
          data={[
            { value: EVERY, label: 'All destinations' },
            ...(destination && !seen.includes(destination) ? [destination, ...seen] : seen),
          ]}
        />
        <TextInput
          className="grow"
          size="xs"
          type="search"
          aria-label="Show only what has this text"
          placeholder="Filter by text"
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          spellCheck={false}
          autoComplete="off"
        />
        <Button
          variant="default"
          size="xs"
          aria-pressed={paused !== undefined}
          onClick={() => setPaused(paused ? undefined : { entries: feed.entries, received: feed.received })}
        >
          {paused ? 'Go on' : 'Pause'}
        </Button>
        <Button variant="default" size="xs" onClick={clear}>
          Clear
        </Button>
      </div>
      {paused && (
        <p className="paused" role="status">
          Paused{newer > 0 && `: ${newer.toLocaleString()} more have come`}.
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <div className="scroll" role="log" aria-label="Notifications, newest first" tabIndex={0}>
        <ol className="stream" id="stream">
          {entries.map((entry) => (
            <Item key={entry.key} entry={entry} settings={settings} />
          ))}
        </ol>
        {entries.length === 0 && (
          <p className="empty">
            {all.length === 0
              ? 'Nothing yet. Publish something, or wait for it.'
              : `Nothing of the ${all.length.toLocaleString()} here fits.`}
          </p>
        )}
      </div>
    </>
  );
}

/** Whether a notification is one of those asked for: of this destination, with these words in its body or destination. */
export function fits(entry: Entry, destination: string, words: string): boolean {
  if (destination !== EVERY && entry.destination !== destination) return false;
  const wanted = words.trim().toLowerCase();
  return [entry.body.text, entry.destination].some((text) => text.toLowerCase().includes(wanted));
}
