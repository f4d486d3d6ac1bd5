/** Scrapes `/metrics` while the operator's view is open. */

import { useEffect, useState } from 'react';
import { type Api, ApiError } from '../api';
import { type Latency, Meter, type Point, type Seen } from '../meter';

export interface Metered {
  points: Point[];
  instances: Seen[];
  latencies: Latency[];
  /** The last scrape failed so. */
  problem?: ApiError;
}

const EVERY_MS = 2_000;

export function useMeter(api: Api): Metered {
  const [metered, setMetered] = useState<Metered>({ points: [], instances: [], latencies: [] });
  useEffect(() => {
    const meter = new Meter();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const scrape = async () => {
      let problem: ApiError | undefined;
      try {
        meter.add(await api.metrics(), Date.now() / 1000);
      } catch (error) {
        problem = error instanceof ApiError ? error : new ApiError(`${error}`, 0);
      }
      if (ended) return;
      setMetered({ points: meter.points, instances: meter.instances, latencies: meter.latencies, problem });
      // Who may not, or asks where nothing is, need not ask again.
      if (problem && [401, 403, 404].includes(problem.status)) return;
      timer = setTimeout(scrape, EVERY_MS);
    };
    void scrape();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [api]);
  return metered;
}
