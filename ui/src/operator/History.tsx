/** What history does: how far each instance is, what it keeps in memory, what the streams hold, and how those who came back fared. */

import { bytes } from '../format';
import type { Seen } from '../meter';

const COLUMNS = ['Head', 'Lag', 'In memory', 'Bytes', 'Stored'];

export function History({ seen }: { seen: Seen[] }) {
  const resumes = new Map<string, number>();
  for (const { history } of seen) {
    for (const [outcome, count] of history.resumes) resumes.set(outcome, (resumes.get(outcome) ?? 0) + count);
  }
  return (
    <section className="card" aria-labelledby="history-title">
      <div className="head">
        <h2 id="history-title">History</h2>
        <span className="count" id="resumes">
          {resumeWords(resumes)}
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table" aria-label="Table of what history keeps" tabIndex={0}>
        <table id="history">
          <thead>
            <tr>
              <th scope="col">Instance</th>
              <th scope="col">Kind</th>
              {COLUMNS.map((column) => (
                <th key={column} scope="col" className="number">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {seen.flatMap(({ instance, history }) =>
              history.kinds.map(({ kind, head, lag, messages, storedBytes, streamBytes, streamBytesMax }) => (
                <tr key={`${instance} ${kind}`}>
                  <th scope="row">{instance}</th>
                  <td data-label="Kind">{kind}</td>
                  <td className="number" data-label="Head">
                    {head?.toLocaleString() ?? '–'}
                  </td>
                  <td className="number" data-label="Lag">
                    {lag?.toLocaleString() ?? '–'}
                  </td>
                  <td className="number" data-label="In memory">
                    {messages.toLocaleString()}
                  </td>
                  <td className="number" data-label="Bytes">
                    {bytes(storedBytes)}
                  </td>
                  <td className="number" data-label="Stored">
                    {storedWords(streamBytes, streamBytesMax)}
                  </td>
                </tr>
              )),
            )}
          </tbody>
        </table>
      </section>
    </section>
  );
}

/** Such as "1.5 MiB of 1 GiB". Where there is no stream, a dash. */
export function storedWords(stored: number | undefined, most: number | undefined): string {
  if (stored === undefined) return '–';
  return most ? `${bytes(stored)} of ${bytes(most)}` : bytes(stored);
}

/** Such as "3 resumes: 2 recovered, 1 too-many". */
export function resumeWords(resumes: Map<string, number>): string {
  const all = [...resumes].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  const parts = all.map(([outcome, count]) => `${count.toLocaleString()} ${outcome}`);
  return `${total.toLocaleString()} resume${total === 1 ? '' : 's'}${parts.length ? `: ${parts.join(', ')}` : ''}`;
}
