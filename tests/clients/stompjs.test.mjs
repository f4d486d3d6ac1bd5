// The promise: stompjs 7, as browsers run it, does everything it can do: receipts, transactions, binary and large
// bodies, acknowledgements, heart-beats, an orderly end, and coming back after a restart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Herald, Inbox, LARGE_CHAT, base64, post, until } from './support.mjs';

test('logs in as the browser does, and learns who and where it is', async (t) => {
  const herald = await Herald.start(t, { HERALD_INSTANCE__NAME: 'one' });
  const browser = await Browser.connect(t, herald.ws, { user: 'test3' });
  assert.equal(browser.connected.version, '1.2');
  assert.equal(browser.connected['user-name'], 'test3');
  assert.equal(browser.connected.instance, 'one');
  assert.match(browser.connected.server, /^herald\/\d/);
  assert.ok(browser.connected.session);
  assert.equal(browser.connected['heart-beat'], '10000,10000');
  assert.equal(browser.socket.protocol, 'v12.stomp');
  browser.assertUnharmed();
});

test('every form of the credentials works, and a wrong one is refused alike for known and unknown users', async (t) => {
  const herald = await Herald.start(t);
  for (const connectHeaders of [
    { 'X-Authorization': base64('test1:test') },
    { 'X-Authorization': `Basic ${base64('test1:test')}` },
    { Authorization: `Basic ${base64('test1:test')}` },
    { login: 'test1', passcode: 'test' },
  ]) {
    const browser = await Browser.connect(t, herald.ws, { connectHeaders });
    assert.equal(browser.connected['user-name'], 'test1', JSON.stringify(connectHeaders));
    await browser.client.deactivate();
  }
  const refusals = [];
  for (const connectHeaders of [
    {},
    { 'X-Authorization': base64('test1:wrong') },
    { 'X-Authorization': base64('nobody:test') },
    { 'X-Authorization': '%%%' },
  ]) {
    const browser = new Browser(t, herald.ws, { connectHeaders });
    browser.client.activate();
    const error = await browser.errors.next();
    assert.equal(error.headers.message, 'authentication failed');
    assert.equal((await browser.closes.next()).code, 4401);
    refusals.push(error);
    await browser.client.deactivate();
  }
  assert.deepEqual(refusals[1], refusals[2], 'unknown user and wrong password look the same');
});

test('a SUBSCRIBE with receipt has joined when the RECEIPT comes', async (t) => {
  const herald = await Herald.start(t);
  const browser = await Browser.connect(t, herald.ws);
  for (let round = 0; round < 20; round += 1) {
    const inbox = await browser.subscribe(`/queue/round/${round}`);
    const sent = await post(`${herald.http}/api/v1/broadcast/queue/round/${round}`, `${round}`, {
      'Content-Type': 'text/plain',
    });
    assert.equal(sent.status, 202, sent.text);
    const message = await inbox.next();
    assert.equal(message.body, `${round}`);
    assert.equal(message.headers.destination, `/queue/round/${round}`);
    assert.equal(message.headers.subscription, inbox.subscription.id);
    inbox.subscription.unsubscribe();
  }
  browser.assertUnharmed();
});

test('a chat message comes back to everyone who listens, its author among them', async (t) => {
  const herald = await Herald.start(t);
  const author = await Browser.connect(t, herald.ws, { user: 'test1' });
  const reader = await Browser.connect(t, herald.ws, { user: 'test2' });
  const inboxes = [await author.subscribe('/queue/message'), await reader.subscribe('/queue/message')];
  const text = 'quoted "words", a\nline, Grüße 👋';
  await author.send('/chat/message', text);
  for (const inbox of inboxes) {
    const message = await inbox.next();
    const chat = JSON.parse(message.body);
    assert.equal(chat.message, text);
    assert.equal(chat.user, 'test1');
    assert.match(chat.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/);
    assert.deepEqual(Object.keys(chat), ['message', 'user', 'time']);
  }
});

test('a transaction is published at COMMIT, in order, or not at all', async (t) => {
  const herald = await Herald.start(t);
  const browser = await Browser.connect(t, herald.ws);
  const inbox = await browser.subscribe('/queue/message');
  const dropped = browser.client.begin('dropped');
  browser.client.publish({ destination: '/chat/message', body: 'never', headers: { transaction: dropped.id } });
  dropped.abort();
  const kept = browser.client.begin('kept');
  for (const body of ['first', 'second', 'third']) {
    browser.client.publish({ destination: '/chat/message', body, headers: { transaction: kept.id } });
  }
  await browser.send('/chat/message', 'outside');
  assert.equal(JSON.parse((await inbox.next()).body).message, 'outside', 'nothing before COMMIT');
  kept.commit();
  for (const body of ['first', 'second', 'third']) {
    assert.equal(JSON.parse((await inbox.next()).body).message, body);
  }
  await browser.send('/chat/message', 'last');
  assert.equal(JSON.parse((await inbox.next()).body).message, 'last', 'nothing of what was aborted');
  browser.assertUnharmed();
});

test('binary bodies arrive byte for byte', async (t) => {
  const herald = await Herald.start(t);
  const browser = await Browser.connect(t, herald.ws);
  const inbox = await browser.subscribe('/topic/bytes');
  // Every byte value, NUL and what is no UTF-8 among them.
  const bytes = Uint8Array.from({ length: 512 }, (_, at) => at % 256);
  const sent = await post(`${herald.http}/api/v1/broadcast/topic/bytes`, bytes, {
    'Content-Type': 'application/octet-stream',
  });
  assert.equal(sent.status, 202, sent.text);
  const message = await inbox.next();
  assert.deepEqual([...message.binary], [...bytes]);
  assert.equal(message.headers['content-type'], 'application/octet-stream');
  assert.equal(message.headers['content-length'], '512');
});

test('a large body goes out in split frames and comes back whole', async (t) => {
  const herald = await Herald.start(t, LARGE_CHAT);
  const browser = await Browser.connect(t, herald.ws, { splitLargeFrames: true });
  const inbox = await browser.subscribe('/queue/message');
  // Two-byte letters, so that frames are split inside what UTF-8 writes as one letter's bytes.
  const text = 'ä'.repeat(450 * 1024);
  await browser.send('/chat/message', text);
  const message = await inbox.next();
  assert.equal(JSON.parse(message.body).message, text);
  browser.assertUnharmed();
});

test('a body of 1,000 KiB arrives whole, and a binary SEND is taken', async (t) => {
  const herald = await Herald.start(t);
  const browser = await Browser.connect(t, herald.ws);
  const inbox = await browser.subscribe('/queue/message');
  const bytes = Uint8Array.from({ length: 1_000 * 1024 }, (_, at) => (at * 7) % 256);
  const sent = await post(`${herald.http}/api/v1/broadcast/queue/message`, bytes, {
    'Content-Type': 'application/octet-stream',
  });
  assert.equal(sent.status, 202, sent.text);
  const message = await inbox.next();
  assert.ok(Buffer.from(message.binary).equals(Buffer.from(bytes)), 'other bytes');
  const binaryBody = new TextEncoder().encode('in bytes, Grüße');
  browser.client.publish({ destination: '/chat/message', binaryBody });
  assert.equal(JSON.parse((await inbox.next()).body).message, 'in bytes, Grüße');
  browser.assertUnharmed();
});

test('a body over the limit is refused with words that name the limit', async (t) => {
  const herald = await Herald.start(t, { HERALD_LIMITS__BODY_BYTES: '10KiB' });
  const browser = await Browser.connect(t, herald.ws);
  browser.client.publish({ destination: '/chat/message', body: 'x'.repeat(11 * 1024) });
  const error = await browser.errors.next();
  assert.match(`${error.headers.message} ${error.body}`, /limits\.body_bytes/);
  assert.equal((await browser.closes.next()).code, 1009);
});

test('acknowledged subscriptions carry an ack header that ACK and NACK accept', async (t) => {
  const herald = await Herald.start(t);
  const browser = await Browser.connect(t, herald.ws);
  const each = await browser.subscribe('/topic/news', { ack: 'client-individual' });
  const auto = await browser.subscribe('/topic/news');
  for (const body of ['one', 'two']) {
    await post(`${herald.http}/api/v1/broadcast/topic/news`, body, { 'Content-Type': 'text/plain' });
  }
  const first = await each.next();
  const second = await each.next();
  assert.ok(first.headers.ack);
  assert.notEqual(first.headers.ack, second.headers.ack);
  assert.equal((await auto.next()).headers.ack, undefined);
  const acked = browser.receipt();
  first.ack({ receipt: acked.id });
  await acked.done;
  const nacked = browser.receipt();
  second.nack({ receipt: nacked.id });
  await nacked.done;
  browser.assertUnharmed();
});

test('heart-beats of one second go both ways and keep an idle connection', async (t) => {
  const herald = await Herald.start(t, { HERALD_HEARTBEAT__SEND: '1s', HERALD_HEARTBEAT__RECEIVE: '1s' });
  const browser = await Browser.connect(t, herald.ws, { heartbeatIncoming: 1_000, heartbeatOutgoing: 1_000 });
  assert.equal(browser.connected['heart-beat'], '1000,1000');
  const count = (word) => browser.frames.items.filter((line) => line.includes(word)).length;
  await until('four beats from the server and four from the client', () => count('PONG') >= 4 && count('PING') >= 4);
  browser.assertUnharmed();
});

test('a refused SUBSCRIBE and a refused SEND say which destination and why, and close', async (t) => {
  const herald = await Herald.start(t);
  for (const attempt of [
    (browser) => browser.client.subscribe('/nowhere/x', () => {}),
    (browser) => browser.client.publish({ destination: '/nowhere/x', body: 'x' }),
    (browser) => browser.client.publish({ destination: '/topic/x', body: 'x' }),
    (browser) => browser.client.subscribe('/chat/x', () => {}),
  ]) {
    const browser = await Browser.connect(t, herald.ws);
    attempt(browser);
    const error = await browser.errors.next();
    assert.match(`${error.headers.message} ${error.body}`, /\/(nowhere|topic|chat)\/x/);
    assert.equal((await browser.closes.next()).code, 1008);
    await browser.client.deactivate();
  }
});

test('DISCONNECT with receipt: what came before is done, RECEIPT, close 1000', async (t) => {
  const herald = await Herald.start(t);
  const witness = await Browser.connect(t, herald.ws, { user: 'test2' });
  const inbox = await witness.subscribe('/queue/message');
  const leaving = await Browser.connect(t, herald.ws, { user: 'test1' });
  const farewell = new Inbox('onDisconnect');
  leaving.client.onDisconnect = (frame) => farewell.push(frame.headers);
  leaving.client.publish({ destination: '/chat/message', body: 'bye' });
  await leaving.client.deactivate();
  assert.ok((await farewell.next())['receipt-id']);
  assert.equal((await leaving.closes.next()).code, 1000);
  assert.deepEqual(leaving.errors.items, []);
  assert.equal(JSON.parse((await inbox.next()).body).message, 'bye');
});

test('a restart closes with 1001, and the client comes back and hears again', async (t) => {
  const herald = await Herald.start(t);
  const browser = new Browser(t, herald.ws, { reconnectDelay: 200 });
  const inbox = new Inbox('MESSAGE on /topic/news');
  const joined = new Inbox('RECEIPT of the subscription');
  browser.onConnect = () => {
    const { id, done } = browser.receipt();
    browser.client.subscribe('/topic/news', (message) => inbox.push(message.body), { receipt: id });
    done.then(() => joined.push(id));
  };
  browser.client.activate();
  await joined.next();
  const ended = await herald.stop();
  assert.deepEqual(ended, { code: 0, signal: null });
  assert.equal((await browser.closes.next()).code, 1001);
  await herald.restart(t);
  await joined.next();
  await post(`${herald.http}/api/v1/broadcast/topic/news`, 'again', { 'Content-Type': 'text/plain' });
  assert.equal(await inbox.next(), 'again');
});
