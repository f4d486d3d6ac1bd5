// The promise: the lines for stompjs in README.md work as they stand: what came while the connection was away comes then, a gap
// is told, a wrong password is tried once, and pages do not come back all at once.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as stompjs from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { Herald, Inbox, here, post } from './support.mjs';

const readme = readFileSync(path.join(here, '../../README.md'), 'utf8');
const [, lines] = readme.match(/```js\n(import \{ Client \} from '@stomp\/stompjs';[\s\S]*?)```/);

/** Runs README.md's lines against `herald`, with another password if one is given: what they print, and their sockets. */
function run(t, herald, password = 'test') {
  const [printed, closes] = [new Inbox('a line'), new Inbox('close')];
  let client;
  const sockets = [];
  class Client extends stompjs.Client {
    constructor(options) {
      super(options);
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
  t.after(async () => {
    await client.deactivate();
    globalThis.WebSocket = before;
  });
  const program = lines
    .replace(/^import .*$/m, '')
    .replace('ws://127.0.0.1:8080/ws', herald.ws)
    .replace('test1:test', `test1:${password}`);
  new Function('Client', 'console', program)(Client, { log: print, error: print });
  return { printed, closes, sockets, client };
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
  const { printed, closes, sockets, client } = run(t, herald, 'wrong');
  assert.equal(await printed.next(), 'authentication failed');
  assert.equal(await closes.next(), 4401);
  assert.equal(client.active, false);
  assert.equal(sockets.length, 1);
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
