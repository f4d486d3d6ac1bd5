/** The instances of the cluster: what each says it holds, and its rates and memory from its own metrics. */

import { useEffect, useRef, useState } from 'react';
import type { Instances as Cluster, InstanceDescription } from '../api';
import { bytes, clock, rate } from '../format';
import type { Seen } from '../meter';

const COLUMNS = ['Users', 'Sessions', 'Out', 'Waiting', 'Memory'];

/** How long an instance that is gone stays in the table, in ms. */
const REMEMBERED = 10 * 60_000;

interface Gone extends InstanceDescription {
  /** Unix ms. */
  at: number;
}

/** The instances that were there and are not any more, newest first. One that comes back under its name is another. */
function useGone(cluster?: Cluster): Gone[] {
  const before = useRef<InstanceDescription[]>([]);
  const [gone, setGone] = useState<Gone[]>([]);
  useEffect(() => {
    if (!cluster) return;
    const live = new Set(cluster.instances.map(({ id }) => id));
    const at = Date.now();
    const left = before.current.filter(({ id }) => !live.has(id)).map((one) => ({ ...one, at }));
    before.current = cluster.instances;
    setGone((all) => [...left, ...all.filter((one) => at - one.at < REMEMBERED && !live.has(one.id))].slice(0, 20));
  }, [cluster]);
  return gone;
}

export function Instances({ cluster, seen }: { cluster?: Cluster; seen: Seen[] }) {
  const gone = useGone(cluster);
  const silent = new Set(cluster?.silent);
  const metered = new Map(seen.map((one) => [one.instance, one]));
  return (
    <section className="card half" aria-labelledby="instances-title">
      <div className="head">
        <h2 id="instances-title">Instances</h2>
        <span className="count">{cluster && `${cluster.instances.length} live`}</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table" aria-label="Table of instances" tabIndex={0}>
        <table id="instances">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              {COLUMNS.map((column) => (
                <th key={column} scope="col" className="number">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {cluster?.instances.map(({ id, name, own, version, users, sessions, outbox_bytes }) => (
              <tr key={id}>
                <th scope="row" title={`${id}${version ? `, Herald ${version}` : ''}`}>
                  {name}
                </th>
                <td data-label="State">
                  <State silent={silent.has(name)} busConnected={metered.get(name)?.busConnected} />
                  {own && <span className="muted"> answers</span>}
                </td>
                <td className="number" data-label="Users">
                  {users}
                </td>
                <td className="number" data-label="Sessions">
                  {sessions ?? '–'}
                </td>
                <td className="number" data-label="Out">
                  {rate(metered.get(name)?.outRate)}
                </td>
                <td className="number" data-label="Waiting">
                  {outbox_bytes === undefined ? '–' : bytes(outbox_bytes)}
                </td>
                <td className="number" data-label="Memory">
                  {metered.has(name) ? bytes(metered.get(name)?.residentBytes ?? 0) : '–'}
                </td>
              </tr>
            ))}
            {gone.map(({ id, name, at }) => (
              <tr key={id} className="gone">
                <th scope="row" title={id}>
                  {name}
                </th>
                <td colSpan={COLUMNS.length + 1} data-label="State">
                  <span className="pill" data-kind="bad">
                    gone
                  </span>{' '}
                  <time dateTime={new Date(at).toISOString()}>{clock(at).slice(0, 8)}</time>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function State({ silent, busConnected = true }: { silent: boolean; busConnected?: boolean }) {
  const [words, kind] = silent ? ['silent', 'bad'] : busConnected ? ['serving', undefined] : ['without bus', 'wait'];
  return (
    <span className="pill" data-kind={kind}>
      {words}
    </span>
  );
}
