// The promise: where `http.page_oidc` is set, the page signs in with a real provider by code and PKCE: back where one was, by a token
// that nobody but the page's memory has, renewed before its end, and gone with the sign-out. What goes wrong is told in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metric, newKey, Provider, takes } from '../idp/support.mjs';
import { Herald, joined, lookAt, openHerald, openPage, until } from './support.mjs';

/** A provider that knows the page, and a Herald that takes its tokens, which live for `life` seconds. */
async function start(t, { life = 300, refresh = false, audience } = {}) {
  const provider = await Provider.start(t, [await newKey('one')], { life, refresh });
  const more = audience ? '' : 'leeway = "0s"';
  const herald = await Herald.start(t, {
    ...takes(t, provider.issuer, more, audience),
    HERALD_INSTANCE__NAME: 'one',
    HERALD_HTTP__PAGE_OIDC__ISSUER: provider.issuer,
    HERALD_HTTP__PAGE_OIDC__CLIENT_ID: 'page',
  });
  await provider.set({ pages: [`${herald.http}/`] });
  return { provider, herald, host: new URL(provider.issuer).host };
}

const signInButton = (page) => page.getByRole('button', { name: /^Sign in with / });

/** Goes to the provider and back. */
async function signIn(page, name = 'ann') {
  await signInButton(page).click();
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

const entered = (page) => joined(page, ['/queue/message', '/topic/news', '/user/queue/orders']);

/** That the page says so, and is where people sign in. */
async function isTold(page, words) {
  await page.getByRole('alert').getByText(words).waitFor();
  await signInButton(page).waitFor();
}

const connectSrc = async (herald) => {
  const policy = (await fetch(`${herald.http}/`)).headers.get('content-security-policy');
  return policy.match(/connect-src ([^;]*);/)[1];
};

test('a person signs in with a provider, works by the token, and signs out there as well', async (t) => {
  const { provider, herald, host } = await start(t, { refresh: true });
  assert.equal(await connectSrc(herald), `'self' ${provider.issuer}`);
  const page = await openPage(t, `${herald.http}/?deep=1#link`);
  const addresses = [];
  page.on('request', (request) => addresses.push(request.url()));
  await signIn(page);
  await entered(page);
  assert.equal(page.url(), `${herald.http}/?deep=1#link`, 'back where they were, without the code');
  assert.equal(await page.locator('#state').innerText(), 'id:ann on one');

  // Over REST as well.
  await page.getByRole('tab', { name: 'Operator' }).click();
  await page.getByRole('row', { name: /^one serving/ }).waitFor();

  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.doesNotMatch(kept, /eyJ|token|sign-in/);

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signInButton(page).waitFor();
  assert.equal(page.url(), `${herald.http}/`);
  // The provider has forgotten them, too.
  await signIn(page, 'ben');
  await entered(page);
  assert.equal(await page.locator('#state').innerText(), 'id:ben on one');
  assert.ok(addresses.some((address) => address.startsWith(`${provider.issuer}/session/end?`)), `${addresses}`);
  assert.doesNotMatch(addresses.join(' '), /eyJ|id_token/, 'no token is in an address');
  assert.deepEqual(page.complaints, []);
  assert.match(host, /^127\.0\.0\.1:/);
});

test('a token is renewed in its connection while the provider gives new ones', async (t) => {
  const { herald } = await start(t, { life: 8, refresh: true });
  const page = await openHerald(t, herald);
  await signIn(page);
  await entered(page);
  let sockets = 0;
  page.on('websocket', () => sockets++);
  await until('two renewals', async () => (await metric(herald, 'herald_renewals_total', 'result="ok"')) >= 2, 40_000);
  await page.locator('#state[data-state=on]').waitFor();
  assert.equal(sockets, 0, 'no other connection');
  await page.getByRole('tab', { name: 'Operator' }).click();
  await page.getByRole('row', { name: /^one serving/ }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test('without new tokens the page says so in time, and that it is over', async (t) => {
  const { herald, host } = await start(t, { life: 15 });
  const page = await openHerald(t, herald);
  await signIn(page);
  await entered(page);
  await page.getByRole('alert').getByText('Your sign-in ends soon').waitFor();
  await page.getByRole('button', { name: 'Sign in again' }).click();
  // The provider still knows who that is.
  await page.getByRole('alert').waitFor({ state: 'detached' });
  await entered(page);
  assert.equal(await page.locator('#state').innerText(), 'id:ann on one');
  await isTold(page, `Your sign-in with ${host} is over. Sign in again.`);
});

test('what the provider refuses, and answers that were tampered with, are told in words', async (t) => {
  const { herald, host, provider } = await start(t);
  const page = await openHerald(t, herald);
  await signInButton(page).click();
  await page.getByRole('button', { name: 'Refuse' }).click();
  await isTold(page, `${host} refused: not today (access_denied)`);

  // Nobody's question: a stranger's link, whose words are not shown.
  await page.goto(`${herald.http}/?error=x&error_description=Call+this+number&state=s`);
  await isTold(page, 'a question that this page has not asked');
  assert.equal(page.url(), `${herald.http}/`);
  assert.equal(await page.getByText('Call this number').count(), 0);

  // What the page asked, changed on the way to the provider, which then answers something else.
  for (const [name, words] of [
    ['nonce', 'nonce'],
    ['code_challenge', `${host} refused: `],
    ['state', 'a question that this page has not asked'],
  ]) {
    const changed = async (route) => {
      const url = new URL(route.request().url());
      url.searchParams.set(name, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM');
      await route.continue({ url: url.href });
    };
    const asked = `${provider.issuer}/auth?**`;
    await page.context().clearCookies();
    await page.route(asked, changed);
    await signIn(page);
    await isTold(page, words);
    await page.unroute(asked);
  }
  // All that came in the way is gone; the provider still knows who that is.
  await signInButton(page).click();
  await entered(page);
});

test('a provider that hangs or is gone, and a token that Herald does not take, are told in words', async (t) => {
  const { herald, host, provider } = await start(t, { audience: 'others' });
  const page = await openHerald(t, herald);
  await signIn(page);
  await isTold(page, `Herald does not take the token of ${host}. Its log has the reason.`);

  await provider.set({ hangs: true });
  await page.reload();
  await signInButton(page).click();
  await page.getByText(`Asking ${host}…`).waitFor();
  await isTold(page, `${host} did not answer within 10 s.`);

  await provider.kill();
  await signInButton(page).click();
  await isTold(page, `${host} could not be reached`);
});

test('whoever has a password may use it beside the provider, and without one the page knows none', async (t) => {
  const { herald } = await start(t);
  const page = await openHerald(t, herald);
  await page.getByRole('button', { name: 'Use a password instead' }).click();
  await page.getByLabel('User', { exact: true }).fill('test1');
  await page.getByLabel('Password').fill('test');
  await page.getByRole('button', { name: 'Connect' }).click();
  await entered(page);
  assert.equal(await page.locator('#state').innerText(), 'test1 on one');

  const plain = await Herald.start(t);
  assert.equal(await connectSrc(plain), "'self'");
  const other = await openHerald(t, plain);
  await other.getByRole('button', { name: 'Connect' }).waitFor();
  assert.equal(await signInButton(other).count(), 0);
});

test('everybody can read where to sign in, light and dark, on a small screen', async (t) => {
  const { herald } = await start(t);
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      const page = await openHerald(t, herald, { colorScheme, viewport: { width, height: 800 } });
      await signInButton(page).waitFor();
      await lookAt(page, 'sign-in', { colorScheme, width });
      await page.goto(`${herald.http}/?code=x&state=s`);
      await page.getByRole('button', { name: 'Use a password instead' }).click();
      await lookAt(page, 'sign-in-refused', { colorScheme, width });
    }
  }
});
