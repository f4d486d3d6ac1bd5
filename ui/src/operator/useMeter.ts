/** Asks for the instances and scrapes `/metrics` of the one that answers while the operator's view is open. */

import { useEffect, useState } from 'react';
import { type Api, ApiError, type Instances } from '../api';
import { type Latency, Meter, type Point, type Seen } from '../meter';

export interface Metered {
  points: Point[];
  /** Those whose metrics have been read lately: behind a balancer all in turns, else the page's own. */
  seen: Seen[];
  latencies: Latency[];
  /** What every live instance says it holds. */
  cluster?: Instances;
  /** The last scrape failed so. */
  problem?: ApiError;
}

const EVERY_MS = 2_000;

export function useMeter(api: Api): Metered {
  const [metered, setMetered] = useState<Metered>({ points: [], seen: [], latencies: [] });
  useEffect(() => {
    const meter = new Meter();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const scrape = async () => {
      let problem: ApiError | undefined;
      let cluster: Instances | undefined;
      try {
        cluster = await api.instances();
        const sessions = cluster.instances.reduce((total, { sessions = 0 }) => total + sessions, 0);
        meter.add(await api.metrics(), Date.now() / 1000, sessions);
      } catch (error) {
        problem = error instanceof ApiError ? error : new ApiError(`${error}`, 0);
      }
      if (ended) return;
      setMetered((before) => ({
        points: meter.points,
        seen: meter.instances,
        latencies: meter.latencies,
        cluster: cluster ?? before.cluster,
        problem,
      }));
      // Who may not need not ask again.
      if (problem && [401, 403].includes(problem.status)) return;
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
