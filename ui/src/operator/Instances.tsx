/** The instances of the cluster, by what their own metrics say. */

import { bytes, rate } from '../format';
import type { Seen } from '../meter';

/** A scrape older than this is called so. */
const QUIET_S = 8;

export function Instances({ seen }: { seen: Seen[] }) {
  const now = Date.now() / 1000;
  return (
    <section className="card half" aria-labelledby="instances-title">
      <div className="head">
        <h2 id="instances-title">Instances</h2>
        <span className="count">as each answers /metrics</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table" aria-label="Instances" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              <th scope="col" className="number">
                Sessions
              </th>
              <th scope="col" className="number">
                Out
              </th>
              <th scope="col" className="number">
                Waiting
              </th>
              <th scope="col" className="number">
                Memory
              </th>
            </tr>
          </thead>
          <tbody>
            {seen.map(({ instance, version, at, sessions, outRate, outboxBytes, residentBytes, busConnected }) => (
              <tr key={instance}>
                <th scope="row" title={`Herald ${version}`}>
                  {instance}
                </th>
                <td>
                  {now - at > QUIET_S ? (
                    <span className="pill" data-kind="wait">
                      not heard for {Math.round(now - at)} s
                    </span>
                  ) : busConnected ? (
                    <span className="pill">serving</span>
                  ) : (
                    <span className="pill" data-kind="bad">
                      without bus
                    </span>
                  )}
                </td>
                <td className="number">{sessions}</td>
                <td className="number">{rate(outRate)}</td>
                <td className="number">{bytes(outboxBytes)}</td>
                <td className="number">{bytes(residentBytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}
