/**
 * From Prometheus's text to what the operator's view plots: gauges, rates and percentiles. Behind a balancer each scrape may
 * come from another instance, so every one is compared with the last of the same instance. Knows no component and no clock.
 */

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export type Scrape = Map<string, Sample[]>;

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*?)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads the text format 0.0.4; what it does not know, it leaves out. */
export function parseMetrics(text: string): Scrape {
  const scrape: Scrape = new Map();
  for (const line of text.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line);
    if (!match) continue;
    const [, name = '', list = '', number = ''] = match;
    const value = number === '+Inf' ? Infinity : Number(number);
    const labels: Record<string, string> = {};
    for (const [, key = '', text = ''] of list.matchAll(LABEL)) {
      labels[key] = text.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    const samples = scrape.get(name);
    if (samples) samples.push({ labels, value });
    else scrape.set(name, [{ labels, value }]);
  }
  return scrape;
}

/** The sum over all label sets that `wanted` accepts; none: 0. */
export function sum(scrape: Scrape, name: string, wanted: (labels: Sample['labels']) => boolean = () => true): number {
  return (scrape.get(name) ?? []).reduce((total, { labels, value }) => total + (wanted(labels) ? value : 0), 0);
}

/** A label of the first sample of a metric. */
export function label(scrape: Scrape, name: string, key: string): string | undefined {
  return scrape.get(name)?.[0]?.labels[key];
}

/** Upper bounds in seconds with how many measurements fell at or under each, as Prometheus has them. */
export type Buckets = Map<number, number>;

/** Reads a histogram, its label sets put together. */
export function buckets(
  scrape: Scrape,
  name: string,
  wanted: (labels: Sample['labels']) => boolean = () => true,
): Buckets {
  const found: Buckets = new Map();
  for (const { labels, value } of scrape.get(`${name}_bucket`) ?? []) {
    if (!wanted(labels)) continue;
    const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
    found.set(bound, (found.get(bound) ?? 0) + value);
  }
  return found;
}

/** What came since `earlier`; a counter that fell has begun anew. */
export function since(now: Buckets, earlier: Buckets): Buckets {
  const restarted = [...now].some(([bound, count]) => count < (earlier.get(bound) ?? 0));
  return new Map([...now].map(([bound, count]) => [bound, count - (restarted ? 0 : (earlier.get(bound) ?? 0))]));
}

/** Adds bucket by bucket. */
export function merge(all: Buckets[]): Buckets {
  const merged: Buckets = new Map();
  for (const one of all) for (const [bound, count] of one) merged.set(bound, (merged.get(bound) ?? 0) + count);
  return merged;
}

/** The value under which the share `q` of the measurements lies, by a straight line within its bucket; none: null. */
export function quantile(q: number, histogram: Buckets): number | null {
  const sorted = [...histogram].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  const rank = q * total;
  let below = 0;
  let from = 0;
  for (const [bound, count] of sorted) {
    if (count >= rank) {
      if (bound === Infinity) return from;
      return from + ((bound - from) * (rank - below)) / Math.max(count - below, Number.EPSILON);
    }
    below = count;
    from = bound;
  }
  return from;
}
