// The promise: a page of another site changes nothing and hears nothing that the configuration does not let it, whatever a
// real browser lets it send; and those whom the configuration lists can do all they are listed for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Herald,
  enter,
  notification,
  openHerald,
  openPage,
  post,
  startRecorder,
  startSite,
  until,
} from './support.mjs';

/** What a page gets for a request: the status, `opaque` where it may not know, or `refused by the browser`. */
function request(page, url, options) {
  return page.evaluate(
    async ([url, options]) => {
      try {
        const answer = await fetch(url, options);
        return answer.type === 'opaque' ? 'opaque' : answer.status;
      } catch {
        return 'refused by the browser';
      }
    },
    [url, options],
  );
}

/** How a WebSocket of a page ends up: `open` or `closed`. */
function connect(page, url) {
  return page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, ['v12.stomp']);
        socket.onopen = () => {
          socket.close();
          resolve('open');
        };
        socket.onclose = () => resolve('closed');
      }),
    url,
  );
}

/** Submits an HTML form, which asks nobody before, and waits for the page that it leads to. */
async function submit(page, url, enctype) {
  await page.evaluate(
    ([url, enctype]) => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'POST', action: url, enctype });
      const field = document.createElement('input');
      Object.assign(field, { name: '{"message":"evil","user":"x","a', value: '":1}' });
      form.append(field);
      document.body.append(form);
      form.submit();
    },
    [url, enctype],
  );
  await page.waitForURL(url);
}

const json = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"message":"m","user":"u"}' };
const simple = { method: 'POST', mode: 'no-cors', headers: { 'Content-Type': 'text/plain' }, body: 'evil' };

test('by default another site publishes nothing, by no kind of request', async (t) => {
  const herald = await Herald.start(t);
  const { url, requests } = await startRecorder(t, herald);
  const watcher = await openHerald(t, herald);
  await enter(watcher);
  const origin = await startSite(t, 'localhost');
  const foreign = await openPage(t, origin);
  /** What `act` sends is refused. */
  const refused = async (act, path, from = origin) => {
    await act();
    const expected = { method: 'POST', url: path, site: 'cross-site', origin: from, status: 403 };
    assert.deepEqual(await requests.next(), expected);
  };

  const raw = '/api/v1/broadcast/queue/message';
  await refused(() => request(foreign, url + raw, simple), raw);
  await refused(() => request(foreign, url + raw, { ...simple, keepalive: true }), raw);
  await refused(() => foreign.evaluate((target) => navigator.sendBeacon(target, 'evil'), url + raw), raw);
  for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    for (const path of [raw, '/api/v1/message', '/api/v1/notifications']) {
      await refused(() => submit(foreign, url + path, enctype), path);
      await foreign.goto(origin);
    }
  }
  // A sandbox has no origin.
  const script = `fetch('${url}${raw}', { method: 'POST', mode: 'no-cors', body: 'evil' })`;
  const sandbox = `<iframe sandbox="allow-scripts" srcdoc="<script>${script}</script>"></iframe>`;
  await refused(() => foreign.setContent(sandbox), raw, 'null');

  // What a browser asks about first is not even sent.
  for (const [path, options] of [
    ['/api/v1/message', json],
    ['/api/v1/users/test1/sessions', { method: 'DELETE' }],
  ]) {
    assert.equal(await request(foreign, url + path, options), 'refused by the browser');
    const { method, status } = await requests.next();
    assert.deepEqual([method, status], ['OPTIONS', 405]);
  }

  // Herald's own page publishes all the while, and is the only one.
  assert.equal(await request(watcher, herald.http + raw, { ...simple, mode: 'cors', body: 'own' }), 202);
  await notification(watcher, 'own');
  assert.deepEqual(await watcher.locator('#stream pre').allInnerTexts(), ['own']);
});

test('over plain HTTP neither what the browser leaves unsaid nor a rebound name lets a stranger publish', async (t) => {
  const herald = await Herald.start(t);
  const { url, requests } = await startRecorder(t, herald);
  const raw = '/api/v1/broadcast/queue/message';
  const behindProxy = `http://chat.example:${new URL(url).port}`;
  const evil = await startSite(t, 'evil.example');
  const foreign = await openPage(t, evil);
  await request(foreign, behindProxy + raw, { ...simple, credentials: 'include' });
  assert.deepEqual(await requests.next(), { method: 'POST', url: raw, site: undefined, origin: evil, status: 403 });

  const own = { ...simple, mode: 'cors' };
  const rebound = await openPage(t, `http://evil.example:${herald.port}/`);
  assert.equal(await request(rebound, raw, own), 421);
  // The pages of a drop-in deployment come from the port of what serves them.
  const dropIn = await openPage(t, `${behindProxy}/`);
  assert.equal(await request(dropIn, raw, own), 202);
  const { site, status } = await requests.next();
  assert.deepEqual([site, status], [undefined, 202]);
});

test('another origin of the same site is let in by `*`, and not by a list without it', async (t) => {
  const site = await startSite(t, '127.0.0.1');
  const friend = await startSite(t, '127.0.0.1');
  for (const [origins, from, status] of [
    ['["*"]', site, 202],
    ['["https://app.example"]', site, 403],
    [`["${friend}"]`, site, 403],
    [`["${friend}"]`, friend, 202],
  ]) {
    const herald = await Herald.start(t, { HERALD_HTTP__ORIGINS: origins });
    const { url, requests } = await startRecorder(t, herald);
    const page = await openPage(t, from);
    const raw = '/api/v1/broadcast/queue/message';
    await request(page, url + raw, simple);
    const expected = { method: 'POST', url: raw, site: 'same-site', origin: from, status };
    assert.deepEqual(await requests.next(), expected, `${origins} ${from}`);
    const own = await openHerald(t, herald);
    assert.equal(await request(own, `${herald.http}/api/v1/message`, json), 202, `the page itself, with ${origins}`);
    await herald.kill();
  }
});

test('`http.cors_origins` lets a listed site ask and send, and read the answer; nobody else', async (t) => {
  const friend = await startSite(t, 'localhost');
  const herald = await Herald.start(t, { HERALD_HTTP__CORS_ORIGINS: `["${friend}"]` });
  const url = `${herald.http}/api/v1/notifications`;
  const notificationJson = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
    body: '{"destination":"/queue/message","payload":"from the friend"}',
  };
  const watcher = await openHerald(t, herald);
  await enter(watcher);

  const page = await openPage(t, friend);
  assert.equal(await request(page, url, notificationJson), 202);
  await notification(watcher, 'from the friend');
  const answer = await page.evaluate(
    async ([url, body]) => (await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })).json(),
    [url, '{"destination":"/nowhere","payload":1}'],
  );
  assert.equal(answer.pointer, '/destination', 'errors can be read as well');
  assert.equal(await request(page, `${herald.http}/api/v1/users`, { headers: { authorization: 'Bearer wrong' } }), 401);
  assert.equal(
    await request(page, `${herald.http}/api/v1/users/test1/sessions`, { method: 'DELETE' }),
    401,
    'listed, but who may is another question',
  );

  const other = await openPage(t, await startSite(t, 'localhost'));
  assert.equal(await request(other, url, notificationJson), 'refused by the browser');
  await request(other, `${herald.http}/api/v1/broadcast/queue/message`, simple);
  await post(`${herald.http}/api/v1/broadcast/queue/message`, 'the end', { 'Content-Type': 'text/plain' });
  await notification(watcher, 'the end');
  assert.deepEqual(await watcher.locator('#stream pre').allInnerTexts(), ['the end', '"from the friend"']);

  // `*` opens reading, never changing.
  const open = await Herald.start(t, { HERALD_HTTP__CORS_ORIGINS: '["*"]' });
  assert.equal(await request(other, `${open.http}/livez`), 200);
  assert.equal(await request(other, `${open.http}/api/v1/message`, json), 403);
});

test('`/ws` opens for the origins that are listed, and for all by `*`', async (t) => {
  const friend = await startSite(t, 'localhost');
  const stranger = await startSite(t, 'localhost');
  for (const [origins, from, outcome] of [
    ['["*"]', stranger, 'open'],
    [`["${friend}"]`, friend, 'open'],
    [`["${friend}"]`, stranger, 'closed'],
    ['["https://*.example.com"]', stranger, 'closed'],
    ['[]', stranger, 'closed'],
  ]) {
    const herald = await Herald.start(t, { HERALD_HTTP__ORIGINS: origins });
    const page = await openPage(t, from);
    assert.equal(await connect(page, herald.ws), outcome, `${origins} ${from}`);
    await herald.kill();
  }
});

test("Herald's own page opens `/ws` whatever is listed", async (t) => {
  const herald = await Herald.start(t, { HERALD_HTTP__ORIGINS: '["https://app.example"]' });
  const page = await openHerald(t, herald);
  await enter(page);
});

test("nobody puts Herald's page into a frame", async (t) => {
  const herald = await Herald.start(t);
  const page = await openPage(t, await startSite(t, 'localhost'));
  await page.setContent(`<iframe src="${herald.http}/"></iframe>`);
  await until('the browser refuses', () => page.complaints.some((words) => words.includes('frame-ancestors')));
});
