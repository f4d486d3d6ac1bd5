/** What Herald says of a notification's reach, in rows for people. Knows no component. */

import type { Explanation } from '../api';

export interface Row {
  key: string;
  user: string;
  instance: string;
  reached: boolean;
  words: string;
}

const WAYS: Record<string, string> = {
  at_once: 'at once',
  queued: 'behind what waits for a slow reader',
  held: 'when earlier ones are acknowledged',
};

/** The reached first. */
export function rowsOf({ reached, missed }: Explanation): Row[] {
  return [
    ...reached.map(({ session, user, instance, subscription = '', way }) => ({
      key: `${session} ${subscription}`,
      user,
      instance,
      reached: true,
      words: WAYS[way] ?? way,
    })),
    ...missed.map(({ session, user, instance, why }) => ({ key: session, user, instance, reached: false, words: why })),
  ];
}
