// The promise: `just compose-up` comes up from the files as they stand, everything that it prints works, an instance that
// is killed costs nobody more than a moment, and `compose-down` leaves nothing. With `--nats 3` a NATS server may go. Runs
// in the engine of scripts/engine, which has the images; Grafana alone has no stand-in and is left out.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { publishByNats } from '../nats.mjs';
import { Browser, Inbox, delay, here, post, until } from '../support.mjs';

const run = promisify(execFile);
const root = path.resolve(here, '../..');
const nginx = 'http://127.0.0.1:8080';
const instances = { one: { number: 1, url: 'http://127.0.0.1:8081' }, two: { number: 2, url: 'http://127.0.0.1:8082' } };

/** One of the recipes of the Justfile that people use; gives what it prints. */
const just = async (...words) => (await run('just', words, { cwd: root, maxBuffer: 1 << 24 })).stdout;
const docker = async (...words) => (await run('docker', words, { maxBuffer: 1 << 24 })).stdout;
const secret = (name) => readFileSync(path.join(process.env.CLUSTER_STATE, 'secrets', name), 'utf8');
const json = async (url) => (await fetch(url)).json();

/** What the containers said last, for somebody who reads why a test failed. */
async function logs(t) {
  for (const name of (await docker('ps', '--all', '--format', '{{.Names}}')).trim().split('\n')) {
    const { stdout, stderr } = await run('docker', ['logs', '--tail', '20', name]);
    const health = await docker('inspect', '--format', '{{.State.Status}} {{json .State.Health}}', name);
    t.diagnostic(`${name}: ${health}${stdout}${stderr}`);
  }
}

test('the composed cluster comes up, does what it promises, and goes', { timeout: 300_000 }, async (t) => {
  assert.ok(process.env.DOCKER_HOST, 'runs in the engine of scripts/engine test');
  t.after(() => just('compose-down', '--volumes'));
  const step = (name, body) =>
    t.test(name, async (t) => {
      try {
        await body(t);
      } catch (error) {
        await logs(t);
        throw error;
      }
    });

  let printed;
  await step('compose-up comes up', async (t) => {
    const began = Date.now();
    printed = await just('compose-up', '--no-build', 'nginx', 'prometheus');
    t.diagnostic(`up and healthy after ${Date.now() - began} ms`);
  });
  assert.ok(printed, 'it came up');

  await step('every container is healthy by its own check', async () => {
    const lines = (await docker('ps', '--all', '--format', '{{.Names}} {{.Status}}')).trim().split('\n');
    assert.equal(lines.length, 7, lines.join('\n'));
    for (const line of lines) assert.match(line, / Up .*\(healthy\)/);
    // As the image has it, not only as compose asks: what the Dockerfile says is what is run.
    const health = await docker('exec', 'herald-herald-1-1', '/usr/local/bin/herald', 'health');
    assert.match(health, /^http:\/\/127\.0\.0\.1:8080\/readyz: /);
  });

  await step('the curl that it prints and those of the README work through nginx', async () => {
    // Whole commands that send something: a line of a table is none.
    const curls = (text) => text.match(/^ *curl (?:[^\n]*\\\n)*[^\n]*/gm).filter((line) => / -d |-X POST/.test(line));
    const readme = curls(readFileSync(path.join(root, 'README.md'), 'utf8'));
    assert.ok(readme.length >= 4 && curls(printed).length >= 1, `${readme.length}`);
    const browser = await Browser.connect(t, `${nginx.replace('http', 'ws')}/ws`, { origin: nginx });
    const message = await browser.subscribe('/queue/message');
    const orders = await browser.subscribe('/user/queue/orders');
    for (const curl of [...curls(printed), ...readme]) {
      const { stdout } = await run('bash', ['-c', `${curl} -sS -w '\\n%{http_code}'`]);
      assert.match(stdout, /202$/, curl);
    }
    assert.equal(JSON.parse((await message.next()).body).message, 'hello');
    assert.equal(JSON.parse((await orders.next()).body).order, 7);
  });

  const browsers = [];
  for (let n = 1; n <= 4; n += 1) {
    browsers.push(await Browser.connect(t, `${nginx.replace('http', 'ws')}${n % 2 ? '/ws' : '/backend/ws'}`, { user: `test${n}` }));
  }

  await step('a NATS publish reaches both instances, and strangers are kept out', async () => {
    assert.deepEqual([...new Set(browsers.map((browser) => browser.connected.instance))].toSorted(), ['one', 'two']);
    const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/topic/news')));
    const nats = (password) => publishByNats(4222, 'herald.broadcast.topic.news', 'by NATS', password);
    assert.equal(await nats(secret('nats-backend-password')), '+OK');
    for (const inbox of inboxes) assert.equal((await inbox.next()).body, 'by NATS');
    assert.match(await nats('wrong'), /Authorization/);
  });

  await step('one notification is one trace in Jaeger, over both instances', async () => {
    const sent = await post(`${nginx}/api/v1/notifications`, { destination: '/topic/news', payload: 'traced' });
    assert.equal(sent.status, 202, sent.text);
    const { trace_id } = JSON.parse(sent.text);
    await until('a trace with spans of both instances', async () => {
      const [trace] = (await json(`http://127.0.0.1:16686/api/traces/${trace_id}`)).data ?? [];
      const tags = Object.values(trace?.processes ?? {}).flatMap((process) => process.tags);
      return new Set(tags.filter(({ key }) => key === 'service.instance.id').map(({ value }) => value)).size === 2;
    }, 60_000);
  });

  await step("Prometheus's targets are up and its rules are sound", async () => {
    await until('three targets are up', async () => {
      const { activeTargets } = (await json('http://127.0.0.1:9090/api/v1/targets')).data;
      return activeTargets.length === 3 && activeTargets.every(({ health }) => health === 'up');
    }, 60_000);
    const rules = (await json('http://127.0.0.1:9090/api/v1/rules')).data.groups.flatMap((group) => group.rules);
    assert.ok(rules.length > 0);
    assert.deepEqual(rules.filter((rule) => rule.health === 'err'), []);
  });

  await step('a killed instance costs its clients less than three seconds, and no request one', async () => {
    const browser = new Browser(t, `${nginx.replace('http', 'ws')}/ws`, { user: 'test5', reconnectDelay: 100 });
    const inbox = new Inbox('MESSAGE on /user/queue/orders');
    const joined = new Inbox('RECEIPT of the subscription');
    browser.onConnect = (frame) => {
      const { id, done } = browser.receipt();
      browser.client.subscribe('/user/queue/orders', (message) => inbox.push(message.body), { receipt: id });
      done.then(() => joined.push({ instance: frame.headers.instance, at: Date.now() }));
    };
    const closed = new Promise((resolve) => {
      browser.client.onWebSocketClose = () => resolve(Date.now());
    });
    // The instance that compose-kill 1 ends is the one to be on.
    for (;;) {
      browser.client.activate();
      if ((await joined.next()).instance === 'one') break;
      await browser.client.deactivate();
    }
    const dies = closed;
    await just('compose-kill', '1');
    const back = await joined.next();
    assert.equal(back.instance, 'two');
    t.diagnostic(`back on the other instance ${back.at - (await dies)} ms after the connection broke`);
    assert.ok(back.at - (await dies) < 3_000, `${back.at - (await dies)} ms`);
    assert.equal(await publishByNats(4222, 'herald.user.test5.queue.orders', 'after', secret('nats-backend-password')), '+OK');
    assert.equal(await inbox.next(), 'after');

    // The address is not only closed but gone: nobody answers a connection at all.
    const took = [];
    for (let n = 0; n < 40; n += 1) {
      const start = performance.now();
      const answer = await fetch(`${nginx}/readyz`);
      await answer.arrayBuffer();
      took.push(performance.now() - start);
      assert.equal(answer.status, 200);
      await delay(50);
    }
    t.diagnostic(`40 requests with one instance gone: the slowest took ${Math.max(...took).toFixed(0)} ms`);
    assert.ok(Math.max(...took) < 1_000, `${took.map((ms) => ms.toFixed(0))}`);
    await assert.rejects(fetch(`${instances.one.url}/readyz`));
  });

  await step('compose-start brings it back, behind nginx too, at another address', async (t) => {
    // Takes the address that has become free.
    const address = (name) => docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', name);
    const image = readFileSync(path.join(root, 'compose/compose.yaml'), 'utf8').match(/image: (prom\/\S+)/)[1];
    await docker('run', '--detach', '--rm', '--name', 'squatter', '--network', 'herald_cluster', '--entrypoint', 'sleep', image, '600');
    t.after(() => docker('rm', '--force', 'squatter'));
    const taken = await address('squatter');
    await just('compose-start', '1');
    assert.notEqual(await address('herald-herald-1-1'), taken);
    t.diagnostic(`was ${taken.trim()}, is ${(await address('herald-herald-1-1')).trim()}`);
    assert.equal((await fetch(`${instances.one.url}/readyz`)).status, 200);
    await until('a client of nginx on the instance that was away', async () => {
      const browser = await Browser.connect(t, `${nginx.replace('http', 'ws')}/ws`, { user: 'test6' });
      await browser.client.deactivate({ force: true });
      return browser.connected.instance === 'one';
    });
    await until('Prometheus reads it again', async () => {
      const { activeTargets } = (await json('http://127.0.0.1:9090/api/v1/targets')).data;
      return activeTargets.every(({ health }) => health === 'up');
    }, 30_000);
  });

  await step('nothing was restarted meanwhile', async () => {
    const names = (await docker('ps', '--quiet')).trim().split('\n');
    const counts = await docker('inspect', '--format', '{{.Name}} {{.RestartCount}} {{.State.Health.Status}}', ...names);
    for (const line of counts.trim().split('\n')) assert.match(line, / 0 healthy$/);
  });

  await step('compose-down leaves nothing', async () => {
    await just('compose-down', '--volumes');
    assert.equal(await docker('ps', '--all', '--quiet'), '');
    assert.equal(await docker('volume', 'ls', '--quiet'), '');
    assert.doesNotMatch(await docker('network', 'ls', '--format', '{{.Name}}'), /^herald/m);
  });
});

test('with --nats 3 history stands on three servers, and one of them may go', { timeout: 300_000 }, async (t) => {
  t.after(() => just('compose-down', '--volumes'));
  try {
    await just('compose-up', '--nats', '3', '--no-build', 'herald-1');
    const { account_details } = await json('http://127.0.0.1:8222/jsz?streams=1&config=1');
    const streams = account_details.flatMap((account) => account.stream_detail);
    assert.deepEqual(streams.map(({ name, config }) => `${name} ${config.num_replicas}`).toSorted(), ['HERALD_BROADCAST 3', 'HERALD_USER 3']);
    await just('compose-kill', 'nats', '2');
    const publish = () => post(`${instances.one.url}/api/v1/broadcast/queue/message`, '{}', { 'Content-Type': 'application/json', 'Idempotency-Key': 'k' });
    await until('a publish with two servers', async () => (await publish()).status === 202, 60_000);
    await just('compose-start', 'nats', '2');
    await until('the server is back', async () => (await json('http://127.0.0.1:8223/healthz')).status === 'ok', 60_000);
  } catch (error) {
    await logs(t);
    throw error;
  }
});
