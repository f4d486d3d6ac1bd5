// The promise: a connection comes back by itself, with back-off and jitter, as it was, unless the server said not to; and it
// always says where it stands.

import { expect, test, vi } from 'vitest';
import { afterClose, backoffDelayMs, HeraldConnection } from '../src/index.js';
import { server } from './server.js';

const settle = () => vi.advanceTimersByTimeAsync(5);

async function connected(password = 'test') {
  const connection = new HeraldConnection({ url: 'ws://h/ws', user: 'test1', password });
  connection.start();
  await settle();
  return connection;
}

test('the wait has full jitter under a ceiling that doubles up to a cap', () => {
  const backoff = { baseMs: 500, capMs: 30_000, floorMs: 100 };
  const most = (attempt: number) => backoffDelayMs(attempt, backoff, () => 1);
  expect([0, 1, 2, 5, 6, 7, 5_000].map(most)).toEqual([600, 1100, 2100, 16_100, 30_100, 30_100, 30_100]);
  expect(backoffDelayMs(9, backoff, () => 0)).toBe(100);
  const waits = new Set(Array.from({ length: 50 }, () => backoffDelayMs(3)));
  expect(waits.size).toBeGreaterThan(40);
});

test.each([
  [[1000, 1001, 1006, 1011, 1012, 1013, 4408], 'reconnect'],
  [[1002, 1007, 1008, 1009], 'fault'],
  [[4401, 4403, 4409], 'final'],
])('%j: %s', (codes, expected) => {
  for (const code of codes) expect(afterClose(code)).toBe(expected);
});

test('it says who holds it, and what has joined', async () => {
  const connection = await connected();
  connection.subscribe('/queue/a', () => {});
  await settle();
  expect(connection.state()).toMatchObject({
    status: 'connected',
    instance: 'one',
    session: 's1',
    joined: ['/queue/a'],
  });
});

test('a lost connection waits longer each time, and comes back with all subscriptions', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const connection = await connected();
  const bodies: string[] = [];
  connection.subscribe('/queue/a', (message) => bodies.push(message.body));
  connection.subscribe('/queue/b', () => {})();
  await settle();
  server.down = true;
  const lost = Date.now();
  server.last.end(1006);
  await settle();
  const { status, retryAt = 0, instance, problem, joined } = connection.state();
  expect({ status, instance, problem, joined }).toEqual({
    status: 'reconnecting',
    instance: 'one',
    problem: 'The connection was lost.',
    joined: [],
  });
  expect(retryAt - lost).toBeGreaterThan(690);

  const attempts: number[] = [];
  for (let count = server.sockets.length; attempts.length < 4; ) {
    await vi.advanceTimersByTimeAsync(20);
    if (server.sockets.length > count) attempts.push(Date.now());
    count = server.sockets.length;
  }
  const gaps = attempts.map((at, i) => at - (attempts[i - 1] ?? lost));
  for (const [i, ceiling] of [700, 1200, 2200, 4200].entries()) {
    expect(gaps[i]).toBeGreaterThan(ceiling - 60);
    expect(gaps[i]).toBeLessThan(ceiling + 60);
  }

  server.down = false;
  await vi.advanceTimersByTimeAsync(9_000);
  expect(connection.state()).toMatchObject({ status: 'connected', attempt: 0, joined: ['/queue/a'] });
  expect(connection.state().problem).toBeUndefined();
  expect(server.last.subscribed).toEqual(['/queue/a']);
  server.message('/queue/a', 'after');
  expect(bodies).toEqual(['after']);
});

test('who asks need not wait', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const connection = await connected();
  server.last.end(1001);
  await settle();
  expect(connection.state().status).toBe('reconnecting');
  connection.retryNow();
  await settle();
  expect(connection.state().status).toBe('connected');
});

test.each([
  [4401, 'Wrong user or password.'],
  [4403, 'An operator has disconnected this user.'],
  [4409, 'A newer session of this user has taken the place of this one.'],
  [1002, 'said by the server'],
])('%d is the end', async (code, problem) => {
  const connection = await connected();
  server.last.end(code, 'said by the server');
  await vi.advanceTimersByTimeAsync(120_000);
  expect(connection.state()).toMatchObject({ status: 'ended', code, problem });
  expect(server.sockets).toHaveLength(1);
});

test('a wrong password is told, and not tried again', async () => {
  const connection = await connected('wrong');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connection.state()).toMatchObject({ status: 'ended', code: 4401, problem: 'Wrong user or password.' });
  expect(server.sockets).toHaveLength(1);
});

test('a refused destination is given up, the others come back', async () => {
  const connection = await connected();
  server.refuses = '/elsewhere/x';
  connection.subscribe('/queue/a', () => {});
  await settle();
  const onRefused = vi.fn();
  connection.subscribe('/elsewhere/x', () => {}, { onRefused });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(onRefused).toHaveBeenCalledWith('/elsewhere/x: no such prefix');
  expect(connection.state()).toMatchObject({
    status: 'connected',
    joined: ['/queue/a'],
    problem: '/elsewhere/x: no such prefix',
  });
  expect(server.sockets).toHaveLength(2);
  expect(server.last.subscribed).toEqual(['/queue/a']);
});

test('overloaded is no refusal: all is asked for again', async () => {
  const connection = await connected();
  const onRefused = vi.fn();
  const answer = vi.spyOn(server, 'answer').mockImplementation(() => {});
  connection.subscribe('/queue/a', () => {}, { onRefused });
  await settle();
  server.last.write('ERROR', { message: 'too much at once' });
  server.last.end(1013);
  answer.mockRestore();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(onRefused).not.toHaveBeenCalled();
  expect(connection.state()).toMatchObject({ status: 'connected', joined: ['/queue/a'] });
});

test('the server says when to come again, once', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const connection = await connected();
  for (const [told, least] of [
    ['5000', 5_000],
    ['soon', 200],
  ] as const) {
    const lost = Date.now();
    server.last.write('ERROR', { message: 'overloaded', 'retry-after-ms': told });
    server.last.end(1013);
    await settle();
    const wait = (connection.state().retryAt ?? 0) - lost;
    expect(wait).toBeGreaterThanOrEqual(least);
    expect(wait).toBeLessThan(least + 100);
    await vi.advanceTimersByTimeAsync(least + 1_000);
    expect(connection.state().status).toBe('connected');
  }
});

test('send is done by the RECEIPT, and fails with the connection', async () => {
  const connection = await connected();
  await connection.send('/app/x', 'hello');
  expect(server.last.frames.at(-1)).toMatchObject({ command: 'SEND', body: 'hello' });
  vi.spyOn(server, 'answer').mockImplementation(() => {});
  const unanswered = expect(connection.send('/app/x', 'lost')).rejects.toThrow('The connection was lost.');
  server.last.end(1006);
  await unanswered;
  await expect(connection.send('/app/x', 'none')).rejects.toThrow('Not connected.');
});

test('a stopped connection stays away, and starts again as it was', async () => {
  const connection = await connected();
  connection.subscribe('/queue/a', () => {});
  void connection.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connection.state().status).toBe('idle');
  expect(server.sockets).toHaveLength(1);
  expect(server.last.frames.at(-1)?.command).toBe('DISCONNECT');
  connection.start();
  await settle();
  expect(connection.state()).toMatchObject({ status: 'connected', joined: ['/queue/a'] });
});

test('stopped in the middle of a wait, it does not come back', async () => {
  const connection = await connected();
  server.last.end(1006);
  await settle();
  void connection.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.sockets).toHaveLength(1);
});
