/** What the user may do, as Herald says it. The page asks, instead of trying what would be refused: that would stand in the audit. */

import { useEffect, useState } from 'react';
import { type Api, ApiError } from './api';

/** How long until the question is asked again that had no answer. */
const AGAIN_MS = 5_000;

const NONE: ReadonlySet<string> = new Set();

/** The scopes of the user; none before the first answer. Asked anew in each `session`, since roles change. */
export function useScopes(api: Api, session: string | undefined): ReadonlySet<string> {
  const [scopes, setScopes] = useState(NONE);
  useEffect(() => {
    if (session === undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const ask = async () => {
      let found: ReadonlySet<string> | undefined;
      try {
        found = new Set((await api.me()).scopes);
      } catch (error) {
        // 404: an instance that is older than the page. Anything else may pass, such as an instance that has just gone.
        if (error instanceof ApiError && [401, 403, 404].includes(error.status)) found = NONE;
      }
      if (ended) return;
      if (found) setScopes(found);
      else timer = setTimeout(ask, AGAIN_MS);
    };
    void ask();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [api, session]);
  return scopes;
}
