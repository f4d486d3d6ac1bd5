// The promise: whoever comes back gets what was missed, once and in order, or is told that it is lost; by the rule of
// docs/history.md: a client's position is what the last frame said.

import { afterEach, expect, test, vi } from 'vitest';
import { type Gap, HeraldConnection, type HeraldOptions, type IMessage, type Returned } from '../src/index.js';
import { Position } from '../src/position.js';
import { server } from './server.js';

const started: HeraldConnection[] = [];
afterEach(() => {
  for (const connection of started.splice(0)) void connection.stop();
});

const settle = () => vi.advanceTimersByTimeAsync(5);
const back = () => vi.advanceTimersByTimeAsync(1_000);

function start(options: Partial<HeraldOptions> = {}) {
  const connection = new HeraldConnection({ url: 'ws://h/ws', user: 'test1', password: 'test', ...options });
  connection.start();
  started.push(connection);
  return connection;
}

/** A connection that listens to `/queue/a`, and what it was told. */
async function listening() {
  const gaps: Gap[] = [];
  const bodies: string[] = [];
  const returns: Returned[] = [];
  const connection = start({ onGap: (gap) => gaps.push(gap), onReconnect: (returned) => returns.push(returned) });
  connection.subscribe('/queue/a', ({ body }) => bodies.push(body));
  await settle();
  return { connection, bodies, gaps, returns };
}

test('what came while it was away comes then, once and in order', async () => {
  const { connection, bodies, gaps, returns } = await listening();
  server.publish('/queue/a', '1');
  server.drop();
  for (const body of ['2', '3']) server.publish('/queue/a', body);
  server.publish('/queue/other', 'of others');
  await back();
  server.publish('/queue/a', '4');
  expect(bodies).toEqual(['1', '2', '3', '4']);
  expect(gaps).toEqual([]);
  expect(returns).toMatchObject([{ missed: 2, gaps: [] }]);
  expect(connection.state().returned).toMatchObject({ missed: 2, gaps: [], complete: true });
});

test('who has heard nothing resumes by the RECEIPT', async () => {
  const { bodies, gaps } = await listening();
  server.drop();
  server.publish('/queue/a', 'missed');
  await back();
  expect(server.last.subscriptions).toMatchObject([{ 'last-message-id': '1-0' }]);
  expect(bodies).toEqual(['missed']);
  expect(gaps).toEqual([]);
});

test('a connection that is lost in the middle of a replay loses nothing', async () => {
  const { connection, bodies, returns } = await listening();
  server.drop();
  for (const body of ['1', '2', '3', '4']) server.publish('/queue/a', body);
  // The socket takes the RECEIPT and two of four MESSAGEs.
  const frames: string[] = [];
  const { webSocket } = server;
  vi.stubGlobal('WebSocket', function Cut(url: string) {
    const socket = webSocket(url) as unknown as typeof server.last;
    const write = socket.write.bind(socket);
    socket.write = (command, headers, body) => {
      if (command === 'MESSAGE' && frames.push(body ?? '') > 2) socket.end(1006);
      write(command, headers, body);
    };
    return socket;
  });
  await vi.advanceTimersByTimeAsync(50);
  while (frames.length < 2) await vi.advanceTimersByTimeAsync(50);
  expect(bodies).toEqual(['1', '2']);
  expect(connection.state().returned).toBeUndefined();
  vi.unstubAllGlobals();
  server.install();
  await back();
  expect(bodies).toEqual(['1', '2', '3', '4']);
  expect(returns.at(-1)).toMatchObject({ missed: 4, gaps: [] });
  expect(connection.state().returned).toMatchObject({ missed: 4, complete: true });
});

test.each(['epoch-changed', 'position-expired', 'too-many', 'unavailable'])(
  '%s: a gap is told, once, and before what is new',
  async (reason) => {
    const told: string[] = [];
    const connection = start({ onGap: (gap) => told.push(`all: ${gap.destination} ${gap.reason}`) });
    connection.subscribe('/queue/a', ({ body }) => told.push(body), {
      onGap: (gap) => told.push(`own: ${gap.reason}`),
    });
    connection.subscribe('/queue/a', () => {}, { onGap: (gap) => told.push(`other: ${gap.reason}`) });
    await settle();
    server.gap = reason;
    server.drop();
    server.publish('/queue/a', 'missed');
    await back();
    server.publish('/queue/a', 'new');
    expect(told).toEqual([`own: ${reason}`, `other: ${reason}`, `all: /queue/a ${reason}`, 'new']);
    expect(connection.state().returned).toMatchObject({
      missed: 0,
      gaps: [{ destination: '/queue/a', reason }],
      complete: true,
    });

    // Live from there: the next loss is none of its business.
    server.gap = undefined;
    server.drop();
    server.publish('/queue/a', 'later');
    await back();
    expect(told.slice(4)).toEqual(['later']);
  },
);

test('another epoch, as after a restart without a history on disk', async () => {
  const { bodies, gaps } = await listening();
  server.publish('/queue/a', '1');
  server.restart();
  await back();
  expect(gaps).toEqual([{ destination: '/queue/a', reason: 'epoch-changed' }]);
  // From now on the position is of the new epoch, also before the first message.
  server.drop();
  server.publish('/queue/a', '2');
  await back();
  expect(gaps).toHaveLength(1);
  expect(bodies).toEqual(['1', '2']);
});

test('where nothing is kept each loss is a gap, and no position is sent', async () => {
  server.keeps = () => false;
  const { bodies, gaps } = await listening();
  server.publish('/queue/a', '1');
  expect(gaps).toEqual([]);
  for (const round of [1, 2]) {
    server.drop();
    await back();
    expect(server.last.subscriptions[0]).not.toHaveProperty('last-message-id');
    expect(gaps).toHaveLength(round);
  }
  expect(gaps[0]).toEqual({ destination: '/queue/a', reason: 'history-off' });
  expect(bodies).toEqual(['1']);
});

test('a gap of a resume that was cut off is not forgotten by the next', async () => {
  const { connection, gaps } = await listening();
  connection.subscribe('/queue/b', () => {});
  await settle();
  server.gap = 'too-many';
  server.drop();
  const original = server.answer.bind(server);
  vi.spyOn(server, 'answer').mockImplementation((socket, frame) => {
    if (frame.headers.destination === '/queue/b') return socket.end(1006);
    original(socket, frame);
  });
  while (gaps.length === 0) await vi.advanceTimersByTimeAsync(50);
  vi.mocked(server.answer).mockRestore();
  server.gap = undefined;
  await back();
  expect(connection.state().returned).toMatchObject({ gaps: [{ destination: '/queue/a', reason: 'too-many' }] });
});

test('a new subscription has no position, and a stopped connection keeps its own', async () => {
  const { connection, bodies } = await listening();
  server.publish('/queue/a', '1');
  connection.subscribe('/queue/b', () => {});
  await settle();
  expect(server.last.subscriptions[1]).not.toHaveProperty('last-message-id');
  void connection.stop();
  await settle();
  server.publish('/queue/a', '2');
  connection.start();
  await settle();
  expect(bodies).toEqual(['1', '2']);
});

test('what was not acknowledged comes again', async () => {
  const connection = start();
  const got: IMessage[] = [];
  connection.subscribe('/queue/a', (message) => got.push(message), { headers: { ack: 'client-individual' } });
  await settle();
  for (const body of ['1', '2', '3']) server.publish('/queue/a', body);
  got[0]?.ack();
  got[2]?.ack();
  await settle();
  expect(server.last.frames.filter(({ command }) => command === 'ACK')).toHaveLength(2);
  server.drop();
  await back();
  expect(server.last.subscriptions).toMatchObject([{ 'last-message-id': '1-1' }]);
  expect(got.slice(3).map(({ body }) => body)).toEqual(['2', '3']);
  got[1]?.ack();
  await settle();
  // Of a lost connection: no frame.
  expect(server.sockets.map(({ frames }) => frames.filter(({ command }) => command === 'ACK').length)).toEqual([2, 0]);
});

test.each([
  ['auto', [], '3'],
  ['client', [], '0'],
  ['client', ['2'], '2'],
  ['client-individual', ['2'], '0'],
  ['client-individual', ['2', '1'], '2'],
  ['client-individual', ['1', '3'], '1'],
  ['client-individual', ['3', '2', '1', '1', 'none'], '3'],
] as const)('%s: after %j of three the position is %s', (mode, handled, at) => {
  const position = new Position(mode);
  position.received('before the RECEIPT');
  expect(position.at).toBeUndefined();
  position.begin('0');
  for (const id of ['1', '2', '3']) position.received(id);
  for (const id of handled) position.handled(id);
  expect(position.at).toBe(at);
  expect(position.isOpen).toBe(at !== '3');
});

test('a subscription that hears nothing for ten minutes moves on, and misses nothing by it', async () => {
  const { bodies, gaps, returns } = await listening();
  for (let n = 0; n < 50; n += 1) server.publish('/queue/busy', `${n}`);
  await vi.advanceTimersByTimeAsync(660_000);
  expect(server.sockets).toHaveLength(1);
  const commands = server.last.frames.map(({ command }) => command);
  expect(commands).toEqual(['CONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE', 'SUBSCRIBE']);
  server.publish('/queue/a', 'heard');
  server.drop();
  await back();
  expect(server.last.subscriptions).toMatchObject([{ 'last-message-id': '1-51' }]);
  expect([bodies, gaps]).toEqual([['heard'], []]);
  expect(returns).toHaveLength(1);
});

test('a page that is loaded anew resumes if it wants to, each subscription at its own position', async () => {
  const load = async (resume?: 'session', user = 'test1') => {
    const bodies: string[] = [];
    const gaps: Gap[] = [];
    const connection = start({ resume, user, onGap: (gap) => gaps.push(gap) });
    connection.subscribe('/queue/a', ({ body }) => bodies.push(body));
    connection.subscribe('/queue/b', ({ body }) => bodies.push(body), { headers: { ack: 'client' } });
    await settle();
    return { bodies, gaps };
  };
  const unload = async () => {
    window.dispatchEvent(new Event('pagehide'));
    // Nothing of the page is left but its storage.
    const saved = sessionStorage.getItem('herald ws://h/ws test1');
    for (const connection of started.splice(0)) void connection.stop();
    await settle();
    if (saved !== null) sessionStorage.setItem('herald ws://h/ws test1', saved);
  };
  expect((await load('session')).bodies).toEqual([]);
  server.publish('/queue/a', 'heard');
  server.publish('/queue/b', 'not acknowledged');
  await unload();
  server.publish('/queue/a', 'missed');
  expect((await load('session', 'another')).bodies).toEqual([]);
  for (const connection of started.splice(0)) void connection.stop();
  expect(await load('session')).toEqual({ bodies: ['missed', 'not acknowledged'], gaps: [] });
  await unload();
  server.restart();
  const { gaps } = await load('session');
  expect(gaps.map(({ reason }) => reason)).toEqual(['epoch-changed', 'epoch-changed']);
  await unload();
  server.publish('/queue/a', 'missed again');
  expect(await load()).toEqual({ bodies: [], gaps: [] });
  sessionStorage.clear();
});

test('storage that is broken or forbidden is no storage', async () => {
  sessionStorage.setItem('herald ws://h/ws test1', '{"/queue/a auto":7,');
  vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
    throw new Error('full');
  });
  const connection = start({ resume: 'session' });
  connection.subscribe('/queue/a', () => {});
  await settle();
  expect(connection.state().joined).toEqual(['/queue/a']);
  await connection.stop();
  sessionStorage.clear();
});
