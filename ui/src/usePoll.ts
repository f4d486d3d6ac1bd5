/** Asks again and again while a component is mounted. */

import { useEffect, useState } from 'react';

export interface Polled<T> {
  value?: T;
  /** Why the last request failed, in words. */
  problem?: string;
}

/** `request` must be the same function from render to render; a new one begins anew. */
export function usePoll<T>(request: () => Promise<T>, everyMs: number): Polled<T> {
  const [polled, setPolled] = useState<Polled<T>>({});
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const ask = async () => {
      let next: (before: Polled<T>) => Polled<T>;
      try {
        const value = await request();
        next = () => ({ value });
      } catch (error) {
        const problem = error instanceof Error ? error.message : `${error}`;
        // What was known stays in sight.
        next = ({ value }) => ({ value, problem });
      }
      if (ended) return;
      setPolled(next);
      timer = setTimeout(ask, everyMs);
    };
    void ask();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [request, everyMs]);
  return polled;
}
