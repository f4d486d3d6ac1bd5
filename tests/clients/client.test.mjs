// The promise: a page with the package `clients/client` in front of a running Herald misses nothing and gets nothing twice,
// however often its connection is cut; what cannot be brought back it is told; and it does not come back where Herald says so.

import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { WebSocket } from 'ws';
import { fromSource } from './packages.mjs';
import { Herald, Inbox, here, post, startNats, until } from './support.mjs';
import { Way } from './way.mjs';

let HeraldConnection;
before(async () => {
  ({ HeraldConnection } = await fromSource({ after: (end) => process.on('exit', end) }, 'client'));
});

const ORDERS = '/user/queue/orders';
const NEWS = '/topic/news';

/** A page of `test1`: what it was told, and a way to cut its connection. */
class Page {
  gaps = new Inbox('gap');
  returns = new Inbox('reconnect');
  #sockets = [];

  constructor(t, herald, options = {}) {
    this.connection = new HeraldConnection({
      url: herald.ws,
      user: 'test1',
      password: 'test',
      backoff: { baseMs: 50, capMs: 500, floorMs: 10 },
      webSocket: (url, protocols) => {
        const socket = new WebSocket(url, protocols);
        this.#sockets.push(socket);
        return socket;
      },
      onGap: ({ destination, reason }) => this.gaps.push(`${destination} ${reason}`),
      onReconnect: ({ missed, gaps }) => this.returns.push({ missed, gaps: gaps.length }),
      ...options,
    });
    t.after(() => this.connection.stop());
  }

  /** Connected, and subscribed to these. Returns their inboxes. */
  async listen(...destinations) {
    const inboxes = destinations.map((destination) => {
      const inbox = new Inbox(`MESSAGE on ${destination}`);
      this.connection.subscribe(destination, ({ body }) => inbox.push(body));
      return inbox;
    });
    this.connection.start();
    await this.joined(...destinations);
    return inboxes;
  }

  joined(...destinations) {
    return until(`joined ${destinations}`, () =>
      destinations.every((destination) => this.connection.state().joined.includes(destination)),
    );
  }

  status(wanted) {
    return until(`status ${wanted}`, () => this.connection.state().status === wanted);
  }

  /** No goodbye from either side. */
  cut() {
    this.#sockets.at(-1)?.terminate();
  }

  get connections() {
    return this.#sockets.length;
  }
}

async function publish(herald, destination, payload, user) {
  const answer = await post(`${herald.http}/api/v1/notifications`, { destination, payload, ...(user && { user }) });
  assert.equal(answer.status, 202, answer.text);
}

test('through twelve cuts under a stream of notifications nothing is lost or doubled, and the order stays', async (t) => {
  const herald = await Herald.start(t);
  const page = new Page(t, herald);
  const [orders, news] = await page.listen(ORDERS, NEWS);
  const wanted = Array.from({ length: 240 }, (_, n) => `${n}`);
  for (const n of wanted) {
    if (n % 20 === 10) {
      await page.status('connected');
      page.cut();
    }
    await Promise.all([publish(herald, '/queue/orders', Number(n), 'test1'), publish(herald, NEWS, Number(n))]);
  }
  await orders.next((body) => body === '239');
  await news.next((body) => body === '239');
  assert.deepEqual(orders.items, wanted);
  assert.deepEqual(news.items, wanted);
  assert.deepEqual(page.gaps.items, []);
  assert.ok(page.connections > 12, `${page.connections} connections`);
  assert.ok(page.returns.items.some(({ missed }) => missed > 0), 'something was missed, and brought back');
});

test('what was not acknowledged when the connection was lost comes again', async (t) => {
  const herald = await Herald.start(t);
  const page = new Page(t, herald);
  const got = new Inbox('MESSAGE');
  const headers = { ack: 'client-individual' };
  page.connection.subscribe(ORDERS, (message) => got.push(message), { headers });
  page.connection.start();
  await page.joined(ORDERS);
  for (const n of [1, 2, 3]) await publish(herald, '/queue/orders', n, 'test1');
  const [first, , third] = [await got.next(), await got.next(), await got.next()];
  first.ack();
  third.ack();
  page.cut();
  assert.equal((await got.next()).body, '2');
  assert.equal((await got.next()).body, '3');
  assert.deepEqual(page.gaps.items, []);
});

test('the instance is killed, and its history with it: the page is told, comes back and is live', async (t) => {
  const herald = await Herald.start(t);
  const page = new Page(t, herald);
  const [orders] = await page.listen(ORDERS);
  await publish(herald, '/queue/orders', 1, 'test1');
  await orders.next();
  await herald.kill();
  await page.status('reconnecting');
  await assert.rejects(page.connection.send('/chat/message', 'at once'), { failure: 'away' });
  const waiting = page.connection.send('/chat/message', 'later', { away: 'wait' });
  await herald.restart(t);
  assert.equal(await page.gaps.next(), `${ORDERS} epoch-changed`);
  await waiting;
  await publish(herald, '/queue/orders', 2, 'test1');
  assert.equal(await orders.next(), '2');
  assert.deepEqual(page.connection.state().returned.gaps, [{ destination: ORDERS, reason: 'epoch-changed' }]);
});

test('the instance is killed, and the page goes on at another, over a history on NATS: nothing is lost or doubled', async (t) => {
  const nats = await startNats(t, { jetstream: true });
  const settings = { HERALD_BUS__URL: nats.url, HERALD_HISTORY__ENABLED: 'true' };
  const [first, second] = [await Herald.start(t, settings), await Herald.start(t, settings)];
  // As a balancer does: to the one that is left.
  let now = first;
  const page = new Page(t, first, { webSocket: (_, protocols) => new WebSocket(now.ws, protocols) });
  const [orders, news] = await page.listen(ORDERS, NEWS);
  const wanted = Array.from({ length: 60 }, (_, n) => `${n}`);
  for (const n of wanted) {
    if (n === '30') {
      await first.kill();
      now = second;
    }
    await Promise.all([publish(second, '/queue/orders', Number(n), 'test1'), publish(second, NEWS, Number(n))]);
  }
  await orders.next((body) => body === '59');
  await news.next((body) => body === '59');
  assert.deepEqual(orders.items, wanted);
  assert.deepEqual(news.items, wanted);
  assert.deepEqual(page.gaps.items, []);
});

test('a connection that swallows bytes is replaced, and what it has swallowed comes', async (t) => {
  const herald = await Herald.start(t, { HERALD_HEARTBEAT__SEND: '1s', HERALD_HEARTBEAT__RECEIVE: '1s' });
  const way = await Way.start(t, herald.port);
  const page = new Page(t, way, { heartbeatMs: 1_000 });
  const [orders] = await page.listen(ORDERS);
  await publish(herald, '/queue/orders', 1, 'test1');
  await orders.next();
  way.swallow();
  await publish(herald, '/queue/orders', 2, 'test1');
  assert.equal(await orders.next(), '2');
  assert.ok(page.connections > 1);
  assert.deepEqual(page.gaps.items, []);
});

test('more than a resume may replay is a gap, and nothing of it comes', async (t) => {
  const herald = await Herald.start(t, { HERALD_HISTORY__REPLAY_MESSAGES: '3' });
  const page = new Page(t, herald, { backoff: { baseMs: 0, capMs: 0, floorMs: 3_600_000 } });
  const [orders] = await page.listen(ORDERS);
  page.cut();
  await page.status('reconnecting');
  for (const n of [1, 2, 3, 4]) await publish(herald, '/queue/orders', n, 'test1');
  await until('the wait', () => page.connection.state().retryAt);
  page.connection.retryNow();
  assert.equal(await page.gaps.next(), `${ORDERS} too-many`);
  await publish(herald, '/queue/orders', 5, 'test1');
  assert.equal(await orders.next(), '5');
});

test('what is not kept is a gap after each loss', async (t) => {
  const herald = await Herald.start(t, { HERALD_CONFIG: path.join(here, 'kept-queue.toml') });
  const page = new Page(t, herald);
  await page.listen(NEWS, ORDERS);
  page.cut();
  assert.equal(await page.gaps.next(), `${NEWS} history-off`);
  assert.deepEqual(await page.returns.next(), { missed: 0, gaps: 1 });
});

test('one refused subscription of five, and one refused send, take nothing with them', async (t) => {
  const herald = await Herald.start(t);
  const page = new Page(t, herald);
  const refused = new Inbox('refused');
  const good = ['/queue/1', '/queue/2', '/queue/4', '/queue/5'];
  for (const destination of [...good.slice(0, 2), '/elsewhere/3', ...good.slice(2)]) {
    page.connection.subscribe(destination, () => {}, { onRefused: (reason) => refused.push(reason) });
  }
  page.connection.start();
  assert.match(await refused.next(), /\/elsewhere\/3/);
  await page.joined(...good);
  await assert.rejects(page.connection.send('/queue/1', 'no permission'), { failure: 'refused', message: /\/queue\/1/ });
  await page.status('connected');
  await page.joined(...good);
  assert.equal(refused.items.length, 1);
});

test('a wrong password and the word of an operator are the end', async (t) => {
  const herald = await Herald.start(t);
  const wrong = new Page(t, herald, { password: 'wrong' });
  wrong.connection.start();
  await wrong.status('ended');
  assert.equal(wrong.connection.state().code, 4401);
  assert.equal(wrong.connections, 1);

  const page = new Page(t, herald);
  await page.listen(ORDERS);
  const answer = await fetch(`${herald.http}/api/v1/users/test1/sessions`, {
    method: 'DELETE',
    headers: { authorization: `Basic ${btoa('admin:test')}` },
  });
  assert.equal(answer.status, 202);
  await page.status('ended');
  assert.equal(page.connection.state().code, 4403);
  assert.equal(page.connections, 1);
});
