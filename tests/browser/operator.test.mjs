// The promise: an operator sees at `/` what a cluster does: figures that move, plots that draw, who is connected where, who would
// get a notification and who got it; can end a user's sessions; and who is no operator is shown nothing of it, and asks for nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Browser,
  Herald,
  enter,
  lookAt,
  notification,
  openHerald,
  places,
  post,
  startNats,
  until,
} from './support.mjs';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

async function cluster(t, { history = false } = {}) {
  const nats = await startNats(t, { jetstream: history });
  const start = (name) =>
    Herald.start(t, {
      HERALD_BUS__URL: nats.url,
      HERALD_INSTANCE__NAME: name,
      HERALD_HTTP__TRACE_URL: 'http://jaeger.example/trace/{trace_id}',
      ...(history && { HERALD_HISTORY__ENABLED: 'true' }),
    });
  return Promise.all(['one', 'two'].map(start));
}

/** The page's operator's view, entered as `user`. */
async function operate(t, herald, user = 'admin', options = {}) {
  const page = await openHerald(t, herald, options);
  await enter(page, user);
  await page.getByRole('tab', { name: 'Operator' }).click();
  return page;
}

/** The value under a name in the row of figures. */
const figure = (page, name) => page.locator('.figures div', { hasText: name }).locator('dd').innerText();

/** Rows of a table, cells joined by a blank. */
const rows = (page, id) =>
  page.locator(`#${id} tbody tr`).evaluateAll((rows) => rows.map((row) => [...row.cells].map((c) => c.innerText.trim()).join(' ')));

/** How many different colours a plot has drawn. */
const colours = (page, title) =>
  page.getByRole('img', { name: `${title} of the last` }).locator('canvas').evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });

test('figures move, plots draw, instances and sessions of the whole cluster are listed', async (t) => {
  const [one, two] = await cluster(t);
  const other = await openHerald(t, two);
  await enter(other, 'test1');
  const page = await operate(t, one);
  await until('two instances', async () => (await rows(page, 'instances')).length === 2);
  const [first, second] = await rows(page, 'instances');
  assert.match(first, /^one serving answers 1 1 /);
  assert.match(second, /^two serving 1 1 /);

  let sent = 0;
  const pump = setInterval(() => {
    sent += 1;
    post(`${one.http}/api/v1/message`, { message: `m${sent}`, user: 'pump' }).catch(() => {});
  }, 20);
  t.after(() => clearInterval(pump));
  await until('a rate of what comes in', async () => Number.parseInt(await figure(page, 'Notifications in'), 10) > 5);
  await until('a rate of what goes out', async () => Number.parseInt(await figure(page, 'Messages out'), 10) > 5);
  await until('percentiles', async () => / (µs|ms|s)$/.test(await figure(page, 'Latency')));
  assert.equal(await figure(page, 'Sessions'), '2');
  assert.equal(await figure(page, 'Instances'), '2');
  for (const title of ['Sessions', 'Rates', 'Latency']) {
    await until(`${title} has lines`, async () => (await colours(page, title)) > 8);
  }
  await page.getByLabel('What is measured').selectOption("Socket to the browser's ACK");
  clearInterval(pump);

  await page.getByLabel('Find a user').fill('test1');
  await page.getByRole('button', { name: 'test1', exact: true }).click();
  await page.getByRole('heading', { name: 'test1: 1 session' }).waitFor();
  const sessions = page.getByRole('region', { name: 'Sessions of test1' });
  assert.match(await sessions.innerText(), /two[^]*127\.0\.0\.1[^]*\/user\/queue\/orders/);
  assert.deepEqual(page.complaints, []);
});

test('who would get it is told before, and who got it after; the trace has its link', async (t) => {
  const [one, two] = await cluster(t);
  const other = await openHerald(t, two);
  await enter(other, 'test1');
  const page = await operate(t, one);
  const operator = page.getByRole('tabpanel', { name: 'Operator' });
  await operator.getByLabel('Only to this user').fill('test1');
  await operator.getByLabel('Destination').fill('/queue/orders');
  await operator.getByRole('button', { name: 'Who would get it?' }).click();
  await page.getByRole('heading', { name: '1 message on /user/queue/orders' }).waitFor();
  assert.deepEqual(await rows(page, 'reach'), ['test1 two yes at once']);
  assert.equal(await other.locator('#stream li').count(), 0, 'asked, not sent');

  await operator.getByLabel('Destination').fill('/queue/elsewhere');
  await operator.getByRole('button', { name: 'Who would get it?' }).click();
  await page.getByRole('heading', { name: 'Nobody gets this on /user/queue/elsewhere, 1 session without' }).waitFor();
  assert.match((await rows(page, 'reach'))[0], /^test1 two no not subscribed/);

  await operator.getByLabel('Only to this user').fill('');
  await operator.getByLabel('Destination').fill('/queue/message');
  await operator.getByLabel('Payload (JSON)').fill('"to everyone"');
  await operator.getByRole('button', { name: 'Publish' }).click();
  await notification(other, '"to everyone"');
  await page.getByRole('heading', { name: '2 messages on /queue/message' }).waitFor();
  assert.deepEqual((await rows(page, 'reach')).toSorted(), ['admin one yes at once', 'test1 two yes at once']);
  await operator.getByText(/^202, id /).waitFor();

  // What is written from right to left turns nothing else: a destination in a heading, a message in a row.
  await operator.getByLabel('Destination').fill('/queue/שלום');
  await operator.getByRole('button', { name: 'Who would get it?' }).click();
  const heading = page.locator('h3', { hasText: 'Nobody gets this' });
  await heading.waitFor();
  assert.equal(await places(heading, ['Nobody gets this', ', 2 sessions without']), 'in order');
  await post(`${two.http}/api/v1/message`, { message: '\u202eabc', user: 'evil' });
  const row = operator.locator('.clip', { hasText: 'evil' }).first();
  await row.waitFor();
  assert.equal(await places(row, ['"user"', '"evil"']), 'in order');

  const traced = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
  await post(`${two.http}/api/v1/message`, { message: 'traced', user: 'backend' }, traced);
  const link = operator.getByRole('link', { name: `trace ${TRACE.slice(0, 8)}` }).first();
  await link.waitFor();
  assert.equal(await link.getAttribute('href'), `http://jaeger.example/trace/${TRACE}`);
  assert.deepEqual([...page.complaints, ...other.complaints], []);
});

test('an operator disconnects a user: that page says why, and does not come back by itself', async (t) => {
  const [one, two] = await cluster(t);
  const other = await openHerald(t, two);
  await enter(other, 'test1');
  const page = await operate(t, one);
  await page.getByRole('button', { name: 'test1', exact: true }).click();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByRole('button', { name: 'Really disconnect test1' }).click();
  await other.getByRole('alert').getByText('An operator has disconnected this user.').waitFor();
  await other.getByRole('heading', { name: 'Log in' }).waitFor();
  await page.getByRole('heading', { name: 'test1: 0 sessions' }).waitFor();
  // Whoever sits there may log in again.
  await enter(other, 'test1');
});

test('who is no operator has no tab for it, and no request of the page is refused', async (t) => {
  const herald = await Herald.start(t);
  const page = await openHerald(t, herald);
  const answers = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/api/') || pathname === '/metrics') answers.push(`${response.status()} ${pathname}`);
  });
  await enter(page, 'test1');
  await until('Herald has said what the user may do', () => answers.length > 0);
  // Whatever the page asks of itself, it asks within this time.
  await page.waitForTimeout(3_000);
  assert.deepEqual(answers, ['200 /api/v1/me']);
  assert.equal(await page.getByRole('tab').count(), 0);

  await page.getByRole('button', { name: 'Log out' }).click();
  await enter(page, 'admin');
  await page.getByRole('tab', { name: 'Operator' }).click();
  await page.getByRole('heading', { name: 'Instances' }).waitFor();
  assert.deepEqual(answers.filter((answer) => !answer.startsWith('200 ')), []);
  assert.deepEqual(page.complaints, []);
});

test('the views change by the arrow keys, and what was received stays', async (t) => {
  const herald = await Herald.start(t);
  const page = await operate(t, herald);
  await post(`${herald.http}/api/v1/message`, { message: 'meanwhile', user: 'curl' });
  await page.getByRole('tab', { name: 'Operator' }).focus();
  await page.keyboard.press('ArrowLeft');
  await notification(page, 'meanwhile');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Live');
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 1280]) {
    test(`it is readable at ${width} px in ${colorScheme} mode`, async (t) => {
      const [one, two] = await cluster(t, { history: true });
      for (const user of ['test1', 'test2', 'test3']) await enter(await openHerald(t, two), user);
      const viewport = { width, height: 800 };
      const page = await operate(t, one, 'admin', { colorScheme, viewport, reducedMotion: 'reduce' });
      let sent = 0;
      const pump = setInterval(() => {
        sent += 1;
        // Busier and calmer, as a real day is.
        if (Math.sin(sent / 40) < Math.random() * 1.6 - 1) return;
        const order = { order: 1000 + sent, state: sent % 3 ? 'packed' : 'shipped' };
        const notification = { destination: '/queue/orders', users: ['admin', 'test1', 'test2'], payload: order };
        const headers = { traceparent: `00-${TRACE.slice(0, 24)}${String(10_000_000 + sent)}-00f067aa0ba902b7-0${sent % 2}` };
        post(`${one.http}/api/v1/notifications`, notification, headers).catch(() => {});
      }, 25);
      t.after(() => clearInterval(pump));
      await page.getByRole('button', { name: 'test1', exact: true }).click();
      await page.getByRole('heading', { name: 'test1: 1 session' }).waitFor();
      await page.getByRole('button', { name: 'Who would get it?' }).click();
      await page.locator('#reach').waitFor();
      // Somebody was away for a moment.
      const { position } = JSON.parse((await post(`${one.http}/api/v1/notifications`, { destination: '/queue/orders', payload: 'gone' })).text);
      const back = await Browser.connect(t, one.ws, { user: 'test4' });
      await back.subscribe('/queue/orders', { 'last-message-id': position });
      await until('what history keeps, stores and has replayed', async () => {
        const found = await rows(page, 'history');
        const resumes = await page.locator('#resumes').innerText();
        return found.length === 2 && found.every((row) => / of (256 MiB|1 GiB)$/.test(row)) && resumes === '1 resume: 1 recovered';
        // JetStream is asked every ten seconds how much it holds.
      }, 60_000);
      await until('the plots have some points', async () => (await colours(page, 'Rates')) > 8);
      // A picture for people wants more of a curve than a test does.
      if (process.env.HERALD_SCREENSHOTS) await page.waitForTimeout(24_000);
      await lookAt(page, 'operator', { colorScheme, width, fullPage: true });
    });
  }
}
