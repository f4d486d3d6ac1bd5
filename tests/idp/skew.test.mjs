// The promise: a provider's clock may be as wrong as `leeway`, either way; beyond that its tokens are refused, and for the reason
// that they have.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, assertRefused, connect, Herald, newKey, Provider, takes, tokens } from './support.mjs';

/** In seconds; what is beyond is so by more than a slow machine takes. */
const [LEEWAY, LIFE] = [120, 60];

test("a provider's clock may be wrong by the leeway, ahead and behind", async (t) => {
  const provider = await Provider.start(t, [await newKey('one')], { life: LIFE });
  const herald = await Herald.start(t, takes(t, provider.issuer, `leeway = "${LEEWAY}s"`));
  const isTaken = async (token) => {
    assert.equal((await connect(t, herald, token)).connected?.['user-name'], 'id:backend-0');
    assert.equal((await ask(herald, token)).status, 200);
  };

  await provider.set({ skew: LEEWAY - 30 });
  await isTaken(await provider.token());

  await provider.set({ skew: LEEWAY + 60 });
  await assertRefused(t, herald, await provider.token());
  assert.equal(await tokens(herald, 'not_yet'), 2);

  // Over by its own time, but within the leeway.
  await provider.set({ skew: -LIFE - 60 });
  await isTaken(await provider.token());

  await provider.set({ skew: -LIFE - LEEWAY - 10 });
  const answer = await assertRefused(t, herald, await provider.token(), 'token expired');
  assert.match(answer.headers.get('www-authenticate'), /error_description="expired"/);
  assert.equal(await tokens(herald, 'expired'), 2);
});
