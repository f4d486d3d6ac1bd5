// The promise: the page works over https, with a WebSocket over wss, from an instance that speaks TLS itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Herald, TLS, enter, notification, openHerald } from './support.mjs';

test('a person logs in over wss, and sends and publishes what comes back', async (t) => {
  const herald = await Herald.start(t, { HERALD_INSTANCE__NAME: 'one', ...TLS });
  // The authority is the tests' own.
  const page = await openHerald(t, herald, { ignoreHTTPSErrors: true });
  assert.match(page.url(), /^https:/);
  await enter(page, 'test1');
  assert.equal(await page.locator('#state').innerText(), 'test1 on one');
  await page.getByLabel('Message', { exact: true }).fill('over TLS');
  await page.getByRole('button', { name: 'Send' }).click();
  await notification(page, 'over TLS');
  // By REST, from the page, of the same origin.
  await page.getByLabel('Payload (JSON)').fill('{"order": 7}');
  await page.getByLabel('Destination', { exact: true }).fill('/queue/orders');
  await page.getByLabel('Only to this user').fill('test1');
  await page.getByRole('button', { name: 'Publish' }).click();
  await notification(page, '{"order": 7}');
  assert.deepEqual(page.complaints, []);
});
