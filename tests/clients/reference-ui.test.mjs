// The promise: a chat UI written for a Spring service behind a broker relay works by changing the address alone. The
// steps are that UI's own, in its order, with its timing; each test runs with and without the `/backend` prefix.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Herald, Inbox, base64, delay, post } from './support.mjs';

const PREFIXES = ['', '/backend'];
const start = (t, prefix, settings = {}) =>
  Herald.start(t, { ...(prefix ? { HERALD_HTTP__BASE_PATH: prefix } : {}), ...settings });

/** What the UI does on connecting: its five subscriptions in its order, and 200 ms later its two questions. */
async function open(t, url, user) {
  const browser = await Browser.connect(t, url, { user });
  const ui = { browser };
  ui.messages = browser.subscribeNow('/queue/message');
  ui.initMessages = browser.subscribeNow('/user/queue/init/messages');
  ui.users = browser.subscribeNow('/queue/users');
  ui.initUsers = browser.subscribeNow('/user/queue/init/users');
  ui.errors = browser.subscribeNow('/user/chat/errors');
  await delay(200);
  browser.client.publish({ destination: '/chat/init/users' });
  browser.client.publish({ destination: '/chat/init/messages' });
  ui.online = JSON.parse((await ui.initUsers.next()).body);
  ui.history = JSON.parse((await ui.initMessages.next()).body);
  return ui;
}

for (const prefix of PREFIXES) {
  const at = prefix || '/';

  test(`under ${at}: CONNECT with X-Authorization alone, heart-beats 10000,10000 (U1)`, async (t) => {
    const herald = await start(t, prefix);
    for (const user of ['test1', 'test10']) {
      const browser = await Browser.connect(t, herald.ws, { user });
      assert.equal(browser.connected.version, '1.2');
      assert.equal(browser.connected['heart-beat'], '10000,10000');
      assert.equal(browser.connected['user-name'], user);
      assert.ok(browser.connected.session);
      const sent = browser.frames.items.find((line) => line.startsWith('>>> CONNECT'));
      assert.ok(sent.includes(`X-Authorization:${base64(`${user}:test`)}`), sent);
      assert.ok(!sent.includes('host:'), 'stompjs sends no host');
      await browser.client.deactivate();
    }
  });

  test(`under ${at}: a bad login gets ERROR and a close, and the UI tries again (U2)`, async (t) => {
    const herald = await start(t, prefix);
    const browser = new Browser(t, herald.ws, { password: 'wrong', reconnectDelay: 300 });
    browser.client.activate();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      assert.equal((await browser.errors.next()).headers.message, 'authentication failed');
      assert.equal((await browser.closes.next()).code, 4401);
    }
  });

  test(`under ${at}: the whole conversation (U3 to U6)`, async (t) => {
    const herald = await start(t, prefix);
    const first = await open(t, herald.ws, 'test1');
    assert.deepEqual(first.online, ['test1']);
    assert.deepEqual(first.history, []);

    // U6: who comes is told to those who listen.
    const second = await open(t, herald.ws, 'test2');
    assert.deepEqual(second.online.toSorted(), ['test1', 'test2']);
    const both = await first.users.next((message) => JSON.parse(message.body).length === 2);
    assert.deepEqual(JSON.parse(both.body).toSorted(), ['test1', 'test2']);
    assert.equal(both.headers.destination, '/queue/users');

    // U5: the message, to everyone.
    first.browser.client.publish({ destination: '/chat/message', body: 'hello' });
    for (const ui of [first, second]) {
      const message = await ui.messages.next();
      const chat = JSON.parse(message.body);
      assert.deepEqual([chat.message, chat.user], ['hello', 'test1']);
      assert.match(chat.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?$/, 'ISO local date-time without a zone');
      assert.equal(message.headers.destination, '/queue/message');
      assert.equal(message.headers['content-type'], 'application/json');
      assert.ok(message.headers['message-id']);
      assert.match(message.headers.timestamp, /^\d{13}$/);
      assert.equal(message.headers['content-length'], String(Buffer.byteLength(message.body)));
    }

    // U6: who goes is told as well.
    await second.browser.client.deactivate();
    const alone = await first.users.next((message) => JSON.parse(message.body).length === 1);
    assert.deepEqual(JSON.parse(alone.body), ['test1']);

    // U4: who comes later reads what was said.
    const third = await open(t, herald.ws, 'test3');
    assert.equal(third.history.length, 1);
    assert.equal(third.history[0].message, 'hello');

    // U3: the subscription that never delivers does no harm.
    assert.deepEqual(first.errors.items, []);
    first.browser.assertUnharmed();
    third.browser.assertUnharmed();
  });

  test(`under ${at}: POST /api/v1/message and /manage/health (U7, U9)`, async (t) => {
    const herald = await start(t, prefix);
    const ui = await open(t, herald.ws, 'test1');
    const url = `${herald.http}/api/v1/message`;
    const accepted = await post(url, { message: 'by REST', user: 'a backend', unknown: { field: 1 } });
    assert.equal(accepted.status, 202, accepted.text);
    const chat = JSON.parse((await ui.messages.next()).body);
    assert.deepEqual([chat.message, chat.user], ['by REST', 'a backend']);
    assert.match(chat.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?$/);

    for (const [body, type, status] of [
      ['{"message":"no user"}', 'application/json', 400],
      ['{"user":"no message"}', 'application/json', 400],
      ['{"message":', 'application/json', 400],
      ['[]', 'application/json', 400],
      ['{"message":"x","user":"x"}', 'text/plain', 415],
    ]) {
      const refused = await post(url, body, { 'Content-Type': type });
      assert.equal(refused.status, status, `${body} as ${type}: ${refused.text}`);
      assert.match(refused.headers.get('content-type'), /^application\/problem\+json/);
      const problem = JSON.parse(refused.text);
      assert.equal(problem.status, status);
      assert.ok(problem.title);
    }

    const health = await fetch(`${herald.http}/manage/health`);
    assert.equal(health.status, 200);
    assert.equal((await health.json()).status, 'UP');
  });
}

test('answers go to the user destination as the UI subscribed it (U8)', async (t) => {
  const herald = await start(t, '/backend');
  const ui = await open(t, herald.ws, 'test1');
  const [users] = ui.initUsers.items;
  assert.equal(users.headers.destination, '/user/queue/init/users');
  assert.equal(users.headers.subscription, ui.initUsers.subscription.id);
  const [messages] = ui.initMessages.items;
  assert.equal(messages.headers.destination, '/user/queue/init/messages');
});

test('receipts for every kind of SUBSCRIBE, and unknown ones are accepted under /topic and /user (U9)', async (t) => {
  const herald = await start(t, '');
  const browser = await Browser.connect(t, herald.ws);
  for (const destination of ['/queue/message', '/user/queue/init/users', '/user/chat/errors', '/topic/x']) {
    await browser.subscribe(destination);
  }
  browser.assertUnharmed();
});

test('300 messages come in the order they were sent, at every subscriber (U10)', async (t) => {
  const herald = await start(t, '');
  const author = await Browser.connect(t, herald.ws, { user: 'test1' });
  const readers = [];
  for (const user of ['test1', 'test2', 'test3']) {
    const reader = await Browser.connect(t, herald.ws, { user });
    readers.push(await reader.subscribe('/queue/message'));
  }
  for (let n = 0; n < 300; n += 1) author.client.publish({ destination: '/chat/message', body: String(n) });
  for (const inbox of readers) {
    for (let n = 0; n < 300; n += 1) {
      assert.equal(JSON.parse((await inbox.next()).body).message, String(n));
    }
  }
});

test('a failed login tells nobody anything; DISCONNECT gets its RECEIPT and no ERROR (U10)', async (t) => {
  const herald = await start(t, '');
  const ui = await open(t, herald.ws, 'test1');
  const stranger = new Browser(t, herald.ws, { user: 'test2', password: 'wrong' });
  stranger.client.activate();
  await stranger.closes.next();
  const guest = await Browser.connect(t, herald.ws, { user: 'test3' });
  const list = await ui.users.next((message) => JSON.parse(message.body).length > 1);
  assert.deepEqual(JSON.parse(list.body), ['test1', 'test3']);
  const seen = ui.users.items.map((message) => message.body).join(' ');
  assert.ok(!seen.includes('test2'), seen);

  const farewell = new Inbox('onDisconnect');
  guest.client.onDisconnect = (frame) => farewell.push(frame.headers['receipt-id']);
  await guest.client.deactivate();
  assert.ok(await farewell.next());
  assert.equal((await guest.closes.next()).code, 1000);
  assert.deepEqual(guest.errors.items, []);
});

test('history holds the newest ten, oldest first, those by REST among them; frames may pass 16 KiB (U10)', async (t) => {
  const herald = await start(t, '');
  const author = await Browser.connect(t, herald.ws, { user: 'test1' });
  const inbox = await author.subscribe('/queue/message');
  const long = 'x'.repeat(64 * 1024);
  for (let n = 0; n < 12; n += 1) {
    const text = n === 11 ? long : String(n);
    if (n % 2) {
      assert.equal((await post(`${herald.http}/api/v1/message`, { message: text, user: 'rest' })).status, 202);
    } else {
      author.client.publish({ destination: '/chat/message', body: text });
    }
    await inbox.next();
  }
  const ui = await open(t, herald.ws, 'test2');
  const texts = ui.history.map((entry) => entry.message);
  assert.deepEqual(texts, ['2', '3', '4', '5', '6', '7', '8', '9', '10', long]);
});
