/** What the last loss of the connection has cost: nothing, or a gap. */

import { type Gap, type Returned, useHerald } from '@herald/react';

/** A line on what came to `destinations` while the connection was away, until it is lost again. */
export function Away({ destinations }: { destinations: readonly string[] }) {
  const { returned } = useHerald();
  // The page's own lists are asked for anew at each connect.
  const gaps = returned?.gaps.filter(({ destination }) => destinations.includes(destination)) ?? [];
  return (
    <p className="away" id="away" role="status" data-gap={gaps.length > 0 || undefined}>
      {returned && awayWords({ ...returned, gaps })}
    </p>
  );
}

/** In words for people. */
export function awayWords({ awayMs, missed, gaps, complete }: Returned): string {
  const away = `while away (${(awayMs / 1000).toFixed(1)} s)`;
  if (gaps.length > 0) return [...groups(gaps)].map(([reason, where]) => gapWords(reason, where, away)).join(' ');
  if (missed === 0) return `Nothing missed ${away}.`;
  const count = `${missed.toLocaleString()} missed ${away}`;
  return complete ? `${count}, all here.` : `${count}, on their way …`;
}

function gapWords(reason: string, destinations: string[], away: string): string {
  return `Gap: reload what depends on ${destinations.join(', ')}. What came there ${away} is not here: ${why(reason)}.`;
}

function groups(gaps: readonly Gap[]): Map<string, string[]> {
  const byReason = new Map<string, string[]>();
  for (const { destination, reason } of gaps) byReason.set(reason, [...(byReason.get(reason) ?? []), destination]);
  return byReason;
}

function why(reason: string): string {
  switch (reason) {
    case 'epoch-changed':
      return 'Herald has restarted, and its history with it';
    case 'position-expired':
      return 'the history does not reach back so far';
    case 'too-many':
      return 'it was more than a resume may replay';
    case 'history-off':
      return 'Herald keeps no history of it';
    case 'unavailable':
      return 'the history cannot be read now';
    default:
      return reason;
  }
}
