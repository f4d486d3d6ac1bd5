/** Herald's close codes: what each says about coming back. Knows no connection. */

/** What a close code asks of a client. */
export type AfterClose =
  /** Come back by oneself, later. */
  | 'reconnect'
  /** This client did what it may not: the same again would end the same. */
  | 'fault'
  /** Somebody has to act first: other credentials, or a person's wish to be here and not in the newer session. */
  | 'final';

const FAULTS = new Set([1002, 1007, 1008, 1009]);
const FINALS = new Set([4401, 4403, 4409]);

/** Reads a close code. Any that Herald does not give (1006: the network) is a reason to come back. */
export function afterClose(code: number): AfterClose {
  if (FINALS.has(code)) return 'final';
  return FAULTS.has(code) ? 'fault' : 'reconnect';
}

/** A close code in words for people, where the server said none. */
export function closeWords(code: number): string {
  switch (code) {
    case 1001:
      return 'The server is being restarted.';
    case 1006:
      return 'The connection was lost.';
    case 1013:
      return 'The server is overloaded.';
    case 4401:
      return 'Wrong user or password.';
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
