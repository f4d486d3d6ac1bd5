/** What the plots show, collected scrape by scrape. Knows `metrics.ts` and no component; the time is a parameter. */

import {
  type Buckets,
  buckets,
  label,
  merge,
  parseMetrics,
  quantile,
  type Sample,
  type Scrape,
  since,
  sum,
} from './metrics';

/** A histogram that can be looked at. */
export interface Latency {
  name: string;
  title: string;
  wanted?: (labels: Sample['labels']) => boolean;
}

/** In the order of a notification's way; those that this Herald does not have are left out. */
export const LATENCIES: Latency[] = [
  {
    name: 'herald_http_request_duration_seconds',
    title: 'REST publish: request to answer',
    wanted: ({ method, route = '' }) => method === 'POST' && route.includes('/api/v1/'),
  },
  { name: 'herald_publish_duration_seconds', title: 'Accepted to bus' },
  { name: 'herald_bus_to_shard_duration_seconds', title: 'Bus to shard' },
  { name: 'herald_broadcast_walk_duration_seconds', title: "A broadcast's walk over its sessions" },
  { name: 'herald_outbox_wait_duration_seconds', title: 'Wait in a slow session’s outbox' },
  { name: 'herald_ack_duration_seconds', title: "Socket to the browser's ACK" },
  { name: 'herald_bus_round_trip_duration_seconds', title: 'Instance to instance and back' },
];

/** One point of the plots. null: nothing to show. */
export interface Point {
  /** Unix seconds. */
  at: number;
  sessions: number;
  /** Notifications from the bus, a second: every instance sees all of them, so it is the most that one saw. */
  inRate: number | null;
  /** MESSAGEs to sessions, a second, over all instances. */
  outRate: number | null;
  /** By the latency's name. */
  percentiles: Map<string, { p50: number | null; p95: number | null; p99: number | null }>;
}

/** What an instance says of history, by kind of notification. */
export interface KindOfHistory {
  kind: string;
  /** The last sequence it has read, and what it has yet to read; with the embedded bus it is its own stream. */
  head?: number;
  lag?: number;
  /** In its memory. */
  messages: number;
  storedBytes: number;
  /** In the stream, and the most that it may hold; 0 without a bound. */
  streamBytes?: number;
  streamBytesMax?: number;
}

export interface History {
  kinds: KindOfHistory[];
  /** How subscriptions fared that came back, by outcome. */
  resumes: [outcome: string, count: number][];
}

/** What is known of one instance from its own `/metrics`. */
export interface Seen {
  instance: string;
  version: string;
  /** Unix seconds of the last scrape. */
  at: number;
  sessions: number;
  subscriptions: number;
  outboxBytes: number;
  residentBytes: number;
  busConnected: boolean;
  inRate: number | null;
  outRate: number | null;
  history: History;
}

interface Past {
  at: number;
  scrape: Scrape;
}

/** Percentiles are those of this many seconds. */
const WINDOW_S = 15;
/** An instance not heard of for so long is left out. */
const FORGET_S = 20;
const KEPT_POINTS = 300;

export class Meter {
  points: Point[] = [];
  #past = new Map<string, Past[]>();
  #seen = new Map<string, Seen>();

  /** The instances heard of lately, by name. */
  get instances(): Seen[] {
    return [...this.#seen.values()].sort((a, b) => a.instance.localeCompare(b.instance));
  }

  /** The latencies that Herald measures. */
  get latencies(): Latency[] {
    const pasts = [...this.#past.values()].flat();
    return LATENCIES.filter(({ name }) => pasts.some(({ scrape }) => scrape.has(`${name}_bucket`)));
  }

  /** Takes one scrape, made at `at` (Unix seconds), and the sessions of the whole cluster, where they are known. */
  add(text: string, at: number, sessions?: number): void {
    const scrape = parseMetrics(text);
    const instance =
      label(scrape, 'herald_instance_info', 'name') ?? label(scrape, 'herald_build_info', 'instance') ?? 'herald';
    const past = this.#past.get(instance) ?? [];
    const last = past.at(-1);
    this.#seen.set(instance, {
      instance,
      version: label(scrape, 'herald_build_info', 'version') ?? '',
      at,
      sessions: sum(scrape, 'herald_sessions'),
      subscriptions: sum(scrape, 'herald_subscriptions'),
      outboxBytes: sum(scrape, 'herald_outbox_bytes'),
      residentBytes: sum(scrape, 'process_resident_memory_bytes'),
      busConnected: sum(scrape, 'herald_bus_connected') > 0,
      inRate: rate(last, { at, scrape }, 'herald_notifications_received_total'),
      outRate: rate(last, { at, scrape }, 'herald_deliveries_total', ({ outcome }) =>
        ['written', 'queued'].includes(outcome ?? ''),
      ),
      history: historyOf(scrape),
    });
    past.push({ at, scrape });
    while (past.length > 2 && (past[1]?.at ?? at) < at - WINDOW_S) past.shift();
    this.#past.set(instance, past);
    for (const [name, seen] of this.#seen) {
      if (seen.at >= at - FORGET_S) continue;
      this.#seen.delete(name);
      this.#past.delete(name);
    }
    this.points = [...this.points, this.#point(at, sessions)].slice(-KEPT_POINTS);
  }

  #point(at: number, sessions?: number): Point {
    const all = this.instances;
    const known = (rates: (number | null)[]) => rates.filter((rate) => rate !== null);
    const inRates = known(all.map(({ inRate }) => inRate));
    const outRates = known(all.map(({ outRate }) => outRate));
    return {
      at,
      sessions: sessions ?? all.reduce((total, { sessions }) => total + sessions, 0),
      inRate: inRates.length ? Math.max(...inRates) : null,
      outRate: outRates.length ? outRates.reduce((a, b) => a + b) : null,
      percentiles: new Map(this.latencies.map((latency) => [latency.name, this.#percentiles(latency)])),
    };
  }

  #percentiles({ name, wanted }: Latency) {
    const windows: Buckets[] = [];
    for (const past of this.#past.values()) {
      const [first, last] = [past[0], past.at(-1)];
      if (!first || !last || first === last) continue;
      windows.push(since(buckets(last.scrape, name, wanted), buckets(first.scrape, name, wanted)));
    }
    const window = merge(windows);
    return { p50: quantile(0.5, window), p95: quantile(0.95, window), p99: quantile(0.99, window) };
  }
}

function historyOf(scrape: Scrape): History {
  const of = (name: string, kind: string) => scrape.get(name)?.find(({ labels }) => labels.kind === kind)?.value;
  const kinds = (scrape.get('herald_tail_messages') ?? []).map(({ labels: { kind = '' }, value }) => {
    // 0 without a stream.
    const head = of('herald_history_head', kind) || undefined;
    const lag = head === undefined ? undefined : of('herald_history_lag_messages', kind);
    const streamBytes = head === undefined ? undefined : of('herald_history_stored_bytes', kind);
    const streamBytesMax = head === undefined ? undefined : of('herald_history_stored_bytes_max', kind);
    return {
      kind,
      head,
      lag,
      messages: value,
      storedBytes: of('herald_tail_bytes', kind) ?? 0,
      streamBytes,
      streamBytesMax,
    };
  });
  const resumes = (scrape.get('herald_resumes_total') ?? []).map(({ labels, value }): [string, number] => [
    labels.outcome ?? '',
    value,
  ]);
  return { kinds, resumes };
}

function rate(last: Past | undefined, now: Past, name: string, wanted?: Latency['wanted']): number | null {
  if (!last || now.at <= last.at) return null;
  const [before, after] = [sum(last.scrape, name, wanted), sum(now.scrape, name, wanted)];
  // A counter that fell has begun anew.
  return Math.max(0, after < before ? after : after - before) / (now.at - last.at);
}
