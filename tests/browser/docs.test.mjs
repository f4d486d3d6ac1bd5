// The promise: /docs shows every request of the REST interface and tries one out, under the page's own strict
// Content-Security-Policy, below a base path too; and everybody can read it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Herald, audit, openPage } from './support.mjs';

test('the REST interface is read and tried out at /docs', async (t) => {
  const herald = await Herald.start(t, { HERALD_HTTP__BASE_PATH: '/backend' });
  const root = new URL('/backend', herald.http).href;
  const page = await openPage(t, `${root}/docs`);
  const document = await (await fetch(`${root}/api/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((item) => Object.keys(item));
  await page.locator('.opblock').nth(operations.length - 1).waitFor();
  assert.equal(await page.locator('.opblock').count(), operations.length);

  // A raw body, by the form: its destination has slashes.
  const publish = page.locator('#operations-publish-post_broadcast');
  await publish.locator('.opblock-summary-control').click();
  await publish.getByRole('button', { name: 'Try it out' }).click();
  await publish.getByPlaceholder('destination').fill('/queue/orders');
  // Text is what it begins with, and something to send.
  assert.equal(await publish.locator('select[aria-label="Request content type"]').inputValue(), 'text/plain');
  assert.equal(await publish.locator('textarea').inputValue(), 'hello');
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === 'POST'),
    publish.getByRole('button', { name: 'Execute' }).click(),
  ]);
  assert.equal(answer.status(), 202);
  assert.equal(new URL(answer.url()).pathname, '/backend/api/v1/broadcast/%2Fqueue%2Forders');
  assert.match(await publish.locator('.live-responses-table').innerText(), /202[^]*"position"/);

  // JSON as it is offered: each example is taken.
  const notifications = page.locator('#operations-publish-post_notifications');
  await notifications.locator('.opblock-summary-control').click();
  await notifications.getByRole('button', { name: 'Try it out' }).click();
  const examples = notifications.locator('.examples-select select');
  const names = await examples.locator('option').evaluateAll((options) => options.map(({ value }) => value));
  assert.equal(names.length, 4);
  for (const name of names) {
    await examples.selectOption(name);
    const [taken] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      notifications.getByRole('button', { name: 'Execute' }).click(),
    ]);
    assert.equal(taken.status(), 202, name);
  }

  // A slash too many leads there as well.
  await page.goto(`${root}/docs/`);
  assert.equal(page.url(), `${root}/docs`);
  await page.locator('.opblock').nth(operations.length - 1).waitFor();

  assert.deepEqual(page.complaints, []);
});

// Swagger UI puts the link to a request (`deepLinking`) into the button that opens it. Both do the same, and both work by keyboard.
const EXEMPT = ['nested-interactive'];

test('/docs is readable, and has names for assistive technology', async (t) => {
  const herald = await Herald.start(t);
  const page = await openPage(t, `${herald.http}/docs`);
  await page.locator('.opblock').first().waitFor();
  await page.locator('#servers[aria-label]').waitFor();
  await audit(page, 'docs', EXEMPT);

  // One request of each method, opened; one of them tried out.
  for (const method of ['get', 'post', 'put', 'delete']) {
    await page.locator(`.opblock-${method} .opblock-summary-control`).first().click();
  }
  const publish = page.locator('#operations-publish-post_notifications');
  await publish.locator('.opblock-summary-control').click();
  await publish.getByRole('button', { name: 'Try it out' }).click();
  await publish.getByLabel('Example', { exact: true }).selectOption({ index: 1 });
  await publish.getByRole('button', { name: 'Execute' }).click();
  await publish.locator('.live-responses-table').waitFor();
  await publish.locator('.live-responses-table pre.microlight[tabindex]').first().waitFor();
  await audit(page, 'docs, opened', EXEMPT);

  await page.getByRole('button', { name: 'Authorize' }).first().click();
  await page.locator('.close-modal[aria-label]').waitFor();
  await audit(page, 'docs, credentials', EXEMPT);
  assert.deepEqual(page.complaints, []);
});
