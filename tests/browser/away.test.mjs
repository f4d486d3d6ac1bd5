// The promise: a page whose connection was lost shows what came meanwhile and says that it is all here; what cannot be brought
// back it calls a gap.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Way } from '../clients/way.mjs';
import { Herald, enter, joined, lookAt, notification, openPage, post } from './support.mjs';

const SUBSCRIBED = ['/queue/message', '/topic/news', '/user/queue/orders'];

async function publish(herald, destination, payload, user) {
  const answer = await post(`${herald.http}/api/v1/notifications`, { destination, payload, ...(user && { user }) });
  assert.equal(answer.status, 202, answer.text);
}

test('what was missed while the connection was cut is here, once and in order', async (t) => {
  const herald = await Herald.start(t);
  const way = await Way.start(t, herald.port);
  const page = await openPage(t, `${way.http}/`);
  await enter(page);
  await publish(herald, '/queue/message', { seen: 0 });
  await notification(page, '"seen"');
  way.cut();
  await page.locator('#state[data-state=wait]').waitFor();
  for (let n = 0; n < 6; n += 1) {
    await publish(herald, '/queue/message', { missed: n });
    await publish(herald, '/queue/orders', { order: n }, 'test1');
  }
  way.mend();
  await page.locator('#away', { hasText: /^12 missed while away \(\d+\.\d s\), all here\.$/ }).waitFor();
  await notification(page, /"order":\s*5/);
  await notification(page, /"missed":\s*5/);
  const bodies = await page.locator('#stream li').allInnerTexts();
  const shown = (name) => bodies.flatMap((text) => text.match(new RegExp(`"${name}":\\s*(\\d)`))?.[1] ?? []).join('');
  assert.deepEqual([bodies.length, shown('missed'), shown('order')], [13, '543210', '543210']);
  const operator = await openPage(t, `${herald.http}/`);
  await enter(operator, 'admin');
  await operator.getByRole('tab', { name: 'Operator' }).click();
  // The feed's three, and those of the page itself.
  await operator.locator('#resumes', { hasText: /^\d resumes: \d recovered$/ }).waitFor();
  const kept = operator.locator('#history tbody tr');
  await kept.filter({ hasText: /user––6/ }).waitFor();
  await kept.filter({ hasText: /broadcast––7/ }).waitFor();
  await lookAt(operator, 'history', { colorScheme: 'light', width: operator.viewportSize().width, fullPage: true });
  await lookAt(page, 'away', { colorScheme: 'light', width: page.viewportSize().width });
});

test('the instance is killed, and its history with it: the page says that there is a gap, and is live', async (t) => {
  const herald = await Herald.start(t);
  const page = await openPage(t, `${herald.http}/`, { colorScheme: 'dark', viewport: { width: 360, height: 740 } });
  await enter(page);
  await herald.kill();
  await page.locator('#state[data-state=wait]').waitFor();
  await herald.restart(t);
  const line = page.locator('#away[data-gap]', { hasText: 'Herald has restarted' });
  await line.waitFor();
  assert.match(await line.innerText(), /^Gap: reload what depends on \/queue\/message, \/topic\/news, \/user\/queue\/orders\./);
  await joined(page, SUBSCRIBED);
  await publish(herald, '/queue/message', { after: 1 });
  await notification(page, '"after"');
  await lookAt(page, 'gap', { colorScheme: 'dark', width: 360 });
});
