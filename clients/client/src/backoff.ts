/** How long to wait before the next attempt. Knows no connection and no clock. */

/** The bounds of {@link backoffDelayMs}. */
export interface Backoff {
  /** The wait before the first attempt is between `floorMs` and `floorMs + baseMs`. */
  baseMs: number;
  /** No wait is longer than `floorMs + capMs`. */
  capMs: number;
  /** No wait is shorter. */
  floorMs: number;
}

/** Back within a second of a failover, and at most two attempts a minute at a server that stays away. */
export const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 30_000, floorMs: 200 };

/**
 * Exponential back-off with full jitter: a random wait up to a ceiling that doubles with each failed attempt. Without
 * the randomness, all pages that an instance loses come back in the same instant, and again together after each failure.
 *
 * @param attempt 0 for the first attempt after a loss.
 * @param random gives numbers from 0 up to 1.
 */
export function backoffDelayMs(attempt: number, backoff: Backoff = DEFAULT_BACKOFF, random = Math.random): number {
  const ceiling = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return backoff.floorMs + random() * ceiling;
}
