// The promise: what the plots show is what Herald measured: rates and percentiles over instances that answer in turns, through
// restarts, and nothing where nothing is known.

import { expect, test } from 'vitest';
import { Meter } from '../src/meter';
import { buckets, merge, parseMetrics, quantile, since, sum } from '../src/metrics';
import { resumeWords, storedWords } from '../src/operator/History';

test('the text format is read, labels and escapes included', () => {
  const scrape = parseMetrics(
    [
      '# HELP a Help.',
      '# TYPE a counter',
      'a{x="1",y="q\\"\\\\\\n}"} 2',
      'a{x="2"} 3e1 1700000000000',
      'b 4',
      'c_bucket{le="+Inf"} 5 # {trace_id="4bf9"} 0.1',
      'd +Inf',
      '',
      'no number here',
    ].join('\n'),
  );
  expect(scrape.get('a')).toEqual([
    { labels: { x: '1', y: 'q"\\\n}' }, value: 2 },
    { labels: { x: '2' }, value: 30 },
  ]);
  expect(sum(scrape, 'a')).toBe(32);
  expect(sum(scrape, 'a', ({ x }) => x === '2')).toBe(30);
  expect(sum(scrape, 'missing')).toBe(0);
  expect(buckets(scrape, 'c')).toEqual(new Map([[Infinity, 5]]));
  expect(scrape.get('d')?.[0]?.value).toBe(Infinity);
});

test('a quantile lies on a straight line within its bucket', () => {
  const histogram = new Map([
    [0.1, 50],
    [0.2, 90],
    [1, 100],
    [Infinity, 100],
  ]);
  expect(quantile(0.5, histogram)).toBeCloseTo(0.1);
  expect(quantile(0.7, histogram)).toBeCloseTo(0.15);
  expect(quantile(0.95, histogram)).toBeCloseTo(0.6);
  expect(
    quantile(
      0.99,
      new Map([
        [0.1, 0],
        [Infinity, 3],
      ]),
    ),
  ).toBe(0.1); // beyond the last bound: at least that
  expect(quantile(0.5, new Map())).toBeNull();
  expect(
    quantile(
      0.5,
      new Map([
        [1, 0],
        [Infinity, 0],
      ]),
    ),
  ).toBeNull();
});

test('a window is what came since, also after a restart', () => {
  const now = new Map([
    [1, 5],
    [Infinity, 7],
  ]);
  expect(
    since(
      now,
      new Map([
        [1, 2],
        [Infinity, 3],
      ]),
    ),
  ).toEqual(
    new Map([
      [1, 3],
      [Infinity, 4],
    ]),
  );
  expect(
    since(
      now,
      new Map([
        [1, 9],
        [Infinity, 9],
      ]),
    ),
  ).toEqual(now);
  expect(merge([now, now])).toEqual(
    new Map([
      [1, 10],
      [Infinity, 14],
    ]),
  );
});

interface Told {
  instance: string;
  sessions?: number;
  received?: number;
  written?: number;
  acks?: [fast: number, all: number];
}

function text({ instance, sessions = 0, received = 0, written = 0, acks = [0, 0] }: Told): string {
  return [
    `herald_instance_info{name="${instance}"} 1`,
    'herald_build_info{version="0.1.0"} 1',
    `herald_sessions ${sessions}`,
    `herald_notifications_received_total{outcome="matched"} ${received}`,
    `herald_deliveries_total{outcome="written"} ${written}`,
    'herald_deliveries_total{outcome="dropped"} 1000',
    `herald_ack_duration_seconds_bucket{le="0.1"} ${acks[0]}`,
    `herald_ack_duration_seconds_bucket{le="+Inf"} ${acks[1]}`,
    'herald_bus_connected 1',
  ].join('\n');
}

test('instances that answer in turns are one cluster: sessions and what goes out add up, what comes in does not', () => {
  const meter = new Meter();
  meter.add(text({ instance: 'one', sessions: 3, received: 100, written: 10 }), 100);
  expect(meter.points.at(-1)).toMatchObject({ sessions: 3, inRate: null, outRate: null });
  meter.add(text({ instance: 'two', sessions: 4, received: 900, written: 50 }), 102);
  meter.add(text({ instance: 'one', sessions: 3, received: 140, written: 30 }), 104);
  meter.add(text({ instance: 'two', sessions: 5, received: 940, written: 90 }), 106);
  expect(meter.points.at(-1)).toMatchObject({ at: 106, sessions: 8, inRate: 10, outRate: 15 });
  expect(meter.instances.map(({ instance }) => instance)).toEqual(['one', 'two']);
});

test('a restarted instance has no negative rate, and one that is gone is forgotten', () => {
  const meter = new Meter();
  meter.add(text({ instance: 'one', received: 1_000 }), 0);
  meter.add(text({ instance: 'one', received: 8 }), 2);
  expect(meter.points.at(-1)?.inRate).toBe(4);
  meter.add(text({ instance: 'two' }), 10);
  meter.add(text({ instance: 'two' }), 30);
  expect(meter.instances.map(({ instance }) => instance)).toEqual(['two']);
});

test('percentiles are those of the last seconds', () => {
  const meter = new Meter();
  expect(meter.latencies).toEqual([]);
  meter.add(text({ instance: 'one', acks: [100, 100] }), 0);
  const last = () => meter.points.at(-1)?.percentiles.get('herald_ack_duration_seconds');
  expect(last()).toEqual({ p50: null, p95: null, p99: null });
  meter.add(text({ instance: 'one', acks: [110, 110] }), 2);
  expect(last()?.p50).toBeCloseTo(0.05);
  for (let at = 4; at <= 40; at += 2) meter.add(text({ instance: 'one', acks: [110, 110] }), at);
  expect(last()?.p50).toBeNull();
  expect(meter.latencies.map(({ name }) => name)).toEqual(['herald_ack_duration_seconds']);
});

test('history: what each instance keeps, how far it is where there is a stream, and how resumes fared', () => {
  const meter = new Meter();
  const text = (name: string, head: number) =>
    [
      `herald_instance_info{name="${name}"} 1`,
      'herald_tail_messages{kind="broadcast"} 3',
      'herald_tail_messages{kind="user"} 0',
      'herald_tail_bytes{kind="broadcast"} 300',
      `herald_history_head{kind="broadcast"} ${head}`,
      'herald_history_lag_messages{kind="broadcast"} 2',
      'herald_history_stored_bytes{kind="broadcast"} 1536',
      'herald_history_stored_bytes_max{kind="broadcast"} 1073741824',
      'herald_resumes_total{outcome="recovered"} 5',
      'herald_resumes_total{outcome="too-many"} 1',
    ].join('\n');
  meter.add(text('embedded', 0), 1);
  meter.add(text('streaming', 17), 1);
  const [embedded, streaming] = meter.instances.map(({ history }) => history);
  expect(embedded?.kinds).toEqual([
    { kind: 'broadcast', messages: 3, storedBytes: 300 },
    { kind: 'user', messages: 0, storedBytes: 0 },
  ]);
  expect(streaming?.kinds[0]).toEqual({
    kind: 'broadcast',
    head: 17,
    lag: 2,
    messages: 3,
    storedBytes: 300,
    streamBytes: 1536,
    streamBytesMax: 1073741824,
  });
  expect(storedWords(1536, 1073741824)).toBe('1.5 KiB of 1 GiB');
  expect(storedWords(1536, 0)).toBe('1.5 KiB');
  expect(storedWords(undefined, undefined)).toBe('–');
  expect(embedded?.resumes).toEqual([
    ['recovered', 5],
    ['too-many', 1],
  ]);
  meter.add('herald_instance_info{name="old"} 1', 1);
  expect(meter.instances.find(({ instance }) => instance === 'old')?.history).toEqual({ kinds: [], resumes: [] });
});

test.each([
  [[], '0 resumes'],
  [[['recovered', 0]], '0 resumes'],
  [[['recovered', 1]], '1 resume: 1 recovered'],
  [
    [
      ['too-many', 1],
      ['recovered', 2],
    ],
    '3 resumes: 2 recovered, 1 too-many',
  ],
] as [[string, number][], string][])('%j: %s', (resumes, words) => {
  expect(resumeWords(new Map(resumes))).toBe(words);
});
