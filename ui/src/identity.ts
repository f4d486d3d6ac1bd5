/** As whom the page asks. Knows no provider. */

import { basic, type Credentials } from './api';

export interface Identity {
  /** Empty: Herald says it. */
  user?: string;
  password?: string;
  /** In place of a password. */
  getToken?: () => Promise<string>;
  /** The `Authorization` of a REST request. */
  authorization: () => Promise<string>;
}

/** By password, which lives in this page's memory and ends with it. */
export function byPassword(credentials: Credentials): Identity {
  const authorization = basic(credentials);
  return { ...credentials, authorization: async () => authorization };
}
