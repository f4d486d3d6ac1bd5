/** What the end of a connection says: Herald's close codes and its last ERROR. Knows no connection. */

/** What a close code asks of a client. */
export type AfterClose =
  /** Come back by oneself, later. */
  | 'reconnect'
  /** Come back with a new token. */
  | 'token'
  /** This client did what it may not: the same again would end the same. */
  | 'fault'
  /** Somebody has to act first: other credentials, or a person's wish to be here and not in the newer session. */
  | 'final';

const FAULTS = new Set([1002, 1007, 1008, 1009]);
const FINALS = new Set([4401, 4403, 4409]);

/**
 * Reads a close code, and the `herald-reason` of the ERROR before it. A code that Herald does not give (1006: the network) is
 * a reason to come back.
 */
export function afterClose(code: number, reason?: string): AfterClose {
  if (code === 4401 && reason === 'token-expired') return 'token';
  if (FINALS.has(code)) return 'final';
  return FAULTS.has(code) ? 'fault' : 'reconnect';
}

/** A close code in words for people, where the server said none. `byToken`: the login was a token. */
export function closeWords(code: number, byToken = false): string {
  switch (code) {
    case 1001:
      return 'The server is being restarted.';
    case 1006:
      return 'The connection was lost.';
    case 1013:
      return 'The server is overloaded.';
    case 4401:
      return byToken ? 'The token was refused.' : 'Wrong user or password.';
    case 4403:
      return 'An operator has disconnected this user.';
    case 4408:
      return 'Nothing was heard for too long.';
    case 4409:
      return 'A newer session of this user has taken the place of this one.';
    default:
      return `The connection was closed (code ${code}).`;
  }
}

/** How a connection ended. */
export interface Closed {
  code: number;
  reason: string;
  /** The ERROR in front of the close. */
  error?: { headers: Record<string, string>; body: string };
}

/** Why, in words for people. `byToken`: the login was a token. */
export function problemOf({ code, reason, error }: Closed, byToken = false): string {
  const said = error && (error.headers.message || error.body || 'the server refused');
  if (FINALS.has(code)) return (error?.headers['herald-reason'] && said) || closeWords(code, byToken);
  return said || (code === 1001 || code === 1006 ? '' : reason) || closeWords(code, byToken);
}

/** What an ERROR's `retry-after-ms` says, if it is a number up to a minute. */
export function retryAfterMs(headers: Record<string, string> | undefined): number | undefined {
  const text = headers?.['retry-after-ms'];
  const ms = Number(text);
  return text !== undefined && /^\d+$/.test(text) && ms <= 60_000 ? ms : undefined;
}
