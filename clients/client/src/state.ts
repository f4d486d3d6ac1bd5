/** What a page shows of a connection. */

import type { Returned } from './returning.js';

/** Where the connection stands. */
export type HeraldStatus =
  /** Never started, or ended by `stop`. */
  | 'idle'
  /** The first attempt is under way. */
  | 'connecting'
  | 'connected'
  /** Lost; the next attempt is under way or waits for `retryAt`. */
  | 'reconnecting'
  /** Ended for good: `problem` says why. */
  | 'ended';

/** A new object at each change. */
export interface HeraldState {
  status: HeraldStatus;
  /** Name of the instance that holds, or held last, the session (CONNECTED's `instance`). */
  instance?: string;
  session?: string;
  /** Who Herald says this is (CONNECTED's `user-name`): with a token, nobody else in the page knows. */
  user?: string;
  /** Failed attempts since the last CONNECTED. */
  attempt: number;
  /** When the next attempt is made (Unix ms), while one waits. */
  retryAt?: number;
  /** The last close code. */
  code?: number;
  /** Why the connection was lost, ended, or a destination refused, in words. */
  problem?: string;
  /** Destinations whose RECEIPT has come: what is sent from now on arrives. */
  joined: readonly string[];
  /** What the last reconnect has brought back, once every subscription has its answer. */
  returned?: Returned;
}

export const INITIAL: HeraldState = { status: 'idle', attempt: 0, joined: [] };
