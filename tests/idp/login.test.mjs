// The promise: a Herald that is given a provider's name finds out everything else from it, takes its tokens over STOMP and REST, and
// takes no other: not those for somebody else, not those of another provider, not one that was changed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, assertRefused, connect, Herald, newKey, order, Provider, takes, tokens } from './support.mjs';

test('a provider is found out by its name, and its tokens are taken', async (t) => {
  const provider = await Provider.start(t, [await newKey('one')]);
  const herald = await Herald.start(t, takes(t, provider.issuer));
  const token = await provider.token();

  const { browser, connected } = await connect(t, herald, token);
  assert.equal(connected?.['user-name'], 'id:backend-0');
  assert.ok(Number(connected['expires-in']) > 300_000 && Number(connected['expires-in']) <= 330_000, connected['expires-in']);
  const orders = await browser.subscribe('/user/queue/orders');
  await order(herald, 'id:backend-0', 1);
  assert.equal((await orders.next()).body, '{"id":1}');
  assert.equal((await ask(herald, token)).status, 200);
});

test('tokens for others, of others and changed ones are refused, each for its reason', async (t) => {
  const provider = await Provider.start(t, [await newKey('one')]);
  const other = await Provider.start(t, [await newKey('one')]);
  const herald = await Herald.start(t, takes(t, provider.issuer));

  await assertRefused(t, herald, await provider.token(0, 'shop'));
  assert.equal(await tokens(herald, 'audience'), 2);

  await assertRefused(t, herald, await other.token());
  assert.equal(await tokens(herald, 'issuer'), 2);

  // The other one's key under the name of the right one.
  const forged = { ...(await newKey('one')) };
  await assertRefused(t, herald, await provider.sign(forged));
  assert.equal(await tokens(herald, 'signature'), 2);

  const { connected } = await connect(t, herald, await provider.token());
  assert.equal(connected?.['user-name'], 'id:backend-0');
});
