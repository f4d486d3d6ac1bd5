// The promise: a session that ends is renewed in its connection before that, by a credential that is asked for then; what fails is
// tried again while there is time, and is no reason to lose the connection.

import { afterEach, expect, test, vi } from 'vitest';
import { HeraldConnection, type HeraldOptions } from '../src/index.js';
import { server } from './server.js';

const started: HeraldConnection[] = [];
afterEach(() => {
  for (const connection of started.splice(0)) void connection.stop();
});

async function connected(options: Partial<HeraldOptions> = {}) {
  const connection = new HeraldConnection({ url: 'ws://h/ws', ...options });
  connection.start();
  started.push(connection);
  await vi.advanceTimersByTimeAsync(5);
  return connection;
}

const renewals = () => server.sent.filter(({ headers }) => headers.destination === '/app/herald/auth');

test('a token is renewed a minute before its end, over and over, without a reconnect', async () => {
  server.expiresInMs = 600_000;
  const tokens = ['token', 'token', 'third', 'fourth'];
  const getToken = vi.fn(async () => tokens.shift() ?? 'more');
  const connection = await connected({ getToken });
  await vi.advanceTimersByTimeAsync(539_000);
  expect(renewals()).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(renewals().map(({ headers }) => headers.Authorization)).toEqual(['Bearer token']);
  server.token = 'third';
  await vi.advanceTimersByTimeAsync(540_000);
  server.token = 'fourth';
  await vi.advanceTimersByTimeAsync(540_000);
  expect(renewals().map(({ headers }) => headers.Authorization)).toEqual([
    'Bearer token',
    'Bearer third',
    'Bearer fourth',
  ]);
  expect(server.sockets).toHaveLength(1);
  expect(connection.state().status).toBe('connected');
});

test('a short life is renewed after two thirds, and a password does it as well', async () => {
  server.expiresInMs = 9_000;
  await connected({ user: 'test1', password: 'test' });
  await vi.advanceTimersByTimeAsync(5_900);
  expect(renewals()).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(200);
  expect(renewals().map(({ headers }) => [headers.login, headers.passcode])).toEqual([['test1', 'test']]);
});

test('a session without an end is never renewed', async () => {
  await connected({ user: 'test1', password: 'test' });
  await vi.advanceTimersByTimeAsync(100_000_000);
  expect(renewals()).toHaveLength(0);
});

test('a life that is longer than a timer holds is renewed in time', async () => {
  server.expiresInMs = 2 ** 31 + 1_000_000;
  await connected({ user: 'test1', password: 'test' });
  await vi.advanceTimersByTimeAsync(2 ** 31 + 930_000);
  expect(renewals()).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(renewals()).toHaveLength(1);
});

test('a token that cannot be had, or is refused, is asked for again while there is time', async () => {
  server.expiresInMs = 600_000;
  const answers = ['token', new Error('no network'), 'refused', 'token'];
  const getToken = vi.fn(async () => {
    const answer = answers.shift() ?? 'token';
    if (typeof answer !== 'string') throw answer;
    return answer;
  });
  const connection = await connected({ getToken });
  await vi.advanceTimersByTimeAsync(541_000);
  expect([getToken.mock.calls.length, renewals().length]).toEqual([2, 0]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect([getToken.mock.calls.length, renewals().length]).toEqual([3, 1]);
  await vi.advanceTimersByTimeAsync(15_000);
  expect([getToken.mock.calls.length, renewals().length]).toEqual([4, 2]);
  expect(connection.state().status).toBe('connected');
  expect(server.sockets).toHaveLength(1);
});

test('a server that does not take the renewal costs a reconnect and nothing more', async () => {
  server.expiresInMs = 9_000;
  server.refuses = undefined;
  const connection = await connected({ user: 'test1', password: 'test' });
  const answer = server.answer.bind(server);
  const refusing = vi.spyOn(server, 'answer').mockImplementation((socket, frame) => {
    if (frame.command !== 'SEND') return answer(socket, frame);
    socket.write('ERROR', { message: 'no such prefix', 'receipt-id': frame.headers.receipt ?? '' });
    socket.end(1008, 'no such prefix');
  });
  await vi.advanceTimersByTimeAsync(6_100);
  refusing.mockRestore();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state().status).toBe('connected');
  expect(server.sockets).toHaveLength(2);
});

test('a renewal that is refused after the next was sent costs no more than that', async () => {
  server.expiresInMs = 600_000;
  const connection = await connected({ user: 'test1', password: 'test' });
  vi.spyOn(server, 'answer').mockImplementationOnce(() => {});
  vi.spyOn(server, 'answer').mockImplementationOnce(() => {});
  await vi.advanceTimersByTimeAsync(575_000);
  expect(renewals().map(({ headers }) => headers.receipt)).toEqual(['renewal-1', 'renewal-2']);
  server.last.write('ERROR', { message: 'no such prefix', 'receipt-id': 'renewal-1' });
  server.last.end(1008, 'no such prefix');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connection.state().status).toBe('connected');
  expect(server.sockets).toHaveLength(2);
});
