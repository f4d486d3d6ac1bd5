/** A login that outlives a reload of this tab, where its user wants that, and ends with the tab. Knows no component. */

import type { Credentials } from './api';

const KEY = 'herald login';

/** What was kept; storage that is switched off keeps nothing. */
export function kept(): Credentials | undefined {
  try {
    const { user, password } = JSON.parse(sessionStorage.getItem(KEY) ?? '{}');
    return typeof user === 'string' && typeof password === 'string' ? { user, password } : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps it, or forgets what was kept. */
export function keep(credentials?: Credentials): void {
  try {
    if (credentials) sessionStorage.setItem(KEY, JSON.stringify(credentials));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Without storage the next reload asks again.
  }
}
