// The promise: the lines for stompjs in README.md work as they stand: what came while the connection was away comes then, a gap
// is told, a wrong password is tried once, an end by an operator or a newer session is the end, pages do not come back all at once,
// a dead connection is replaced, and a page that is back online or seen again does not wait.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as stompjs from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { Browser, Herald, Inbox, here, post } from './support.mjs';
import { Way } from './way.mjs';

const readme = readFileSync(path.join(here, '../../README.md'), 'utf8');
const [, lines] = readme.match(/```js\n(import \{ Client \} from '@stomp\/stompjs';[\s\S]*?)```/);

/** Runs README.md's lines against `herald`, with another password or heart-beats if they are given: what they print, their sockets,
 *  and the way to tell them of the browser's events. */
function run(t, herald, { password = 'test', heartbeat } = {}) {
  const [printed, closes] = [new Inbox('a line'), new Inbox('close')];
  let client;
  const sockets = [];
  class Client extends stompjs.Client {
    constructor(options) {
      super(options);
      if (heartbeat) Object.assign(this, { heartbeatIncoming: heartbeat, heartbeatOutgoing: heartbeat });
      client = this;
    }
  }
  class Socket extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      sockets.push(this);
      this.addEventListener('close', ({ code }) => closes.push(code));
    }
  }
  const print = (...words) => printed.push(words.map((word) => (typeof word === 'object' ? JSON.stringify(word) : word)).join(' '));
  // stompjs takes the browser's own.
  const before = globalThis.WebSocket;
  globalThis.WebSocket = Socket;
  const window = new EventTarget();
  globalThis.addEventListener = window.addEventListener.bind(window);
  t.after(async () => {
    await client.deactivate();
    globalThis.WebSocket = before;
    delete globalThis.addEventListener;
  });
  const program = lines
    .replace(/^import .*$/m, '')
    .replace('ws://127.0.0.1:8080/ws', herald.ws)
    .replace('test1:test', `test1:${password}`);
  new Function('Client', 'console', program)(Client, { log: print, error: print });
  return { printed, closes, sockets, client, tell: (event) => window.dispatchEvent(new Event(event)) };
}

/** A notification to the page's user. */
async function order(herald, id) {
  const body = { destination: '/queue/orders', user: 'test1', payload: { id } };
  const answer = await post(`${herald.http}/api/v1/notifications`, body);
  assert.equal(answer.status, 202, answer.text);
}

/** Returns once both subscriptions have joined. */
async function listening(client) {
  const connected = new Inbox('CONNECTED');
  const { onConnect } = client;
  client.onConnect = (frame) => {
    onConnect(frame);
    client.watchForReceipt('all', () => connected.push(true));
    client.publish({ destination: '/chat/message', body: 'x', headers: { receipt: 'all' } });
  };
  await connected.next();
  return connected;
}

test('what came while the connection was away is not missed, and after a restart the page is told', async (t) => {
  const herald = await Herald.start(t);
  const { printed, sockets, client } = run(t, herald);
  const connected = await listening(client);
  await order(herald, 1);
  assert.equal(await printed.next(), 'me: {"id":1}');
  sockets.at(-1).terminate();
  await order(herald, 2);
  await post(`${herald.http}/api/v1/broadcast/topic/news`, 'to everyone', { 'Content-Type': 'text/plain' });
  await connected.next();
  const missed = [await printed.next(), await printed.next()];
  assert.deepEqual(missed.sort(), ['everyone: to everyone', 'me: {"id":2}']);
  await herald.kill();
  await herald.restart(t);
  assert.equal(await printed.next(), 'something was missed, load the state again: epoch-changed');
});

test('a wrong password is tried once', async (t) => {
  const herald = await Herald.start(t);
  const { printed, closes, sockets, client } = run(t, herald, { password: 'wrong' });
  assert.equal(await printed.next(), 'authentication failed');
  assert.equal(await closes.next(), 4401);
  assert.equal(client.active, false);
  assert.equal(sockets.length, 1);
});

test('disconnected by an operator, or replaced by a newer session: the client stays away', async (t) => {
  const herald = await Herald.start(t, { HERALD_LIMITS__SESSIONS_PER_USER: '1' });
  const ended = async (end) => {
    const { printed, closes, sockets, client } = run(t, herald);
    await listening(client);
    await end();
    const code = await closes.next();
    await printed.next();
    assert.equal(client.active, false);
    assert.equal(sockets.length, 1);
    return code;
  };
  const authorization = `Basic ${btoa('admin:test')}`;
  const disconnect = () => fetch(`${herald.http}/api/v1/users/test1/sessions`, { method: 'DELETE', headers: { authorization } });
  assert.equal(await ended(disconnect), 4403);
  assert.equal(await ended(() => Browser.connect(t, herald.ws, { user: 'test1' })), 4409);
});

test('a connection that swallows bytes is replaced by its heart-beats, and at once when the browser is back online', async (t) => {
  const herald = await Herald.start(t, { HERALD_HEARTBEAT__SEND: '1s', HERALD_HEARTBEAT__RECEIVE: '1s' });
  for (const [heartbeat, event] of [[1_000], [60_000, 'online']]) {
    const way = await Way.start(t, herald.port);
    const { printed, client, tell } = run(t, way, { heartbeat });
    const connected = await listening(client);
    way.swallow();
    await order(herald, 1);
    const swallowed = Date.now();
    if (event) tell(event);
    await connected.next();
    // Without the lines, the close waits for 30 s.
    assert.ok(Date.now() - swallowed < (event ? 3_000 : 8_000), `${heartbeat}: ${Date.now() - swallowed} ms`);
    assert.equal(await printed.next(), 'me: {"id":1}');
    await client.deactivate();
  }
});

test('back online, or seen again: the wait is over', async (t) => {
  const herald = await Herald.start(t);
  const { client, tell } = run(t, herald);
  const connected = await listening(client);
  const real = globalThis.setTimeout;
  const waits = new Inbox('a wait');
  globalThis.setTimeout = (act, ms, ...rest) => {
    if (!new Error().stack.includes('backOff')) return real(act, ms, ...rest);
    // It would last for ever.
    waits.push(ms);
  };
  t.after(() => {
    globalThis.setTimeout = real;
  });
  for (const event of ['online', 'visibilitychange']) {
    await herald.kill();
    await waits.next();
    await herald.restart(t);
    assert.equal(client.connected, false);
    tell(event);
    await connected.next();
  }
});

test('each wait is random, under a ceiling that doubles until there is a connection', async (t) => {
  const herald = await Herald.start(t);
  const { client } = run(t, herald);
  await listening(client);
  const [waits, real] = [[], globalThis.setTimeout];
  const [random, drawn] = [Math.random, [1, 0.5, 1, 0.25]];
  Math.random = () => drawn.shift() ?? 0;
  // Of the lines alone: stompjs and ws have timers of their own.
  globalThis.setTimeout = (act, ms, ...rest) => {
    if (new Error().stack.includes('backOff')) {
      waits.push(ms);
      return real(act, 0);
    }
    return real(act, ms, ...rest);
  };
  t.after(() => {
    globalThis.setTimeout = real;
    Math.random = random;
  });
  await herald.kill();
  while (waits.length < 4) await new Promise((done) => real(done, 5));
  assert.deepEqual(waits.slice(0, 4), [500, 500, 2_000, 1_000]);
  await herald.restart(t);
});
