// What every browser test needs: a Chromium for the file, pages whose complaints are kept, pages of another origin, and the
// walk through Herald's own page. Instances, clusters and waiting are the client tests'.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { Inbox, SOON } from '../clients/support.mjs';

export { Cluster, NUMBERS, installed } from '../clients/process-cluster.mjs';
export { Browser, Herald, TLS, post, startNats, until } from '../clients/support.mjs';

/** Debian's package, or what CHROMIUM names. */
function chromiumBinary() {
  const named = process.env.CHROMIUM;
  const found = named ? [named] : (process.env.PATH ?? '').split(':').map((folder) => path.join(folder, 'chromium'));
  const binary = found.find((file) => existsSync(file));
  assert.ok(binary, `${named ?? 'chromium'} is missing; scripts/browser gets it, CHROMIUM names another`);
  return binary;
}

/** The Chromium of the test file that imports this: a fresh profile, and it talks to nobody but these tests. */
let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: chromiumBinary(),
    headless: true,
    args: [
      '--no-sandbox', // its sandbox does not start as root
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Names of the network, which no browser takes for this machine.
      '--host-resolver-rules=MAP *.example 127.0.0.1',
    ],
  });
});
after(() => browser.close());

/** A page in a context of its own. `page.complaints` keeps what its console and its scripts complain of. */
export async function openPage(t, url, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
  t.after(() => context.close());
  const page = watch(await context.newPage());
  await page.goto(url);
  return page;
}

function watch(page) {
  page.setDefaultTimeout(SOON);
  page.complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(`${error}`));
  return page;
}

/** Clicks a link that opens a page of its own, and gives that page. */
export async function follow(page, link) {
  const opened = page.context().waitForEvent('page', { timeout: SOON });
  await link.click();
  return watch(await opened);
}

/** Herald's own page, opened. Refusals by its Content-Security-Policy are among the complaints. */
export function openHerald(t, herald, options) {
  return openPage(t, `${herald.http}/`, options);
}

/** Fills in the form and sends it. */
export async function logIn(page, user = 'test1', password = 'test') {
  await page.getByLabel('User', { exact: true }).fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Connect' }).click();
}

/** Logs in and waits until all of the page's subscriptions have joined. */
export async function enter(page, user = 'test1') {
  await logIn(page, user);
  await joined(page, ['/queue/message', '/topic/news', '/user/queue/orders']);
}

/** Waits until exactly these subscriptions stand, each confirmed by the server: an open one ends in "…". */
export async function joined(page, destinations) {
  await page.waitForFunction(
    (wanted) => {
      const shown = [...document.querySelectorAll('#subscriptions li > span')].map((chip) => chip.textContent);
      return JSON.stringify(shown) === JSON.stringify(wanted);
    },
    destinations,
  );
}

/** The newest notification whose text has `words`, once it shows. */
export async function notification(page, words) {
  const item = page.locator('#stream li', { hasText: words }).first();
  await item.waitFor();
  return item;
}

/** Whether these words of an element, each in one piece, stand from left to right as they are written: `in order`, or what is wrong. */
export const places = (locator, words) =>
  locator.evaluate((element, words) => {
    const letters = [];
    for (const word of words) {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      let start = -1;
      while (start < 0) {
        if (!walker.nextNode()) return `${word} is not there`;
        start = walker.currentNode.data.indexOf(word);
      }
      for (let at = start; at < start + word.length; at += 1) {
        const range = document.createRange();
        range.setStart(walker.currentNode, at);
        range.setEnd(walker.currentNode, at + 1);
        letters.push(range.getBoundingClientRect());
      }
    }
    const isBefore = (a, b) => a.top < b.top - 5 || a.left < b.left;
    const turned = letters.findIndex((letter, at) => at > 0 && !isBefore(letters[at - 1], letter));
    return turned < 0 ? 'in order' : `turned at letter ${turned} of ${words}`;
  }, words);

// HERALD_SCREENSHOTS names a folder that gets pictures of what is looked at here.
const pictures = process.env.HERALD_SCREENSHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What everybody must be able to read: nothing sticks out of the page, and axe has nothing to say. */
export async function lookAt(page, name, { colorScheme, width, fullPage = false }) {
  // What has just come fades in, and is not to be judged before.
  await page.evaluate(async () => {
    const ending = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ending.map(({ finished }) => finished));
  });
  if (pictures) {
    await page.evaluate(() => scrollTo(0, 0));
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: path.join(pictures, `${name}-${colorScheme}-${width}.png`), fullPage });
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= width, `${name}: nothing sticks out: ${wide} px`);
  const tables = await page.locator('.table').evaluateAll((boxes) =>
    boxes.map((box) => ({
      label: box.getAttribute('aria-label'),
      cut: Math.max(0, box.scrollWidth - box.clientWidth),
      unnamed: [...box.querySelectorAll('td:not([data-label])')].map((cell) => cell.innerText),
    })),
  );
  for (const table of tables) {
    assert.deepEqual(table, { label: table.label, cut: 0, unnamed: [] }, `${name}: a table is not cut, and each cell says its column`);
  }
  await audit(page, name);
}

/** The rules of WCAG as axe knows them, but for those that are `exempt`, by their names. */
export async function audit(page, name, exempt = []) {
  await page.evaluate(axe);
  const rules = Object.fromEntries(exempt.map((id) => [id, { enabled: false }]));
  const { violations } = await page.evaluate((rules) => window.axe.run({ rules }), rules);
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120))}`);
  assert.deepEqual(told, [], `${name}: rules of WCAG as axe knows them`);
}

/** A site that is not Herald's: an empty page at every path. `http://localhost` is another site than
 *  `http://127.0.0.1`, and another port of the same host another origin of the same site. */
export function startSite(t, host) {
  const server = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>another site</title>');
  });
  return listen(t, server, host);
}

async function listen(t, server, host) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${host}:${server.address().port}`;
}

/** Hands requests on to `herald`; `requests` keeps those to the API, as they were sent and with the status that they got. */
export async function startRecorder(t, herald) {
  const requests = new Inbox('request');
  const server = http.createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const options = { host: '127.0.0.1', port: herald.port, method, path: url, headers };
    const onward = http.request(options, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
      const { origin, 'sec-fetch-site': site } = headers;
      if (url.startsWith('/api/')) requests.push({ method, url, site, origin, status: answer.statusCode });
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  const url = await listen(t, server, '127.0.0.1');
  return { url, requests };
}
