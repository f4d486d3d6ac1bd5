/** The last notifications: those sent from here, and those received, with the way to their traces. */

import type { Notification } from '../api';
import type { Feed } from '../feed';
import { clock } from '../format';
import { jsonParts } from '../Json';
import type { Settings } from '../settings';
import { TraceLink } from '../TraceLink';

export interface Sent extends Notification {
  id: string;
  traceId?: string;
  /** Unix ms. */
  at: number;
}

const SHOWN = 25;

interface Row {
  key: string;
  way: 'sent' | 'received';
  at: number;
  destination: string;
  body: string;
  traceId?: string;
}

export function Recent({ settings, feed, sent }: { settings: Settings; feed: Feed; sent: Sent[] }) {
  const rows: Row[] = [
    ...sent.map(({ id, destination, user, payload, at, traceId }) => ({
      key: `sent ${id}`,
      way: 'sent' as const,
      at,
      destination: user ? `${destination} to ${user}` : destination,
      body: payload,
      traceId,
    })),
    ...feed.entries.slice(0, SHOWN).map(({ key, destination, body, at, traceId }) => ({
      key: `received ${key}`,
      way: 'received' as const,
      at,
      destination,
      body: body.kind === 'empty' ? '(empty)' : body.text,
      traceId,
    })),
  ];
  rows.sort((a, b) => b.at - a.at);
  return (
    <section className="card half" aria-labelledby="recent-title">
      <div className="head">
        <h2 id="recent-title">Last notifications</h2>
        <span className="count">sent from here, or received</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table tall" aria-label="Table of notifications" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">What</th>
              <th scope="col">Trace</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map(({ key, way, at, destination, body, traceId }) => (
              <tr key={key}>
                <td data-label="When">
                  <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>
                  <br />
                  <span className="muted">{way}</span>
                </td>
                <td data-label="What">
                  <span className="tag">{destination}</span>
                  <code className="clip">{jsonParts(body.slice(0, 200))}</code>
                </td>
                <td data-label="Trace" className="trace">
                  {traceId ? (
                    <TraceLink settings={settings} traceId={traceId} />
                  ) : (
                    <span className="muted">not sampled</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p className="empty">Nothing yet. Send something.</p>}
      </section>
    </section>
  );
}
