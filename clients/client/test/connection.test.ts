// The promise: a connection comes back by itself, with back-off and jitter, as it was, unless the server said not to; and it
// always says where it stands.

import { afterEach, expect, test, vi } from 'vitest';
import { afterClose, backoffDelayMs, HeraldConnection, type HeraldOptions } from '../src/index.js';
import { server } from './server.js';

const started: HeraldConnection[] = [];
// One that is left would answer to the next test's events.
afterEach(() => {
  for (const connection of started.splice(0)) void connection.stop();
});

const settle = () => vi.advanceTimersByTimeAsync(5);

async function connected(password = 'test', options: Partial<HeraldOptions> = {}) {
  const connection = new HeraldConnection({ url: 'ws://h/ws', user: 'test1', password, ...options });
  connection.start();
  started.push(connection);
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
  server.publish('/queue/a', 'after');
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

test('a refused token is told as one', async () => {
  const connection = await connected('', { getToken: () => 'a-token' });
  server.last.end(4401);
  await settle();
  expect(connection.state()).toMatchObject({ status: 'ended', code: 4401, problem: 'The token was refused.' });
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

test('of five at once the refused one alone is given up: the ERROR says whose it is', async () => {
  const connection = await connected();
  server.refuses = '/elsewhere/3';
  const refused: string[] = [];
  for (const destination of ['/queue/1', '/queue/2', '/elsewhere/3', '/queue/4', '/queue/5']) {
    connection.subscribe(destination, () => {}, { onRefused: () => refused.push(destination) });
  }
  await vi.advanceTimersByTimeAsync(2_000);
  expect(refused).toEqual(['/elsewhere/3']);
  expect(connection.state().joined).toEqual(['/queue/1', '/queue/2', '/queue/4', '/queue/5']);
});

test('one that is refused after the page has left it takes nothing with it either', async () => {
  const connection = await connected();
  server.refuses = '/elsewhere/x';
  connection.subscribe('/queue/a', () => {});
  connection.subscribe('/elsewhere/x', () => {})();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state()).toMatchObject({ status: 'connected', joined: ['/queue/a'] });
});

test('a refused send fails with what the server says, and the subscriptions come back', async () => {
  const connection = await connected();
  connection.subscribe('/queue/a', () => {});
  await settle();
  server.refuses = '/queue/b';
  await expect(connection.send('/queue/b', 'x')).rejects.toMatchObject({
    failure: 'refused',
    message: '/queue/b: no such prefix',
  });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state()).toMatchObject({ status: 'connected', joined: ['/queue/a'] });
  expect(connection.state().problem).toBeUndefined();
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
  const unanswered = expect(connection.send('/app/x', 'lost')).rejects.toMatchObject({ failure: 'lost' });
  server.last.end(1006);
  await unanswered;
  await expect(connection.send('/app/x', 'none')).rejects.toMatchObject({ failure: 'away', message: 'Not connected.' });
});

test('a SEND that the server does not answer fails in time, and an answer that comes later changes nothing', async () => {
  const connection = await connected();
  const answer = vi.spyOn(server, 'answer').mockImplementation(() => {});
  const soon = expect(connection.send('/app/x', 'a', { timeoutMs: 1_000 })).rejects.toMatchObject({
    failure: 'unanswered',
  });
  const late = vi.fn();
  connection.send('/app/x', 'b').catch(late);
  await vi.advanceTimersByTimeAsync(1_000);
  await soon;
  server.last.write('RECEIPT', { 'receipt-id': 'send-1' });
  await vi.advanceTimersByTimeAsync(28_900);
  expect(late).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(late).toHaveBeenCalledWith(expect.objectContaining({ failure: 'unanswered' }));
  answer.mockRestore();
  await connection.send('/app/x', 'c');
  expect(connection.state().status).toBe('connected');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(late).toHaveBeenCalledTimes(1);
});

test('a SEND that is refused after its time is over takes nothing with it, and the reason is told', async () => {
  const connection = await connected();
  connection.subscribe('/queue/a', () => {});
  await settle();
  vi.spyOn(server, 'answer').mockImplementationOnce(() => {});
  const late = expect(connection.send('/queue/b', 'x', { timeoutMs: 1_000 })).rejects.toMatchObject({
    failure: 'unanswered',
  });
  await vi.advanceTimersByTimeAsync(1_000);
  await late;
  server.last.write('ERROR', { message: '/queue/b: no such prefix', 'receipt-id': 'send-1' });
  server.last.end(1008);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state()).toMatchObject({
    status: 'connected',
    joined: ['/queue/a'],
    problem: '/queue/b: no such prefix',
  });
  // A receipt of the connection before, and one that was never sent, are no SEND of this one.
  server.last.write('ERROR', { message: 'what?', 'receipt-id': 'send-1' });
  server.last.end(1008);
  await settle();
  expect(connection.state()).toMatchObject({ status: 'ended', problem: 'what?' });
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

test('all who listen to a destination share one SUBSCRIBE, and the last who leaves ends it', async () => {
  const connection = await connected();
  const heard: string[] = [];
  const first = connection.subscribe('/queue/a', () => heard.push('first'));
  await settle();
  const second = connection.subscribe('/queue/a', () => heard.push('second'));
  connection.subscribe('/queue/a', () => heard.push('own'), { headers: { ack: 'client' } });
  await settle();
  expect(server.last.subscribed).toEqual(['/queue/a', '/queue/a']);
  server.publish('/queue/a', 'x');
  expect(heard).toEqual(['first', 'second', 'own']);
  first();
  first();
  await settle();
  expect(server.last.subscriptions).toHaveLength(2);
  second();
  await settle();
  expect(server.last.subscriptions).toMatchObject([{ ack: 'client' }]);
});

test('a listener that throws harms no other', async () => {
  const connection = await connected();
  const bodies: string[] = [];
  connection.subscribe('/queue/a', () => {
    throw new Error('of the page');
  });
  connection.subscribe('/queue/a', ({ body }) => bodies.push(body));
  await settle();
  const thrown: unknown[] = [];
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((run) => {
    try {
      run();
    } catch (error) {
      thrown.push(error);
    }
  });
  server.publish('/queue/a', 'x');
  expect(bodies).toEqual(['x']);
  expect(thrown).toMatchObject([{ message: 'of the page' }]);
});

test('what may wait is sent with the next connection, in order and behind the subscriptions; 100 at most', async () => {
  const connection = await connected();
  connection.subscribe('/user/queue/answer', () => {});
  await settle();
  server.drop();
  const sends = Array.from({ length: 100 }, (_, n) => connection.send('/app/x', `${n}`, { away: 'wait' }));
  await expect(connection.send('/app/x', 'one more', { away: 'wait' })).rejects.toMatchObject({ failure: 'full' });
  await vi.advanceTimersByTimeAsync(2_000);
  await Promise.all(sends);
  expect(server.sent.map(({ body }) => body)).toEqual(sends.map((_, n) => `${n}`));
  expect(server.last.frames.slice(0, 3).map(({ command }) => command)).toEqual(['CONNECT', 'SUBSCRIBE', 'SEND']);
  server.drop();
  const waits = expect(connection.send('/app/x', 'never', { away: 'wait' })).rejects.toMatchObject({
    failure: 'ended',
  });
  await connection.stop();
  await waits;
});

test('a line break around a token is cut off, and what is no token fails the attempt with words that name why', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const texts: unknown[] = ['to ken', 'tok\nen', 'töken', '\n', undefined, '\r\ntoken\n'];
  const problems: (string | undefined)[] = [];
  const connection = new HeraldConnection({ url: 'ws://h/ws', getToken: async () => texts.shift() as string });
  connection.listen(() => {
    const { problem } = connection.state();
    if (problem !== problems.at(-1)) problems.push(problem);
  });
  connection.start();
  await vi.advanceTimersByTimeAsync(200_000);
  expect(problems).toEqual([
    'No token: getToken returned no token: character 3 of it is U+0020',
    'No token: getToken returned no token: character 4 of it is U+000A',
    'No token: getToken returned no token: character 2 of it is U+00F6',
    'No token: getToken returned an empty string',
    'No token: getToken returned undefined, not a string',
    undefined,
  ]);
  expect(connection.state().status).toBe('connected');
  expect(server.sockets).toHaveLength(1);
  expect(server.last.frames[0]?.headers).toMatchObject({ Authorization: 'Bearer token' });
  await connection.stop();
});

test('the token is asked for at each attempt, and a failure to get one is a failed attempt', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const tokens = ['token', new Error('no network'), 'token', 'token'];
  const getToken = vi.fn(async () => {
    const token = tokens.shift();
    if (typeof token !== 'string') throw token;
    return token;
  });
  const connection = await connected(undefined, { user: undefined, getToken });
  expect(server.last.frames[0]?.headers).toMatchObject({ Authorization: 'Bearer token' });
  server.drop();
  await vi.advanceTimersByTimeAsync(701);
  expect(connection.state()).toMatchObject({ status: 'reconnecting', attempt: 2, problem: 'No token: no network' });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state().status).toBe('connected');
  server.expireTokens();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(connection.state().status).toBe('connected');
  expect(getToken).toHaveBeenCalledTimes(4);
  server.token = 'another';
  getToken.mockResolvedValue('refused');
  server.drop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connection.state()).toMatchObject({ status: 'ended', code: 4401 });
  expect(getToken).toHaveBeenCalledTimes(5);
});

test('an expired session is the end for who has nothing to present', async () => {
  // It takes whoever presents nothing.
  Object.assign(server, { password: undefined });
  const connection = await connected('', { user: undefined, password: undefined });
  server.expireTokens();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connection.state()).toMatchObject({ status: 'ended', code: 4401, problem: 'token expired' });
  expect(server.sockets).toHaveLength(1);
});

test('whoever comes back with a credential that has expired too is not let in a third time', async () => {
  const connection = await connected();
  vi.spyOn(server, 'answer').mockImplementation((socket, { command }) => {
    if (command === 'CONNECT') server.expireTokens();
    else socket.end(1000);
  });
  server.expireTokens();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connection.state()).toMatchObject({ status: 'ended', code: 4401, problem: 'token expired' });
  expect(server.sockets).toHaveLength(2);
});

test('a connection that swallows bytes is given up by its heart-beats, without waiting for its close', async () => {
  const connection = await connected();
  vi.spyOn(server, 'answer').mockImplementationOnce((socket) => {
    socket.write('CONNECTED', { version: '1.2', 'heart-beat': '10000,10000' });
  });
  server.drop();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(connection.state().status).toBe('connected');
  vi.spyOn(server.last, 'close').mockImplementation(() => {});
  const count = server.sockets.length;
  await vi.advanceTimersByTimeAsync(31_000);
  expect(server.sockets.length).toBe(count + 1);
  expect(connection.state().status).toBe('connected');
});

test('another network, or a page that wakes to a silent connection: tried at once', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  const connection = await connected();
  const connectsNow = async (what: () => void) => {
    const count = server.sockets.length;
    what();
    await settle();
    return server.sockets.length - count;
  };
  const tell = (target: EventTarget, event: string) => () => void target.dispatchEvent(new Event(event));
  expect(await connectsNow(tell(window, 'online'))).toBe(0);
  expect(await connectsNow(tell(document, 'visibilitychange'))).toBe(0);
  await connectsNow(tell(window, 'offline'));
  expect(connection.state().status).toBe('connected');
  tell(window, 'online')();
  await settle();
  expect(server.sockets).toHaveLength(2);
  expect(connection.state().status).toBe('connected');

  server.down = true;
  server.drop();
  await vi.advanceTimersByTimeAsync(5_000);
  server.down = false;
  expect(await connectsNow(tell(document, 'visibilitychange'))).toBe(1);
  expect(connection.state().status).toBe('connected');

  await connection.stop();
  expect(await connectsNow(tell(window, 'online'))).toBe(0);
});
