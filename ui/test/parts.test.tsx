// The promise: what the page takes from outside it shows as it came, and what it says of it is right: settings, bodies, times,
// addresses of traces.

import { render } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';
import { Api, basic } from '../src/api';
import { bodyOf, fold } from '../src/body';
import { entryOf } from '../src/feed';
import { ago, bytes, duration, rate } from '../src/format';
import { Json } from '../src/Json';
import { namedUser } from '../src/live/NamesUser';
import { parseUsers } from '../src/live/Online';
import { fits } from '../src/live/Stream';
import { rowsOf } from '../src/operator/reach';
import { readSettings, traceAddress } from '../src/settings';

afterEach(() => vi.unstubAllGlobals());

test('settings come from the page, wherever it is mounted; on the development server they are the defaults', () => {
  const served = readSettings(
    { wsPath: '/stomp', userPrefix: '/me', traceUrl: 'http://j/{trace_id}' },
    { href: 'https://h.example/backend/#x', protocol: 'https:' },
  );
  expect(served).toMatchObject({
    wsUrl: 'wss://h.example/backend/stomp',
    base: 'https://h.example/backend/',
    userPrefix: '/me',
    traceUrl: 'http://j/{trace_id}',
  });
  const developed = readSettings({ wsPath: '{{ws_path}}' }, { href: 'http://h:5173/', protocol: 'http:' });
  expect(developed).toMatchObject({
    wsUrl: 'ws://h:5173/ws',
    broadcastPrefix: '/queue',
    broadcastPrefixes: ['/queue', '/topic'],
    traceUrl: '',
  });
});

test('a trace has an address where the configuration knows one', () => {
  expect(traceAddress({ traceUrl: 'http://j/trace/{trace_id}?x' }, 'ab"')).toBe('http://j/trace/ab%22?x');
  expect(traceAddress({ traceUrl: '' }, 'ab')).toBeUndefined();
});

test.each([
  '{"order": 12345678901234567890, "a":[true,null,-1.5e3], "q":"\\"x\\": 1"}',
  '[]',
  'plain: "text" 1 true',
  '{"broken": ',
  `{"long": "${'x'.repeat(5_000)}"}`,
])('a body shows as it came: %s', (text) => {
  const { container } = render(<Json text={text} />);
  expect(container.textContent).toBe(text);
});

test('names, texts and numbers of JSON differ to the eye', () => {
  const { container } = render(<Json text='{"a":"b","c":1}' />);
  const spans = [...container.querySelectorAll('span')].map((span) => [span.className, span.textContent]);
  expect(spans).toEqual([
    ['json-name', '"a"'],
    ['json-text', '"b"'],
    ['json-name', '"c"'],
    ['json-other', '1'],
  ]);
});

test('an entry keeps what the page shows, and no more of a huge body', () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const headers = { destination: '/queue/a', timestamp: '1700000000000', 'message-id': '7', traceparent };
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(entryOf({ headers, binaryBody: bytes('b') })).toMatchObject({
    destination: '/queue/a',
    at: 1_700_000_000_000,
    body: { text: 'b', kind: 'text', size: 1, cut: false },
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    headers: { 'message-id': '7' },
  });
  const huge = entryOf({ headers: {}, binaryBody: bytes('x'.repeat(100_000)) });
  expect([huge.body.text.length, huge.body.cut, huge.body.size, huge.traceId]).toEqual([
    65_536,
    true,
    100_000,
    undefined,
  ]);
});

test.each([
  ['nothing', [], { kind: 'empty', text: '', size: 0 }],
  ['text beyond ASCII', [0xc3, 0xbc], { kind: 'text', text: 'ü' }],
  ['the ends of lines and tabs', [97, 9, 13, 10], { kind: 'text', text: 'a\t\r\n' }],
  ['what is no UTF-8', [0xff, 0x41], { kind: 'bytes', text: `000000  ff 41${' '.repeat(43)} .A` }],
  ['controls, though they are UTF-8', [0, 1, 0x1b], { kind: 'bytes', size: 3 }],
])('a body is read as what it is: %s', (_, bytes, expected) => {
  expect(bodyOf(new Uint8Array(bytes))).toMatchObject(expected);
});

test('a dump has sixteen bytes a line, and no more of it than the page keeps', () => {
  const body = bodyOf(new Uint8Array(10_000));
  expect(body.cut).toBe(true);
  expect(body.text.split('\n')).toHaveLength(256);
  expect(body.text.split('\n').at(-1)).toMatch(/^000ff0 {2}(00 ){16} ?\.{16}$/);
});

test('what is long is folded after ten lines, or after as many letters', () => {
  expect(fold('a\n'.repeat(9))).toBeUndefined();
  expect(fold('a\n'.repeat(30))).toEqual({ start: Array(10).fill('a').join('\n'), lines: 31 });
  expect(fold('x'.repeat(5_000))).toEqual({ start: 'x'.repeat(1_500), lines: 1 });
});

test('a filter asks for the destination, and for words in any case', () => {
  const entry = entryOf({ headers: { destination: '/queue/a' }, binaryBody: new TextEncoder().encode('Shipped') });
  expect(fits(entry, '', '')).toBe(true);
  expect(fits(entry, '/queue/a', ' ship ')).toBe(true);
  expect(fits(entry, '', 'queue/A')).toBe(true);
  expect(fits(entry, '/queue', '')).toBe(false);
  expect(fits(entry, '', 'lost')).toBe(false);
});

test.each([
  ['/user/bob/queue/orders', { name: 'bob', path: '/queue/orders' }],
  ['/user/bob/orders', { name: 'bob', path: '/orders' }],
  ['/user/queue/orders', undefined],
  ['/user/topic/a/b', undefined],
  ['/user/orders', undefined],
  ['/user/bob/', undefined],
  ['/users/bob/orders', undefined],
  ['/queue/user/bob', undefined],
])('a subscription names a user, or none: %s', (destination, expected) => {
  expect(namedUser({ userPrefix: '/user', broadcastPrefixes: ['/queue', '/topic'] }, destination)).toEqual(expected);
});

test('a list of users is a list, or nothing', () => {
  expect(parseUsers('["a","b"]')).toEqual(['a', 'b']);
  expect(parseUsers('{"a":1}')).toBeUndefined();
  expect(parseUsers('[')).toBeUndefined();
});

test.each([
  [duration(0.0000005), '0.5 µs'],
  [duration(0.01234), '12.3 ms'],
  [duration(2.5), '2.5 s'],
  [duration(null), '–'],
  [rate(0), '0/s'],
  [rate(0.123), '0.12/s'],
  [rate(null), '–'],
  [bytes(0), '0 B'],
  [bytes(1_536), '1.5 KiB'],
  [bytes(5 * 1024 ** 3), '5 GiB'],
  [ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:42Z')), '42 s'],
  [ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T03:04:00Z')), '3 h 4 min'],
])('%s is %s', (got, expected) => expect(got).toBe(expected));

test('who gets it stands before who does not', () => {
  const rows = rowsOf({
    destination: '/queue/a',
    reached_count: 1,
    reached: [{ session: 's1', user: 'a', instance: 'one', subscription: 'x', way: 'at_once' }],
    missed_count: 1,
    missed: [{ session: 's2', user: 'b', instance: 'two', why: 'not subscribed' }],
    silent: [],
  });
  expect(rows.map(({ user, reached, words }) => [user, reached, words])).toEqual([
    ['a', true, 'at once'],
    ['b', false, 'not subscribed'],
  ]);
});

test('a payload goes out byte for byte, with the credentials of the user or of a key', async () => {
  const fetch = vi.fn(async (..._: unknown[]) => Response.json({ id: '1' }, { status: 202 }));
  vi.stubGlobal('fetch', fetch);
  const api = new Api('http://h/backend/', async () => basic({ user: 'käthe', password: 'p:w' }));
  await api.publish({ destination: '/queue/a', user: '', payload: '{"n": 12345678901234567890}' });
  const [url, init] = fetch.mock.calls[0] as [URL, RequestInit];
  expect(url.href).toBe('http://h/backend/api/v1/notifications');
  expect(init.body).toBe('{"destination":"/queue/a","payload":{"n": 12345678901234567890}}');
  expect(init.headers).toMatchObject({ authorization: basic({ user: 'käthe', password: 'p:w' }) });
  expect(basic({ user: 'käthe', password: 'p:w' })).toBe(`Basic ${btoa('k\xc3\xa4the:p:w')}`);
  await api.publish({ destination: '/q', user: 'u', payload: '1' }, 'key');
  const [, keyed] = fetch.mock.calls[1] as [URL, RequestInit];
  expect(keyed.headers).toMatchObject({ authorization: 'Bearer key' });
});

test('a refusal is told in the words of the problem, and a dead server as such', async () => {
  const problem = { title: 'A value is wrong', detail: 'no such prefix', pointer: '/destination' };
  vi.stubGlobal('fetch', async () => Response.json(problem, { status: 400 }));
  const api = new Api('http://h/', async () => 'Basic x');
  await expect(api.users()).rejects.toMatchObject({
    status: 400,
    message: '400 A value is wrong: /destination no such prefix',
  });
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('x')));
  await expect(api.users()).rejects.toMatchObject({ status: 0, message: 'Herald cannot be reached.' });
});
