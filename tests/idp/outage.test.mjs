// The promise: a provider that is gone takes nobody off who has its tokens: the keys that were there serve on, a key that was not is
// "come back later" and not a refusal, and all is well once it is back. Without keys an instance is not ready, and says so.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Child } from '../clients/support.mjs';
import { ask, connect, fetches, freePort, Herald, newKey, Provider, takes, tokens, until } from './support.mjs';

test('keys outlive the provider that they are of', async (t) => {
  const [one, two] = [await newKey('one'), await newKey('two')];
  const provider = await Provider.start(t, [one]);
  const herald = await Herald.start(t, takes(t, provider.issuer, 'refresh = "1s"'));
  const session = await connect(t, herald, await provider.token(0));
  const unused = await provider.token(1);

  await provider.kill();
  await until('Herald noticed', async () => (await fetches(herald, 'failed')) >= 1);
  assert.equal((await connect(t, herald, unused)).connected?.['user-name'], 'id:backend-1');
  assert.equal((await fetch(`${herald.http}/readyz`)).status, 200);

  // Of a key that Herald has never seen, it cannot say whether it is the provider's.
  const unknown = await provider.sign(two);
  const { error, code } = await connect(t, herald, unknown);
  assert.equal(code, 1013);
  assert.equal(error['herald-reason'], 'identity-unavailable');
  assert.equal((await ask(herald, unknown)).status, 503);
  assert.equal(await tokens(herald, 'unavailable'), 2);
  session.browser.assertUnharmed();

  provider.settings.keys = [two, one];
  await provider.restart(t);
  const fetched = await fetches(herald, 'ok');
  await until('Herald has its keys again', async () => (await fetches(herald, 'ok')) > fetched);
  assert.equal((await connect(t, herald, unknown)).connected?.['user-name'], 'id:backend-0');
  assert.equal((await connect(t, herald, await provider.token(2))).connected?.['user-name'], 'id:backend-2');
  session.browser.assertUnharmed();
});

test('an instance that starts before its provider is ready once the keys are there', async (t) => {
  const one = await newKey('one');
  const provider = await Provider.start(t, [one]);
  await provider.kill();
  const port = await freePort();
  const binary = process.env.HERALD_BIN;
  assert.ok(binary && existsSync(binary), 'HERALD_BIN names the program');
  const settings = { HERALD_HTTP__LISTEN: `127.0.0.1:${port}`, ...takes(t, provider.issuer) };
  const child = new Child(t, binary, ['serve', '--demo'], settings);
  const herald = { http: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}/ws` };
  const ready = async () => {
    child.assertAlive();
    return fetch(`${herald.http}/readyz`).catch(() => undefined);
  };
  const answer = await until('it answers', ready);
  assert.equal(answer.status, 503);
  assert.ok((await answer.text()).includes(`the keys of the issuer ${provider.issuer} are not there yet`));
  const { code } = await connect(t, herald, await provider.sign(one));
  assert.equal(code, 1013);

  await provider.restart(t);
  await until('it is ready', async () => (await ready())?.status === 200);
  assert.equal((await connect(t, herald, await provider.token())).connected?.['user-name'], 'id:backend-0');
});
