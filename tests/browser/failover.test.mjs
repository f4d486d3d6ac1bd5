// The promise: a cluster may lose an instance, or be restarted one by one, and the people at its pages lose nothing that a
// reconnect could have brought: behind nginx a page is back on another instance within 3 s, and says so all the while.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Herald, enter, joined, notification, openPage, post, startChromium, startNats, startNginx, until } from './support.mjs';

/** From the loss of an instance to a page that is connected again. */
const BACK_WITHIN_MS = 3_000;
/** `presence.instance_timeout` (5 s), and a busy machine. */
const GONE_BY_MS = 10_000;
const SUBSCRIBED = ['/queue/message', '/user/queue/orders'];

let browser;
before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

async function cluster(t) {
  const nats = await startNats(t);
  const start = (name) =>
    Herald.start(t, {
      HERALD_BUS__URL: nats.url,
      HERALD_INSTANCE__NAME: name,
      HERALD_HTTP__BASE_PATH: '/backend',
    });
  const instances = { one: await start('one'), two: await start('two') };
  const port = await startNginx(t, Object.values(instances));
  return { nats, instances, http: `http://127.0.0.1:${port}/backend` };
}

/** The page through nginx, logged in; on which instance, nginx decides. */
async function enterAs(t, http, user) {
  const page = await openPage(t, browser, `${http}/`);
  await enter(page, user);
  return page;
}

/** The instance that the page says it is on. */
async function instanceOf(page) {
  const text = await page.locator('#state[data-state=on]').innerText();
  return text.split(' on ')[1];
}

/** What a page shows of the other instance's death is wanted; anything that calls itself an error is not. */
async function watchForErrors(page) {
  await page.evaluate(() => {
    window.alarms = [];
    const look = () => {
      for (const alarm of document.querySelectorAll('[role=alert], .notice, form.login, #login-title')) {
        if (alarm.checkVisibility()) window.alarms.push(alarm.textContent.slice(0, 200));
      }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}

/** One message by NATS's own protocol: what any backend's client library writes. */
function publishByNats(url, subject, body) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname, () => {
      socket.write(`CONNECT {"verbose":false}\r\nPUB ${subject} ${Buffer.byteLength(body)}\r\n${body}\r\nPING\r\n`);
    });
    socket.on('error', reject);
    socket.on('data', (data) => {
      if (!data.includes('PONG')) return;
      socket.end();
      resolve();
    });
  });
}

async function online(page, users) {
  await page.waitForFunction(
    (wanted) => [...document.querySelectorAll('#online li')].map((item) => item.textContent).join() === wanted,
    users.join(),
  );
}

/** Where a user has sessions, as every instance's REST interface tells it. */
async function sessionsOf(instances, user) {
  const headers = { authorization: `Basic ${btoa('admin:test')}` };
  const answers = await Promise.all(
    instances.map(async ({ http }) => (await fetch(`${http}/api/v1/users/${user}`, { headers })).json()),
  );
  return answers.map(({ online, sessions }) => [online, sessions.map(({ instance }) => instance).join()]);
}

/** Reaches both pages by REST and by NATS, and `users` alone by their own destination. */
async function reach({ http, nats, pages, users, words }) {
  await post(`${http}/api/v1/message`, { message: `${words} by REST`, user: 'backend' });
  for (const page of pages) await notification(page, `${words} by REST`);
  await publishByNats(nats.url, 'herald.broadcast.queue.message', `${words} by NATS`);
  for (const page of pages) await notification(page, `${words} by NATS`);
  for (const [at, user] of users.entries()) {
    const payload = `${words} to ${user}`;
    const sent = await post(`${http}/api/v1/notifications`, { destination: '/queue/orders', user, payload });
    assert.equal(sent.status, 202, sent.text);
    await notification(pages[at], payload);
    for (const other of pages.filter((page) => page !== pages[at])) {
      assert.equal(await other.getByText(payload).count(), 0, 'nobody else');
    }
  }
}

test('the instance of a page is killed: the page shows the loss, is back on the other within 3 s, and misses nothing after', async (t) => {
  const { nats, instances, http } = await cluster(t);
  const users = ['test1', 'test2'];
  const pages = [await enterAs(t, http, 'test1'), await enterAs(t, http, 'test2')];
  for (const page of pages) await online(page, users);
  await reach({ http, nats, pages, users, words: 'before' });

  const [first] = pages;
  const lost = await instanceOf(first);
  const left = Object.keys(instances).find((name) => name !== lost);
  // The moments at which the page says something else, by its own clock.
  await first.evaluate(() => {
    const state = document.querySelector('#state');
    window.states = [];
    new MutationObserver(() =>
      window.states.push({ at: Date.now(), state: state.dataset.state, text: state.textContent }),
    ).observe(state, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const killed = Date.now();
  await instances[lost].kill();
  await first.locator('#state[data-state=on]', { hasText: `on ${left}` }).waitFor();
  await joined(first, SUBSCRIBED);
  const back = Date.now() - killed;
  t.diagnostic(`back on ${left}, subscribed, after ${back} ms`);
  const states = await first.evaluate(() => window.states);
  assert.ok(states.some(({ state, text }) => state === 'wait' && text.includes('Connection lost')), JSON.stringify(states));
  assert.ok(back <= BACK_WITHIN_MS, `${back} ms: ${JSON.stringify(states)}`);

  // The other page may have been on the same instance; it comes back at a moment of its own.
  for (const page of pages) {
    await page.locator('#state[data-state=on]', { hasText: `on ${left}` }).waitFor();
    await joined(page, SUBSCRIBED);
  }
  await reach({ http: instances[left].http, nats, pages, users, words: 'after' });
  for (const page of pages) await online(page, users);
  await until(
    'test1 is online on the other instance alone',
    async () => {
      const [[isOnline, where]] = await sessionsOf([instances[left]], 'test1');
      return isOnline && where === left;
    },
    GONE_BY_MS,
  );

  // The dead one comes back, knows who is there, and takes new pages.
  await instances[lost].restart(t);
  await until('both know where test1 is', async () => {
    const told = await sessionsOf(Object.values(instances), 'test1');
    return told.every(([isOnline, where]) => isOnline && where === left);
  });
  await reach({ http, nats, pages, users, words: 'at the end' });
});

test('a rolling restart by SIGTERM: the pages never show an error, and get everything that is sent after each step', async (t) => {
  const { nats, instances, http } = await cluster(t);
  const users = ['test1', 'test2', 'test3'];
  const pages = [];
  for (const user of users) pages.push(await enterAs(t, http, user));
  for (const page of pages) await watchForErrors(page);
  for (const [name, instance] of Object.entries(instances)) {
    const moved = [];
    for (const page of pages) if ((await instanceOf(page)) === name) moved.push(page);
    await instance.stop();
    for (const page of moved) await page.locator('#state[data-state=on]').filter({ hasNotText: ` on ${name}` }).waitFor();
    for (const page of pages) await joined(page, SUBSCRIBED);
    await reach({ http, nats, pages, users, words: `without ${name}` });
    await instance.restart(t);
    await until('the restarted one hears of all', async () => {
      const told = await Promise.all(users.map((user) => sessionsOf([instance], user)));
      return told.every(([[isOnline]]) => isOnline);
    });
  }
  await reach({ http, nats, pages, users, words: 'at the end' });
  for (const [at, page] of pages.entries()) {
    await online(page, users);
    assert.deepEqual(await page.evaluate(() => window.alarms), [], users[at]);
  }
});
