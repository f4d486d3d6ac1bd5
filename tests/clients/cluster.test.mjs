// The promise: instances that share nothing but NATS are one gateway. What one takes in reaches the clients of all; the
// death of one harms no other and is noticed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Herald, post, startNats, until } from './support.mjs';

/** `presence.instance_timeout` (5 s), the list's own interval, and a slow and busy machine. */
const GONE_BY = 20_000;

async function cluster(t, names = ['one', 'two'], settings = {}) {
  const nats = await startNats(t);
  const start = (name) => Herald.start(t, { HERALD_BUS__URL: nats.url, HERALD_INSTANCE__NAME: name, ...settings });
  return { nats, start, instances: await Promise.all(names.map(start)) };
}

const names = (message) => JSON.parse(message.body);
const text = { 'Content-Type': 'text/plain' };

test('a broadcast by REST at one instance reaches the clients of both, once', async (t) => {
  const { instances } = await cluster(t);
  const browsers = await Promise.all(instances.map((instance) => Browser.connect(t, instance.ws)));
  assert.deepEqual(
    browsers.map((browser) => browser.connected.instance),
    ['one', 'two'],
  );
  const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/topic/news')));
  for (const [at, instance] of instances.entries()) {
    const sent = await post(`${instance.http}/api/v1/broadcast/topic/news`, `from ${at}`, text);
    assert.equal(sent.status, 202, sent.text);
    for (const inbox of inboxes) assert.equal((await inbox.next()).body, `from ${at}`);
  }
  for (const inbox of inboxes) assert.equal(inbox.items.length, instances.length);
});

test('a notification to a user reaches that user on the other instance, and nobody else', async (t) => {
  const { instances } = await cluster(t);
  const [one, two] = instances;
  const wanted = await Browser.connect(t, two.ws, { user: 'test2' });
  const other = await Browser.connect(t, two.ws, { user: 'test3' });
  const inbox = await wanted.subscribe('/user/queue/orders');
  const silent = await other.subscribe('/user/queue/orders');
  const sent = await post(`${one.http}/api/v1/notifications`, {
    destination: '/queue/orders',
    user: 'test2',
    payload: { order: 7 },
    headers: { priority: 'high' },
  });
  assert.equal(sent.status, 202, sent.text);
  const message = await inbox.next();
  assert.deepEqual(JSON.parse(message.body), { order: 7 });
  assert.equal(message.headers.destination, '/user/queue/orders');
  assert.equal(message.headers.priority, 'high');
  assert.equal(message.headers['content-type'], 'application/json');
  assert.equal(message.headers['message-id'], JSON.parse(sent.text).id);
  // What comes after it on the same way has come: nothing was on its way to the other user.
  await post(`${one.http}/api/v1/users/test3/queue/orders`, 'for test3', text);
  assert.equal((await silent.next()).body, 'for test3');
  assert.equal(silent.items.length, 1);
});

test('a chat message crosses instances, and the list of users is that of the whole cluster', async (t) => {
  const { instances } = await cluster(t);
  const one = await Browser.connect(t, instances[0].ws, { user: 'test1' });
  const users = await one.subscribe('/queue/users');
  const messages = await one.subscribe('/queue/message');
  const two = await Browser.connect(t, instances[1].ws, { user: 'test2' });
  assert.deepEqual(names(await users.next((message) => names(message).length === 2)), ['test1', 'test2']);
  await two.send('/chat/message', 'across');
  assert.equal(JSON.parse((await messages.next()).body).message, 'across');

  // Each instance tells of its own users in its own batch (100 ms): two may know of test1 a moment after one of test2.
  const online = await two.subscribe('/user/queue/init/users');
  await until('the users of both instances', async () => {
    await two.send('/chat/init/users', '');
    return names(await online.next()).join() === 'test1,test2';
  });

  // A second session of the same user is no news; the end of one of two is none either.
  const again = await Browser.connect(t, instances[1].ws, { user: 'test1' });
  await again.client.deactivate();
  await two.client.deactivate();
  assert.deepEqual(names(await users.next((message) => names(message).length === 1)), ['test1']);
  assert.ok(!users.items.some((message) => names(message).length > 2));
});

test('kill -9 of one instance leaves the clients of the other unharmed, and its users are gone', async (t) => {
  const { instances, start } = await cluster(t);
  const one = await Browser.connect(t, instances[0].ws, { user: 'test1' });
  const users = await one.subscribe('/queue/users');
  const news = await one.subscribe('/topic/news');
  const doomed = await Browser.connect(t, instances[1].ws, { user: 'test2' });
  await users.next((message) => names(message).length === 2);

  const killed = Date.now();
  await instances[1].kill();
  await doomed.closes.next();
  // While the dead one still counts, the living one works.
  await post(`${instances[0].http}/api/v1/broadcast/topic/news`, 'still here', text);
  assert.equal((await news.next()).body, 'still here');
  assert.deepEqual(names(await users.next((message) => names(message).length === 1, GONE_BY)), ['test1']);
  t.diagnostic(`presence corrected after ${Date.now() - killed} ms`);
  one.assertUnharmed();

  // A new one takes its place.
  const three = await start('three');
  const back = await Browser.connect(t, three.ws, { user: 'test2' });
  assert.equal(back.connected.instance, 'three');
  assert.deepEqual(names(await users.next((message) => names(message).length === 2)), ['test1', 'test2']);
});

test('a new instance learns the recent messages from another', async (t) => {
  const { instances, start } = await cluster(t, ['one']);
  const author = await Browser.connect(t, instances[0].ws);
  const inbox = await author.subscribe('/queue/message');
  for (const body of ['a', 'b']) {
    await author.send('/chat/message', body);
    await inbox.next();
  }
  const two = await start('two');
  const late = await Browser.connect(t, two.ws, { user: 'test2' });
  const history = await late.subscribe('/user/queue/init/messages');
  // The new one learns as soon as it has heard of the other: within a digest's second.
  await until('the history of the other instance', async () => {
    await late.send('/chat/init/messages', '');
    const messages = JSON.parse((await history.next()).body).map((entry) => entry.message);
    return messages.join() === 'a,b';
  });
});

test('without NATS an instance lives, is not ready, and refuses to publish; its sessions stay', async (t) => {
  const { nats, instances } = await cluster(t, ['one']);
  const [one] = instances;
  const browser = await Browser.connect(t, one.ws);
  await nats.kill();
  const answer = async (path) => (await fetch(`${one.http}${path}`)).status;
  await until('/readyz is 503', async () => (await answer('/readyz')) === 503);
  assert.equal(await answer('/livez'), 200);
  const refused = await post(`${one.http}/api/v1/broadcast/topic/news`, 'x', text);
  assert.equal(refused.status, 503, refused.text);
  assert.ok(refused.headers.get('retry-after'));
  browser.assertUnharmed();
});
