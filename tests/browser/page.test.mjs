// The promise: the page at `/` works in a real browser, under its own strict Content-Security-Policy: log in, subscribe, send,
// see who is online, come back after a loss; also by keyboard alone, on a small screen, and for assistive tools.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Herald, enter, joined, logIn, lookAt, notification, openHerald, openPage, places, post } from './support.mjs';

const text = { 'Content-Type': 'text/plain' };

const start = async (t, settings) => {
  const herald = await Herald.start(t, settings);
  const page = await (await fetch(`${herald.http}/`)).text();
  assert.ok(page.includes('id="root"'), 'the page was not built: scripts/ui build, then cargo build');
  return herald;
};

test('a person logs in, subscribes, and sees what backends and the page itself send', async (t) => {
  const herald = await start(t, { HERALD_INSTANCE__NAME: 'one' });
  const page = await openHerald(t, herald);
  await enter(page, 'test1');
  assert.equal(await page.locator('#state').innerText(), 'test1 on one');

  // By REST, to everyone, to this user, and to another.
  await post(`${herald.http}/api/v1/message`, { message: 'from a backend', user: 'billing' });
  const chat = await notification(page, 'from a backend');
  assert.match(await chat.innerText(), /\/queue\/message[^]*"user": ?"billing"/);
  await post(`${herald.http}/api/v1/users/test2/queue/orders`, 'for test2 alone', text);
  await post(`${herald.http}/api/v1/users/test1/queue/orders`, 'for test1 alone', text);
  await notification(page, 'for test1 alone');
  assert.equal(await page.getByText('for test2 alone').count(), 0);

  // A destination of one's own choice.
  await page.getByLabel('Destination to subscribe to').fill('/topic/weather');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders', '/topic/weather']);
  await post(`${herald.http}/api/v1/broadcast/topic/weather`, '<b>extra</b> & "quotes"', text);
  await notification(page, '<b>extra</b> & "quotes"');

  // From the page: a SEND, and a request.
  await page.getByLabel('Message', { exact: true }).fill('grüße 🎉');
  await page.getByRole('button', { name: 'Send' }).click();
  await notification(page, 'grüße 🎉');
  await page.getByText('Sent.').waitFor();
  await page.getByLabel('Payload (JSON)').fill('{"order": 12345678901234567890}');
  await page.getByLabel('Only to this user').fill('test1');
  await page.getByLabel('Destination', { exact: true }).fill('/queue/orders');
  await page.getByRole('button', { name: 'Publish' }).click();
  await notification(page, '{"order": 12345678901234567890}'); // byte for byte: no number of a script's
  assert.match(await page.locator('#publish-result').innerText(), /^202, id /);

  // Unsubscribed: nothing more comes.
  await page.getByRole('button', { name: 'Unsubscribe from /topic/weather' }).click();
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders']);
  await post(`${herald.http}/api/v1/broadcast/topic/weather`, 'too late', text);
  await post(`${herald.http}/api/v1/users/test1/queue/orders`, 'the last', text);
  await notification(page, 'the last');
  assert.equal(await page.getByText('too late').count(), 0);
  assert.deepEqual(page.complaints, []);
});

test('refusals are told in words: a wrong password, a forbidden destination, a payload that is not JSON', async (t) => {
  const herald = await start(t);
  const page = await openHerald(t, herald);
  await logIn(page, 'test1', 'wrong');
  await page.getByRole('alert').getByText('Wrong user or password.').waitFor();
  assert.equal(await page.locator('#desk').isVisible(), false);

  await enter(page);
  assert.equal(await page.getByRole('alert').isVisible(), false, 'the old words are gone');
  await page.getByLabel('Destination to subscribe to').fill('/elsewhere/x');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('alert').getByText('/elsewhere/x').waitFor();
  // The session ended with that; the page comes back with the subscriptions that were allowed.
  await page.locator('#state[data-state=on]').waitFor();
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders']);
  await post(`${herald.http}/api/v1/users/test1/queue/orders`, 'still here', text);
  await notification(page, 'still here');
  assert.match(await page.getByRole('alert').innerText(), /\/elsewhere\/x/, 'and still says what was refused');

  await page.getByLabel('Payload (JSON)').fill('{');
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByText('The payload is not JSON').waitFor();
  await page.getByLabel('Payload (JSON)').fill('1');
  await page.getByLabel('Destination', { exact: true }).fill('/elsewhere/x');
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByText(/^400 .*\/destination/).waitFor();
});

test('a reload of the tab asks again, unless its user wanted to stay; logging out ends that', async (t) => {
  const herald = await start(t);
  const page = await openHerald(t, herald);
  await enter(page);
  await page.reload();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await page.getByLabel('Stay logged in').check();
  await enter(page);
  await page.reload();
  await page.locator('#state[data-state=on]').waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.reload();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test('what is no text, empty or long can be read; text of others stays within its box', async (t) => {
  const herald = await start(t);
  const page = await openHerald(t, herald);
  await enter(page);
  const send = (body, type) => post(`${herald.http}/api/v1/broadcast/topic/news`, body, { 'Content-Type': type });
  await send(new Uint8Array([0, 255, 72, 101]), 'application/octet-stream');
  const bytes = await notification(page, '00 ff 48 65');
  await bytes.locator('summary').click();
  await bytes.getByText('message-id').waitFor();
  await send('', 'text/plain');
  await page.getByText('Empty body.').waitFor();
  await send(Array.from({ length: 30 }, (_, n) => `line ${n}`).join('\n'), 'text/plain');
  const long = await notification(page, 'line 9');
  assert.doesNotMatch(await long.innerText(), /line 10/);
  await long.getByRole('button', { name: 'Show all 30 lines' }).click();
  await long.getByText('line 29').waitFor();
  await send(`\u202egnirts ${'\u0336\u0310'.repeat(40)}`, 'text/plain');
  const piled = await notification(page, 'gnirts');
  const styles = await piled.locator('pre').evaluate((pre) => {
    const { contain, unicodeBidi } = getComputedStyle(pre);
    return { contain, unicodeBidi };
  });
  assert.deepEqual(styles, { contain: 'paint', unicodeBidi: 'isolate' });

  // A text that turns the direction turns itself alone: what stands after it keeps its order, in a long body too.
  for (const length of [3, 5_000]) {
    await post(`${herald.http}/api/v1/message`, { message: `\u202e${'abc'.padEnd(length, 'x')}`, user: `evil${length}` });
    const turned = await notification(page, length === 3 ? `evil${length}` : 'xxx');
    if (length > 3) await turned.getByRole('button', { name: 'Show all' }).click();
    assert.deepEqual(await places(turned.locator('pre'), ['"user"', `"evil${length}"`]), 'in order');
  }

  await page.getByLabel('Show only what has this text').fill('LINE 3');
  assert.equal(await page.locator('#stream li').count(), 1);
  await page.getByLabel('Show only what has this text').fill('');
  await page.getByLabel('Destination to subscribe to').fill('/user/test1/queue/orders');
  await page.getByText('Your own notifications come on').waitFor();
  assert.deepEqual(page.complaints, []);
});

test('everybody online is listed, and the list follows who comes and goes', async (t) => {
  const herald = await start(t);
  const first = await openHerald(t, herald);
  await enter(first, 'test1');
  await first.locator('#online li').getByText('test1', { exact: true }).waitFor();
  const second = await openHerald(t, herald);
  await enter(second, 'test2');
  for (const page of [first, second]) {
    await page.getByText('2 in the cluster').waitFor();
    assert.deepEqual(await page.locator('#online li').allInnerTexts(), ['test1', 'test2']);
  }
  await second.getByRole('button', { name: 'Log out' }).click();
  await second.getByRole('heading', { name: 'Log in' }).waitFor();
  await first.getByText('1 in the cluster').waitFor();
  assert.deepEqual([...first.complaints, ...second.complaints], []);
});

test('a lost connection comes back by itself, subscribed as before', async (t) => {
  const herald = await start(t);
  const page = await openHerald(t, herald);
  await enter(page);
  await page.getByLabel('Destination to subscribe to').fill('/topic/weather');
  await page.keyboard.press('Enter');
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders', '/topic/weather']);
  // Every attempt to connect, when it was made.
  const attempts = [];
  page.on('websocket', () => attempts.push(Date.now()));

  await herald.kill();
  await page.getByText('Connection lost, trying again in').waitFor();
  assert.equal(await page.locator('#desk').isVisible(), true, 'what was received stays readable');
  while (attempts.length < 4) await page.waitForEvent('websocket', { timeout: 30_000 });
  await herald.restart(t);
  await page.locator('#state[data-state=on]').waitFor({ timeout: 40_000 });
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders', '/topic/weather']);
  await post(`${herald.http}/api/v1/broadcast/topic/weather`, 'after the restart', text);
  await notification(page, 'after the restart');
  await page.getByText('1 in the cluster').waitFor();
  assert.equal(await page.getByRole('alert').isVisible(), false);
  const pauses = attempts.slice(1).map((at, i) => at - attempts[i]);
  assert.ok(pauses.every((pause) => pause >= 190), `never at once: ${pauses}`);

  // An orderly end (1001) is no different.
  await herald.stop();
  await page.getByText('Connection lost, trying again in').waitFor();
  await herald.restart(t);
  await page.locator('#state[data-state=on]').waitFor({ timeout: 40_000 });
});

test('overloaded is no refusal: the page asks again for all it had', async (t) => {
  const herald = await start(t);
  const page = await openPage(t, 'about:blank');
  let sessions = 0;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    sessions += 1;
    if (sessions > 1) return void socket.connectToServer();
    socket.onMessage((frame) => {
      if (frame.startsWith('CONNECT')) socket.send('CONNECTED\nversion:1.2\n\n\0');
      if (!frame.startsWith('SUBSCRIBE')) return;
      socket.send('ERROR\nmessage:too much at once\n\n\0');
      socket.close({ code: 1013 });
    });
  });
  await page.goto(`${herald.http}/`);
  await enter(page);
  assert.equal(sessions, 2);
  assert.equal(await page.getByRole('alert').count(), 0, 'what has passed is no error');
});

test('the keyboard alone is enough to log in, to send and to log out', async (t) => {
  const herald = await start(t);
  const page = await openHerald(t, herald);
  const keys = page.keyboard;
  /** Tabs on until `wanted` has the focus; every stop must be visible. */
  const tabTo = async (wanted) => {
    const stops = [];
    for (let step = 0; step < 30; step += 1) {
      const { name, shown, ring } = await page.evaluate(() => {
        const element = document.activeElement;
        const { width, height } = element.getBoundingClientRect();
        return {
          name: element.name || element.id || element.textContent.trim(),
          shown: element === document.body || (width > 0 && height > 0),
          ring: element === document.body || getComputedStyle(element).outlineStyle !== 'none',
        };
      });
      if (name === wanted) return;
      stops.push(name.slice(0, 30));
      if (step > 0) assert.ok(shown && ring, `the focus is seen on ${name}`);
      await keys.press('Tab');
    }
    assert.fail(`no Tab leads to ${wanted}, only to ${stops}`);
  };

  await page.waitForFunction(() => document.activeElement?.name === 'user');
  await keys.type('test1');
  await keys.press('Tab');
  await keys.type('test');
  await keys.press('Enter');
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders']);
  await page.waitForFunction(() => document.activeElement?.name === 'destination');
  await keys.type('/topic/weather');
  await keys.press('Enter');
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders', '/topic/weather']);

  await tabTo('message');
  await keys.type('typed');
  await keys.press('Tab');
  await keys.press('Enter');
  await notification(page, 'typed');
  await tabTo('payload');
  await keys.press('Control+A');
  await keys.type('"published by keys"');
  await tabTo('Publish');
  await keys.press('Space');
  await notification(page, 'published by keys');

  await tabTo('logout');
  await keys.press('Enter');
  await page.waitForFunction(() => document.activeElement?.name === 'user');
  assert.deepEqual(page.complaints, []);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 1100]) {
    test(`it is readable at ${width} px in ${colorScheme} mode`, async (t) => {
      const herald = await start(t, { HERALD_INSTANCE__NAME: 'one' });
      const viewport = { width, height: width === 360 ? 740 : 700 };
      const page = await openHerald(t, herald, { colorScheme, viewport, reducedMotion: 'reduce' });
      const look = (name) => lookAt(page, `page-${name}`, { colorScheme, width, fullPage: width === 360 });
      await look('login');
      await logIn(page, 'test1', 'wrong');
      await page.getByRole('alert').getByText('Wrong').waitFor();
      await look('refused');

      await enter(page);
      await post(`${herald.http}/api/v1/message`, { message: 'hello', user: 'curl' });
      await post(`${herald.http}/api/v1/broadcast/queue/message`, 'w'.repeat(200), text);
      await post(`${herald.http}/api/v1/notifications`, {
        destination: '/queue/orders',
        user: 'test1',
        payload: { order: 7, state: 'shipped' },
      });
      await notification(page, 'shipped');
      await page.getByText('1 in the cluster').waitFor();
      await page.getByLabel('Destination to subscribe to').fill(`/topic/${'long/'.repeat(14)}name`);
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelectorAll('#subscriptions li').length === 4);
      await page.getByRole('button', { name: 'Publish' }).click();
      await page.getByText('202, id').waitFor();
      await look('desk');

      await herald.kill();
      await page.getByText('Connection lost').waitFor();
      await look('lost');
    });
  }
}
