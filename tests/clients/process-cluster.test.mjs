// The promise: `scripts/cluster up` starts a whole cluster from the files that containers use, what it prints works as it
// stands, an instance can be killed and brought back, and `down` leaves nothing running. With `--nats 3` history stands on
// three servers, and one may go. Prometheus and Jaeger take part if scripts/tools has got them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { Cluster, installed } from './process-cluster.mjs';
import { Browser, Inbox, post, until } from './support.mjs';

const run = promisify(execFile);

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test('one command starts a cluster that publishes, fails over and ends', { timeout: 240_000 }, async (t) => {
  const cluster = await Cluster.start(t);

  await t.test('the first curl works as it is printed', async () => {
    const curl = cluster.printed.match(/curl -X POST [\s\S]*?"curl"\}'/)?.[0];
    assert.ok(curl, cluster.printed);
    const { stdout } = await run('bash', ['-c', `${curl} -sS -w '%{http_code}'`]);
    assert.match(stdout, /202$/);
  });

  const browsers = [];
  for (const [n, base] of ['', '/backend', '', '/backend'].entries()) {
    const ws = `ws://127.0.0.1:${cluster.ports.nginx}${base}/ws`;
    browsers.push(await Browser.connect(t, ws, { user: `test${n + 1}`, origin: cluster.url() }));
  }

  await t.test('REST through nginx and NATS reach both instances', async () => {
    const used = new Set(browsers.map((browser) => browser.connected.instance));
    assert.deepEqual([...used].toSorted(), ['one', 'two']);
    const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/topic/news')));
    for (const [body, publish] of [
      ['by REST', () => post(`${cluster.url()}/api/v1/broadcast/topic/news`, 'by REST', { 'Content-Type': 'text/plain' })],
      ['below /backend', () => post(`${cluster.url()}/backend/api/v1/broadcast/topic/news`, 'below /backend', { 'Content-Type': 'text/plain' })],
      ['by NATS', () => cluster.publishByNats('herald.broadcast.topic.news', 'by NATS')],
    ]) {
      const answer = await publish();
      assert.ok(answer === '+OK' || answer.status === 202, JSON.stringify(answer));
      for (const inbox of inboxes) assert.equal((await inbox.next()).body, body);
    }
  });

  await t.test('NATS keeps strangers out and backends to their subjects', async () => {
    assert.match(await cluster.publishByNats('herald.broadcast.topic.news', '', 'wrong'), /Authorization/);
    assert.match(await cluster.publishByNats('herald.control.presence', ''), /Permissions Violation/);
  });

  await t.test('nginx is believed in what it says of the address', async (t) => {
    const url = `ws://127.0.0.1:${cluster.ports.nginx}/ws`;
    // As another proxy in front of nginx would say it: both are in the networks that are trusted.
    const headers = { 'X-Forwarded-For': '203.0.113.9' };
    await Browser.connect(t, url, { user: 'test9', webSocketFactory: () => new WebSocket(url, 'v12.stomp', { headers }) });
    const answer = await fetch(`${cluster.url()}/api/v1/users/test9`, {
      headers: { Authorization: `Bearer ${cluster.secret('scrape-key')}` },
    });
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).sessions[0].address, '203.0.113.9');
  });

  await t.test('a killed instance loses nobody, and comes back', async () => {
    const browser = new Browser(t, `ws://127.0.0.1:${cluster.ports.nginx}/ws`, { reconnectDelay: 100 });
    const inbox = new Inbox('MESSAGE on /user/queue/orders');
    const joined = new Inbox('RECEIPT of the subscription');
    browser.onConnect = (frame) => {
      const { id, done } = browser.receipt();
      browser.client.subscribe('/user/queue/orders', (message) => inbox.push(message.body), { receipt: id });
      done.then(() => joined.push(frame.headers.instance));
    };
    browser.client.activate();
    const before = await joined.next();
    await cluster.kill(before);
    const after = await joined.next();
    assert.notEqual(after, before);
    const sent = await cluster.publishByNats('herald.user.test1.queue.orders', 'after');
    assert.equal(sent, '+OK');
    assert.equal(await inbox.next(), 'after');
    await cluster.restart(before);
    assert.equal((await fetch(`${cluster.instance(before)}/readyz`)).status, 200);
  });

  await t.test('Prometheus reads both instances', { skip: !installed('prometheus') }, async () => {
    const query = `${cluster.url('prometheus')}/api/v1/query?query=${encodeURIComponent('sum(up{job="herald"})')}`;
    await until('two instances are up', async () => (await (await fetch(query)).json()).data.result[0]?.value[1] === '2', 60_000);
    const rules = await (await fetch(`${cluster.url('prometheus')}/api/v1/rules`)).json();
    const unhealthy = rules.data.groups.flatMap((group) => group.rules).filter((rule) => rule.health === 'err');
    assert.deepEqual(unhealthy, []);
  });

  await t.test('one notification is one trace in Jaeger, over both instances', { skip: !installed('jaeger') }, async () => {
    const sent = await post(`${cluster.url()}/api/v1/notifications`, { destination: '/topic/news', payload: 'traced' });
    assert.equal(sent.status, 202, sent.text);
    const { trace_id } = JSON.parse(sent.text);
    assert.match(trace_id, /^[0-9a-f]{32}$/);
    const url = `${cluster.url('jaeger')}/api/traces/${trace_id}`;
    const instances = async () => {
      const answer = await fetch(url);
      const [trace] = answer.status === 200 ? (await answer.json()).data : [];
      const tags = Object.values(trace?.processes ?? {}).flatMap((process) => process.tags);
      return new Set(tags.filter(({ key }) => key === 'service.instance.id').map(({ value }) => value)).size === 2;
    };
    await until('a trace with spans of both instances', instances, 60_000);
  });

  await t.test('down leaves nothing', async () => {
    const pids = cluster.pids();
    assert.ok(pids.length >= 4, `${pids}`);
    await cluster.command('down');
    assert.deepEqual(pids.filter(alive), []);
  });
});

test('with three NATS servers history stands on all, and one of them may go', { timeout: 240_000 }, async (t) => {
  const cluster = await Cluster.start(t, {}, ['--nats', '3']);
  const streams = async (monitor) => {
    const answer = await (await fetch(`${cluster.url(monitor)}/jsz?streams=1&config=1`)).json();
    return answer.account_details.flatMap((account) => account.stream_detail);
  };
  const browser = await Browser.connect(t, `ws://127.0.0.1:${cluster.ports.nginx}/ws`, { origin: cluster.url() });
  const inbox = await browser.subscribe('/queue/message');
  const published = async (message, key) =>
    (await post(`${cluster.url()}/api/v1/broadcast/queue/message`, JSON.stringify({ message }), { 'Content-Type': 'application/json', 'Idempotency-Key': key }))
      .status;
  assert.equal(await published('with all', 'k1'), 202);
  assert.equal(JSON.parse((await inbox.next()).body).message, 'with all');

  let leader;
  await t.test('each stream has three replicas', async () => {
    const found = await streams('nats_monitor');
    assert.deepEqual(found.map(({ name, config }) => `${name} ${config.num_replicas}`).toSorted(), ['HERALD_BROADCAST 3', 'HERALD_USER 3']);
    leader = found.find(({ name }) => name === 'HERALD_BROADCAST').cluster.leader;
    assert.match(leader, /^nats-[123]$/);
  });

  await t.test('the doctor sees the cluster, and a server of it that is gone', async () => {
    const replicas = async () => {
      const env = {
        ...process.env,
        HERALD_BUS__URL: `nats://127.0.0.1:${cluster.ports.nats}`,
        HERALD_BUS__USER: 'herald',
        HERALD_BUS__PASSWORD_FILE: path.join(cluster.state, 'secrets/nats-herald-password'),
        HERALD_HISTORY__ENABLED: 'true',
        HERALD_HISTORY__REPLICAS: '3',
      };
      const herald = process.env.HERALD_BIN ?? path.resolve(here, '../../target/debug/herald');
      // It ends with 1 while a stream has no leader.
      const { stdout } = await run(herald, ['doctor', '--demo', '--json', '--listen', '127.0.0.1:0'], { env }).catch((error) => error);
      const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
      return lines.find(({ check }) => check === 'replicas');
    };
    await until('all replicas are current', async () => (await replicas()).status === 'ok', 60_000);
    assert.match((await replicas()).detail, /3, in the cluster herald/);
    const other = leader === 'nats-3' ? '2' : '3';
    await cluster.command('kill', 'nats', other);
    await until('the doctor misses it', async () => (await replicas()).detail.includes(`nats-${other}`), 60_000);
    await cluster.command('start', 'nats', other);
  });

  await t.test('the server that leads is killed: what is published meanwhile arrives, once', async () => {
    const number = leader.at(-1);
    await cluster.command('kill', 'nats', number);
    await until('a publish with two servers', async () => (await published('with two', 'k2')) === 202, 60_000);
    assert.equal(JSON.parse((await inbox.next(() => true, 30_000)).body).message, 'with two');
    await cluster.command('start', 'nats', number);
    const status = await cluster.command('status');
    assert.equal(status.match(/nats:\/\/127/g)?.length, 3, status);
    await until('a publish with all again', async () => (await published('with all again', 'k3')) === 202, 60_000);
    assert.equal(JSON.parse((await inbox.next(() => true, 30_000)).body).message, 'with all again');
  });

  await t.test('down leaves nothing', async () => {
    const pids = cluster.pids();
    assert.ok(pids.length >= 6, `${pids}`);
    await cluster.command('down');
    assert.deepEqual(pids.filter(alive), []);
  });
});
