// The promise: behind nginx, without stickiness, a browser needs one address. WebSocket and REST work by the `/backend`
// prefix, and a client whose instance dies finds the other by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Herald, Inbox, LARGE_CHAT, TLS, post, startNats, startNginx } from './support.mjs';

async function behindNginx(t, settings = {}) {
  const nats = await startNats(t);
  const start = (name) =>
    Herald.start(t, {
      HERALD_BUS__URL: nats.url,
      HERALD_INSTANCE__NAME: name,
      HERALD_HTTP__BASE_PATH: '/backend',
      ...LARGE_CHAT,
      ...settings,
    });
  const instances = { one: await start('one'), two: await start('two') };
  const port = await startNginx(t, Object.values(instances));
  return { instances, ws: `ws://127.0.0.1:${port}/backend/ws`, http: `http://127.0.0.1:${port}/backend` };
}

test('WebSocket and REST go through nginx, to both instances', async (t) => {
  const { ws, http } = await behindNginx(t);
  const origin = http.replace('/backend', '');
  const browsers = [];
  for (let n = 1; n <= 4; n += 1) browsers.push(await Browser.connect(t, ws, { user: `test${n}`, origin }));
  const used = new Set(browsers.map((browser) => browser.connected.instance));
  assert.deepEqual([...used].toSorted(), ['one', 'two']);

  const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/queue/message')));
  for (let n = 0; n < 4; n += 1) {
    const sent = await post(`${http}/api/v1/message`, { message: `m${n}`, user: 'rest' });
    assert.equal(sent.status, 202, sent.text);
    for (const inbox of inboxes) assert.equal(JSON.parse((await inbox.next()).body).message, `m${n}`);
  }
  const health = await fetch(`${http}/manage/health`);
  assert.equal((await health.json()).status, 'UP');

  // A whole large body passes in both directions.
  const text = 'z'.repeat(900 * 1024);
  await browsers[0].send('/chat/message', text);
  for (const inbox of inboxes) assert.equal(JSON.parse((await inbox.next()).body).message.length, text.length);
  for (const browser of browsers) browser.assertUnharmed();
});

test('the way behind nginx may be encrypted: it verifies the instances, and clients notice nothing', async (t) => {
  const { ws, http } = await behindNginx(t, TLS);
  const browser = await Browser.connect(t, ws, { user: 'test1', origin: http.replace('/backend', '') });
  const inbox = await browser.subscribe('/queue/message');
  const text = 'z'.repeat(900 * 1024);
  await browser.send('/chat/message', text);
  assert.equal(JSON.parse((await inbox.next()).body).message.length, text.length);
  const sent = await post(`${http}/api/v1/message`, { message: 'm', user: 'rest' });
  assert.equal(sent.status, 202, sent.text);
  assert.equal(JSON.parse((await inbox.next()).body).message, 'm');
  browser.assertUnharmed();
});

test('a client whose instance is killed comes back through nginx to the other', async (t) => {
  const { instances, ws, http } = await behindNginx(t);
  const browser = new Browser(t, ws, { reconnectDelay: 200 });
  const inbox = new Inbox('MESSAGE on /topic/news');
  const joined = new Inbox('RECEIPT of the subscription');
  browser.onConnect = (frame) => {
    const { id, done } = browser.receipt();
    browser.client.subscribe('/topic/news', (message) => inbox.push(message.body), { receipt: id });
    done.then(() => joined.push(frame.headers.instance));
  };
  browser.client.activate();
  const before = await joined.next();
  await instances[before].kill();
  await browser.closes.next();
  const after = await joined.next();
  assert.notEqual(after, before);
  const sent = await post(`${http}/api/v1/broadcast/topic/news`, 'after', { 'Content-Type': 'text/plain' });
  assert.equal(sent.status, 202, sent.text);
  assert.equal(await inbox.next(), 'after');
});
