/** Where to connect, and as whom. Knows no connection. */

import type { StompHeaders } from '@stomp/stompjs';
import type { Backoff } from './backoff.js';
import type { Returned } from './returning.js';
import type { Gap } from './subscription.js';

export interface HeraldOptions {
  /** Such as `wss://example.com/ws`. */
  url: string;
  user?: string;
  password?: string;
  /**
   * In place of user and password: asked before each attempt; if it fails, the attempt has failed. Asked again before a session
   * ends, which is then renewed in the same connection. Blanks and line breaks around the token are cut off.
   */
  getToken?: () => string | Promise<string>;
  /** Something may have been missed, and will not come: load the state anew. Once for each destination. */
  onGap?: (gap: Gap) => void;
  /** The connection is back after a loss, and every subscription with it. What was missed follows. */
  onReconnect?: (returned: Returned) => void;
  /**
   * How long a subscription resumes: as long as the page lives (`memory`, the default), or also when it is loaded anew in the
   * same tab (`session`), for pages that do not load their whole state then.
   */
  resume?: 'memory' | 'session';
  backoff?: Backoff;
  /** From the opening of the socket to CONNECTED, and for `getToken`; default 10,000. */
  connectTimeoutMs?: number;
  /** Default 10,000. */
  heartbeatMs?: number;
  /** Opens the socket; default: the browser's own. For programs outside browsers, and for tests. */
  webSocket?: (url: string, protocols: string[]) => WebSocket;
}

/** Headers of CONNECT. */
export async function connectHeaders(options: HeraldOptions): Promise<StompHeaders> {
  const { user, password, getToken, connectTimeoutMs = 10_000 } = options;
  if (getToken) return { Authorization: `Bearer ${tokenOf(await inTime(getToken, connectTimeoutMs))}` };
  return { ...(user !== undefined && { login: user }), ...(password !== undefined && { passcode: password }) };
}

/**
 * The token in what `getToken` returned. A text from a server often ends with a line break; any other character that a header cannot
 * carry means that it is no token, such as a page of HTML. The error names the character and never the text.
 */
function tokenOf(text: unknown): string {
  if (typeof text !== 'string')
    throw new Error(`getToken returned ${text === null ? 'null' : typeof text}, not a string`);
  const token = text.trim();
  if (token === '') throw new Error('getToken returned an empty string');
  const at = token.search(/[^\x21-\x7e]/);
  if (at < 0) return token;
  const code = token.codePointAt(at)?.toString(16).toUpperCase().padStart(4, '0');
  throw new Error(`getToken returned no token: character ${at + 1} of it is U+${code}`);
}

/** Whether there is something to present again when a session has ended. */
export function hasCredentials({ getToken, password }: HeraldOptions): boolean {
  return getToken !== undefined || password !== undefined;
}

/** What `ask` gives, unless it takes too long. */
async function inTime<T>(ask: () => T | Promise<T>, timeoutMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([ask(), late]);
  } finally {
    clearTimeout(timer);
  }
}
