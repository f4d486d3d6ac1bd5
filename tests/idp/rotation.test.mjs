// The promise: a provider may replace its signing key while logins go on, announced or not: nobody with a good token is refused,
// sessions stay, and once the old key has left the set its tokens are refused, remembered ones as well.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, assertRefused, connect, fetches, Herald, newKey, order, Provider, takes, tokens, until } from './support.mjs';

/** Logins at the same time, each with a new token for each. */
const WORKERS = 8;
/** Nobody is refused because the machine is slow. */
const PATIENT = 'timeout = "10s"';

/** Logs in again and again, until `stop`. A login that fails ends it. */
function load(t, herald, provider) {
  const state = { logins: 0 };
  let going = true;
  const work = async (backend) => {
    while (going) {
      const { browser, connected, error, code } = await connect(t, herald, await provider.token(backend));
      assert.equal(connected?.['user-name'], `id:backend-${backend}`, `${code} ${JSON.stringify(error)}`);
      state.logins += 1;
      await browser.client.deactivate();
    }
  };
  const all = Promise.all(Array.from({ length: WORKERS }, (_, backend) => work(backend)));
  all.catch((error) => {
    state.failed = error;
  });
  /** So many more logins. */
  state.more = async (count) => {
    const least = state.logins + count;
    await until(`${count} more logins`, () => {
      if (state.failed) throw state.failed;
      return state.logins >= least;
    });
  };
  state.stop = () => {
    going = false;
    return all;
  };
  return state;
}

async function reaches(herald, orders, id) {
  await order(herald, 'id:backend-20', id);
  assert.equal((await orders.next()).body, `{"id":${id}}`);
}

test('a key is replaced as providers should: announced, used, and then withdrawn', async (t) => {
  const [one, two] = [await newKey('one'), await newKey('two')];
  const provider = await Provider.start(t, [one]);
  const herald = await Herald.start(t, takes(t, provider.issuer, `${PATIENT}\nrefresh = "1s"`));
  /** Waits for a fetch that began from now on: the first to end may have begun before. */
  const refreshed = async () => {
    const fetched = await fetches(herald, 'ok');
    await until('two fetches', async () => (await fetches(herald, 'ok')) >= fetched + 2);
  };
  const remembered = await provider.token(20);
  const session = await connect(t, herald, remembered);
  const orders = await session.browser.subscribe('/user/queue/orders');
  const logins = load(t, herald, provider);
  await logins.more(20);

  await provider.set({ keys: [one, two] });
  await refreshed();
  await provider.set({ keys: [two, one] });
  await logins.more(40);
  const unused = await provider.sign(one, { sub: 'backend-21' });
  assert.equal((await ask(herald, remembered)).status, 200);

  await provider.set({ keys: [two] });
  await refreshed();
  await logins.more(20);
  await assertRefused(t, herald, remembered);
  await assertRefused(t, herald, unused);
  assert.equal(await tokens(herald, 'unknown_key'), 4);

  await logins.more(20);
  await logins.stop();
  session.browser.assertUnharmed();
  await reaches(herald, orders, 1);
});

test('a key that signs before anybody has heard of it is fetched at once', async (t) => {
  const [one, two] = [await newKey('one'), await newKey('two')];
  const provider = await Provider.start(t, [one]);
  const herald = await Herald.start(t, takes(t, provider.issuer, PATIENT));
  const session = await connect(t, herald, await provider.token(20));
  const orders = await session.browser.subscribe('/user/queue/orders');
  const logins = load(t, herald, provider);
  await logins.more(20);

  await provider.set({ keys: [two, one] });
  await logins.more(40);
  await logins.stop();
  assert.equal(await fetches(herald, 'ok'), 2, 'one when it started, one for all who waited');
  session.browser.assertUnharmed();
  await reaches(herald, orders, 1);
});
