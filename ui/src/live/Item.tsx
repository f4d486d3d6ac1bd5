/** One notification as it came: its body readable, the rest of it on demand. */

import { Button } from '@mantine/core';
import { memo, useState } from 'react';
import { fold } from '../body';
import type { Entry } from '../feed';
import { bytes, clock } from '../format';
import { Json } from '../Json';
import type { Settings } from '../settings';
import { TraceLink } from '../TraceLink';

interface Props {
  entry: Entry;
  settings: Settings;
}

export const Item = memo(function Item({ entry, settings }: Props) {
  const { destination, at, body, traceId, headers } = entry;
  return (
    <li>
      <div className="meta">
        <span className="tag" data-own={destination.startsWith(`${settings.userPrefix}/`) || undefined}>
          {destination}
        </span>
        <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>
        {traceId && <TraceLink settings={settings} traceId={traceId} />}
      </div>
      {body.kind === 'empty' ? <p className="empty-body">Empty body.</p> : <Text entry={entry} />}
      <details className="more">
        <summary>
          {bytes(body.size)}
          {headers['content-type'] && (
            <>
              , <bdi>{headers['content-type']}</bdi>
            </>
          )}
          {body.kind === 'bytes' && ', no text: in hexadecimal'}
        </summary>
        <dl className="headers">
          {Object.entries(headers).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
    </li>
  );
});

function Text({ entry: { body } }: { entry: Entry }) {
  const [whole, setWhole] = useState(false);
  const { text, cut } = body;
  const folded = fold(text);
  const shown = folded && !whole ? folded.start : text;
  return (
    <>
      <Json text={cut && shown === text ? `${text} … (cut here)` : shown} />
      {folded && (
        <Button variant="subtle" size="compact-xs" onClick={() => setWhole(!whole)} aria-expanded={whole}>
          {whole ? 'Show less' : `Show all${folded.lines > 1 ? ` ${folded.lines.toLocaleString()} lines` : ''}`}
        </Button>
      )}
    </>
  );
}
