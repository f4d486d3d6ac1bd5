// The promise: with README.md's lines for stock stompjs, and with @herald/client by itself, a session that ends is renewed in its
// connection, over five ends and without a reconnect, and a token that cannot be had for a while ends nothing; who does not renew
// comes back with a new credential.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { fromSource } from './packages.mjs';
import { Browser, Herald, here, Inbox, post, until } from './support.mjs';

const readme = readFileSync(path.join(here, '../../README.md'), 'utf8');
const [, before, onConnect] = readme.match(/```js\n(\/\/ stompjs does not try[\s\S]*?)(\/\/ In onConnect[\s\S]*?)```/);

/** Shows the same lines. */
const auth = readFileSync(path.join(here, '../../docs/auth.md'), 'utf8');

/** How long tokens live, in seconds, and how many lives are watched. */
const [LIFE, LIVES] = [6, 5];
const secret = 'a secret of more than thirty-two bytes';
const config = `
[[auth.issuers]]
issuer = "backend"
audience = ["herald"]
user_prefix = "b:"
leeway = "0s"
keys = [{ secret_file = "SECRET" }]
`;

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of Alice's that lives so long from now on. `exp` is in whole seconds. */
async function freshToken() {
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { iss: 'backend', aud: 'herald', sub: 'alice', iat, exp: iat + LIFE };
  const text = `${base64url({ alg: 'HS256' })}.${base64url(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** A Herald that takes these tokens; sessions by password live as long. */
async function start(t) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-tokens-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [key, file] = ['secret', 'herald.toml'].map((name) => path.join(folder, name));
  writeFileSync(key, secret);
  writeFileSync(file, config.replace('SECRET', key));
  return Herald.start(t, { HERALD_CONFIG: file, HERALD_AUTH__PASSWORD_SESSION: `${LIFE}s` });
}

/** A page with README's lines in their places; it counts as connected when its orders have joined. */
function page(t, herald, tokens) {
  const browser = new Browser(t, herald.ws, { user: null, reconnectDelay: 200 });
  browser.onConnect = new Function('client', 'freshToken', `${before}; return () => { ${onConnect} };`)(browser.client, tokens);
  return browser;
}

/** A notification to the user. */
async function order(herald, id, user = 'b:alice') {
  const body = { destination: '/queue/orders', user, payload: { id } };
  const answer = await post(`${herald.http}/api/v1/notifications`, body);
  assert.equal(answer.status, 202, answer.text);
}

/** Waits until so many lives are over, and fails as soon as `isWell` says no. */
async function outlive(isWell) {
  const end = Date.now() + LIVES * LIFE * 1_000;
  const over = () => {
    isWell();
    return Date.now() > end;
  };
  await until('the lives are over', over, LIVES * LIFE * 1_000 + 20_000);
}

// They mostly wait.
describe('a session that ends', { concurrency: true }, () => {
  test("README's lines for stompjs outlive five ends in one connection", async (t) => {
    const herald = await start(t);
    const browser = page(t, herald, freshToken);
    browser.client.activate();
    const { 'expires-in': expiresIn } = await browser.connects.next();
    assert.ok(Number(expiresIn) > 0 && Number(expiresIn) <= LIFE * 1_000, expiresIn);
    const orders = await browser.subscribe('/user/queue/orders');
    await outlive(() => {
      assert.deepEqual(browser.errors.items, []);
      assert.deepEqual(browser.closes.items, []);
    });
    await order(herald, 1);
    assert.equal((await orders.next()).body, '{"id":1}');
    assert.equal(browser.connects.items.length, 1);
  });

  test('docs/auth.md has the same lines as README.md', () => assert.ok(auth.includes(before + onConnect)));

  test("README's lines for stompjs ask again for a token that cannot be had", async (t) => {
    const herald = await start(t);
    // The first time, at the reminder, and once the connection is lost.
    let [isAway, asked, failed] = [true, 0, 0];
    const tokens = async () => {
      asked += 1;
      if (!isAway) return `${await freshToken()}\n`;
      failed += 1;
      throw new Error('the token endpoint is away');
    };
    const fails = (times) => until(`no token, ${times} times`, () => failed >= times, 60_000);
    const browser = page(t, herald, tokens);
    browser.client.activate();
    await fails(2);
    isAway = false;
    await browser.connects.next();

    isAway = true;
    await fails(3);
    const renewed = asked;
    isAway = false;
    await until('a token after the reminder', () => asked > renewed, 60_000);

    isAway = true;
    const before = failed;
    browser.socket.terminate();
    await fails(before + 2);
    isAway = false;
    while (!browser.client.connected) await browser.connects.next();
    const orders = await browser.subscribe('/user/queue/orders');
    await order(herald, 1);
    assert.equal((await orders.next()).body, '{"id":1}');
  });

  for (const [name, login, user] of [
    ['a token', { getToken: freshToken }, 'b:alice'],
    ['a password', { user: 'test1', password: 'test' }, 'test1'],
  ]) {
    test(`@herald/client outlives five ends in one connection, by ${name}`, async (t) => {
      const herald = await start(t);
      const { HeraldConnection } = await fromSource(t, 'client');
      const webSocket = (url, protocols) => new WebSocket(url, protocols);
      const connection = new HeraldConnection({ url: herald.ws, ...login, webSocket });
      t.after(() => connection.stop());
      const orders = new Inbox('an order');
      connection.subscribe('/user/queue/orders', (message) => orders.push(message.body));
      connection.start();
      await until('connected', () => connection.state().status === 'connected');
      const { session } = connection.state();
      await outlive(() => assert.equal(connection.state().session, session));
      await order(herald, 1, user);
      assert.equal(await orders.next(), '{"id":1}');
      assert.equal(connection.state().session, session);
    });
  }

  test('who does not renew is told why, and comes back', async (t) => {
    const herald = await start(t);
    const browser = new Browser(t, herald.ws, { reconnectDelay: 200 });
    browser.client.activate();
    await browser.connects.next();
    const { headers } = await browser.errors.next();
    assert.equal(headers.message, 'token expired');
    assert.equal(headers['herald-reason'], 'token-expired');
    assert.equal((await browser.closes.next()).code, 4401);
    await browser.connects.next();
  });
});
