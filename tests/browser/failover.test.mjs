// The promise: a cluster may lose an instance, or be restarted one by one, and the people at its pages lose nothing that a
// reconnect could have brought: behind nginx a page is back on another instance within 3 s, and says so all the while.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Cluster,
  NUMBERS,
  enter,
  follow,
  installed,
  joined,
  notification,
  openPage,
  post,
  until,
} from './support.mjs';

/** From the loss of an instance to a page that is connected again. */
const BACK_WITHIN_MS = 3_000;
/** `presence.instance_timeout` (5 s), and a slow and busy machine. */
const GONE_BY_MS = 20_000;
const SUBSCRIBED = ['/queue/message', '/topic/news', '/user/queue/orders'];

/** Spans leave Herald, and the collector, in batches, and the collector waits for a trace to be whole. */
const TRACED_BY_MS = 60_000;

/** The page through nginx, logged in; on which instance, nginx decides. Some have it below nginx's other path. */
async function enterAs(t, cluster, user, path = '/') {
  const page = await openPage(t, `${cluster.url()}${path}`);
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

async function online(page, users) {
  await page.waitForFunction(
    (wanted) => [...document.querySelectorAll('#online li')].map((item) => item.textContent).join() === wanted,
    users.join(),
  );
}

/** Where a user has sessions, as each of the instances' REST interface tells it. */
async function sessionsOf(instances, user) {
  const headers = { authorization: `Basic ${btoa('admin:test')}` };
  const answers = await Promise.all(
    instances.map(async (address) => (await fetch(`${address}/api/v1/users/${user}`, { headers })).json()),
  );
  return answers.map(({ online, sessions }) => [online, sessions.map(({ instance }) => instance).join()]);
}

/** Reaches all pages by REST and by NATS, and `users` alone by their own destination. */
async function reach({ cluster, http = cluster.url(), pages, users, words }) {
  await post(`${http}/api/v1/message`, { message: `${words} by REST`, user: 'backend' });
  for (const page of pages) await notification(page, `${words} by REST`);
  assert.equal(await cluster.publishByNats('herald.broadcast.queue.message', `${words} by NATS`), '+OK');
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
  const cluster = await Cluster.start(t);
  const users = ['test1', 'test2'];
  const pages = [await enterAs(t, cluster, 'test1'), await enterAs(t, cluster, 'test2', '/backend/')];
  for (const page of pages) await online(page, users);
  await reach({ cluster, pages, users, words: 'before' });

  const [first] = pages;
  const lost = await instanceOf(first);
  const left = Object.keys(NUMBERS).find((name) => name !== lost);
  // The moments at which the page says something else, by its own clock.
  await first.evaluate(() => {
    const state = document.querySelector('#state');
    window.states = [];
    new MutationObserver(() =>
      window.states.push({ at: Date.now(), state: state.dataset.state, text: state.textContent }),
    ).observe(state, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const killed = Date.now();
  await cluster.kill(lost);
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
  await reach({ cluster, http: cluster.instance(left), pages, users, words: 'after' });
  for (const page of pages) await online(page, users);
  await until(
    'test1 is online on the other instance alone',
    async () => {
      const [[isOnline, where]] = await sessionsOf([cluster.instance(left)], 'test1');
      return isOnline && where === left;
    },
    GONE_BY_MS,
  );

  // The dead one comes back, knows who is there, and takes new pages.
  await cluster.restart(lost);
  await until('both know where test1 is', async () => {
    const told = await sessionsOf([cluster.instance(left), cluster.instance(lost)], 'test1');
    return told.every(([isOnline, where]) => isOnline && where === left);
  });
  await reach({ cluster, pages, users, words: 'at the end' });
});

test('a rolling restart by SIGTERM: the pages never show an error, and get everything that is sent after each step', async (t) => {
  const cluster = await Cluster.start(t);
  const users = ['test1', 'test2', 'test3'];
  const pages = [];
  for (const user of users) pages.push(await enterAs(t, cluster, user));
  for (const page of pages) await watchForErrors(page);
  for (const name of Object.keys(NUMBERS)) {
    const moved = [];
    for (const page of pages) if ((await instanceOf(page)) === name) moved.push(page);
    await cluster.stop(name);
    for (const page of moved) await page.locator('#state[data-state=on]').filter({ hasNotText: ` on ${name}` }).waitFor();
    for (const page of pages) await joined(page, SUBSCRIBED);
    await reach({ cluster, pages, users, words: `without ${name}` });
    await cluster.restart(name);
    await until('the restarted one hears of all', async () => {
      const told = await Promise.all(users.map((user) => sessionsOf([cluster.instance(name)], user)));
      return told.every(([[isOnline]]) => isOnline);
    });
  }
  await reach({ cluster, pages, users, words: 'at the end' });
  for (const [at, page] of pages.entries()) {
    await online(page, users);
    assert.deepEqual(await page.evaluate(() => window.alarms), [], users[at]);
  }
});

test("an operator's page leads from a notification to its trace", { skip: !installed('jaeger') && 'Jaeger is not installed' }, async (t) => {
  const cluster = await Cluster.start(t);
  const other = await enterAs(t, cluster, 'test1');
  const page = await enterAs(t, cluster, 'admin');
  const names = [await instanceOf(other), await instanceOf(page)];
  await page.getByRole('tab', { name: 'Operator' }).click();
  const operator = page.getByRole('tabpanel', { name: 'Operator' });
  const words = 'followed into Jaeger';
  const sent = await post(`${cluster.url()}/api/v1/message`, { message: words, user: 'backend' });
  const { trace_id: id } = JSON.parse(sent.text);
  const row = operator.getByRole('row').filter({ hasText: words });
  const link = row.getByRole('link', { name: `trace ${id.slice(0, 8)}` });
  await link.waitFor();

  // The address is Jaeger's, and Jaeger comes to know all that both instances did.
  const address = await link.getAttribute('href');
  assert.equal(address, `${cluster.url('jaeger')}/trace/${id}`);
  const spans = await until(
    'the spans of both instances are in Jaeger',
    async () => {
      const answer = await fetch(`${cluster.url('jaeger')}/api/traces/${id}`);
      const [trace] = answer.ok ? (await answer.json()).data : [];
      const instances = Object.values(trace?.processes ?? {}).map(({ tags }) => tags.find(({ key }) => key === 'herald.instance.name')?.value);
      return names.every((name) => instances.includes(name)) && trace.spans;
    },
    TRACED_BY_MS,
  );
  const trace = await follow(page, link);
  assert.equal(trace.url(), address);
  // In the words of Jaeger's own page, which scripts/cluster stands in for where Jaeger has none.
  const shown = (words) => trace.getByText(words).first().waitFor();
  await shown('Total Spans');
  const told = (await trace.locator('body').innerText()).replaceAll(/\s+/g, ' ');
  assert.match(told, new RegExp(`Total Spans ?${spans.length}\\b`));
  assert.match(told, /herald: ?POST \/api\/v1\/message/);
  for (const { operationName } of spans) assert.ok(told.includes(operationName), `${operationName}: ${told}`);
});
