// The promise: the lines that docs/history.md gives for a stock stompjs are all that a client needs. They are taken from
// that page and run here: what came while the connection was away is not missed, and a gap that cannot be closed is said.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { Herald, Inbox, here, post } from './support.mjs';

const page = readFileSync(path.join(here, '../../docs/history.md'), 'utf8');
const [, lines] = page.match(/```js\n([\s\S]*?)```/);
/** The page's `follow`, with its own positions. */
const followOf = () => new Function(`${lines}; return follow;`)();

const DESTINATION = '/user/queue/orders';

/** A client of `herald` that follows its orders, and what it was told. */
function following(t, herald) {
  const [shown, reloads, connects] = ['MESSAGEs', 'reloads', 'connections'].map((what) => new Inbox(what));
  const follow = followOf();
  let socket;
  const client = new Client({
    webSocketFactory: () => (socket = new WebSocket(herald.ws)),
    connectHeaders: { login: 'test1', passcode: 'test' },
    reconnectDelay: 300,
    onConnect: () => {
      follow(client, DESTINATION, (message) => shown.push(message.body), (reason) => reloads.push(reason));
      connects.push(true);
    },
  });
  client.activate();
  t.after(() => client.deactivate());
  return { client, shown, reloads, connects, cut: () => socket.terminate() };
}

/** Returns once the server has done what the client sent before. */
async function settled(client) {
  const passed = new Inbox('the RECEIPT');
  client.watchForReceipt('settled', () => passed.push(true));
  client.publish({ destination: '/chat/message', body: 'x', headers: { receipt: 'settled' } });
  await passed.next();
}

async function order(herald, payload) {
  const answer = await post(`${herald.http}/api/v1/notifications`, {
    destination: '/queue/orders',
    user: 'test1',
    payload,
  });
  assert.equal(answer.status, 202, answer.text);
}

test('what came while the connection was away is shown once, in order', async (t) => {
  const herald = await Herald.start(t);
  const { client, shown, reloads, connects, cut } = following(t, herald);
  await connects.next();
  await settled(client);
  await order(herald, 0);
  assert.equal(await shown.next(), '0');
  for (let round = 1; round <= 3; round += 1) {
    cut();
    for (let n = 0; n < 5; n += 1) await order(herald, round * 10 + n);
    await connects.next();
    for (let n = 0; n < 5; n += 1) assert.equal(await shown.next(), String(round * 10 + n));
  }
  assert.deepEqual(reloads.items, []);
  assert.equal(shown.items.length, 16);
  await client.deactivate();
});

test('a subscription that has heard nothing resumes by its RECEIPT', async (t) => {
  const herald = await Herald.start(t);
  const { client, shown, reloads, connects, cut } = following(t, herald);
  await connects.next();
  await settled(client);
  cut();
  await order(herald, 'missed');
  assert.equal(await shown.next(), '"missed"');
  assert.deepEqual(reloads.items, []);
});

test('where nothing is kept every reconnect is a reload', async (t) => {
  const herald = await Herald.start(t, { HERALD_HISTORY__USER: 'false' });
  const { client, shown, reloads, connects, cut } = following(t, herald);
  await connects.next();
  await settled(client);
  assert.deepEqual(reloads.items, []);
  for (let round = 0; round < 2; round += 1) {
    cut();
    assert.equal(await reloads.next(), 'history-off');
  }
  await order(herald, 1);
  assert.equal(await shown.next(), '1');
});

test('after a restart the client is told to reload, and is live', async (t) => {
  const herald = await Herald.start(t);
  const { client, shown, reloads, connects } = following(t, herald);
  await connects.next();
  await settled(client);
  await order(herald, 1);
  await shown.next();
  await herald.kill();
  await herald.restart(t);
  assert.equal(await reloads.next(), 'epoch-changed');
  await order(herald, 2);
  assert.equal(await shown.next(), '2');
});
