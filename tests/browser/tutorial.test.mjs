// The promise: docs/tutorial.md works as it stands. Its commands run in its order; only variables of the environment move ports,
// so that the test can run beside others. The three bells are open in a browser, both instances are killed under them, one
// after the other, while the backend publishes, and each bell has every order, once and in order.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '../clients/ports.mjs';
import { openPage, until } from './support.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const tutorial = readFileSync(path.join(root, 'docs/tutorial.md'), 'utf8');
/** Each line that people type. */
const typed = [...tutorial.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block.trim().split('\n'));
const ORDERS = 60;
/** vite compiles what the pages import, on a machine that may be busy. */
const SERVED_BY_MS = 60_000;

test('the tutorial works, and nothing is lost', { timeout: 280_000 }, async (t) => {
  assert.deepEqual(typed, [
    'scripts/tools nats-server nginx',
    'scripts/cluster up',
    'npm ci --ignore-scripts',
    'npm run dev --workspace examples/bell',
    'python3 examples/bell/backend.py',
    'scripts/cluster kill 1',
    'scripts/cluster start 1',
    'scripts/cluster kill 2',
    'scripts/cluster start 2',
    'scripts/cluster status',
    'scripts/cluster down',
  ]);
  const state = mkdtempSync(path.join(os.tmpdir(), 'herald-tutorial-'));
  const env = {
    ...process.env,
    CLUSTER_STATE: state,
    CLUSTER_PORTS: 'free',
    PORT: `${await freePort()}`,
    // Where `CI` is set, vite puts colours into its address.
    NO_COLOR: '1',
    HERALD_BIN: process.env.HERALD_BIN ?? path.join(root, 'target/debug/herald'),
  };
  const type = async (line) => (await promisify(execFile)('bash', ['-c', line], { cwd: root, env })).stdout;
  /** What does not end by itself, or not soon; its own group, since npm and bash start others. */
  const start = (line) => {
    const child = spawn('bash', ['-c', line], { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const running = { said: '', ended: new Promise((resolve) => child.on('exit', resolve)) };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (running.said += chunk));
    t.after(async () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
      await running.ended;
    });
    return running;
  };
  t.after(async () => {
    await type('scripts/cluster down');
    rmSync(state, { recursive: true, force: true });
  });

  await type('scripts/cluster up');
  env.HERALD_URL = `http://127.0.0.1:${readFileSync(path.join(state, 'ports'), 'utf8').match(/^nginx=(\d+)$/m)[1]}`;

  // `scripts/ui` has run `npm ci` before these tests.
  const server = start('npm run dev --workspace examples/bell');
  await until('vite serves', () => server.said.includes(`http://127.0.0.1:${env.PORT}/`), SERVED_BY_MS);
  const bells = [];
  for (const name of ['plain', 'stompjs', 'react']) {
    const page = await openPage(t, `http://127.0.0.1:${env.PORT}/${name}.html`);
    page.setDefaultTimeout(SERVED_BY_MS);
    await page.locator('#status', { hasText: /^connected (one|two)$/ }).waitFor();
    bells.push({ name, page });
  }
  const count = async ({ page }) => Number(await page.locator('#count').innerText());
  const allAreOn = (instance) =>
    Promise.all(bells.map(({ page }) => page.locator('#status', { hasText: `connected ${instance}` }).waitFor()));
  // A bell that is connected may not have subscribed yet, and the tutorial's reader is slower than this test.
  await until('all have subscribed', async () => (await reached(env.HERALD_URL)) === bells.length, SERVED_BY_MS);

  const backend = start('python3 examples/bell/backend.py');
  await until('the first orders are there', async () => (await count(bells[0])) >= 5, SERVED_BY_MS);
  // Whomever nginx has sent where: each bell loses its instance once at least.
  await type('scripts/cluster kill 1');
  await allAreOn('two');
  await type('scripts/cluster start 1');
  await type('scripts/cluster kill 2');
  await allAreOn('one');
  assert.equal(await backend.ended, 0, backend.said);

  const expected = Array.from({ length: ORDERS }, (_, at) => `Order ${at + 1} has shipped`);
  for (const bell of bells) {
    const texts = async () => (await bell.page.locator('#list li').allInnerTexts()).toReversed();
    await until(`${bell.name} has all`, async () => (await texts()).length >= ORDERS, SERVED_BY_MS);
    assert.deepEqual(await texts(), expected, bell.name);
    assert.equal(await count(bell), ORDERS, bell.name);
  }
  await bells[0].page.locator('#bell').click();
  assert.equal(await count(bells[0]), 0);

  await type('scripts/cluster start 2');
  assert.match(await type('scripts/cluster status'), /herald-1[\s\S]*herald-2/);
});

/** How many sessions an order would reach now. */
async function reached(herald) {
  const query = new URLSearchParams({ destination: '/queue/bell', user: 'test1' });
  const headers = { authorization: `Basic ${btoa('admin:test')}` };
  return (await (await fetch(`${herald}/api/v1/explain?${query}`, { headers })).json()).reached_count;
}
