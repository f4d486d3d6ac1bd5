// The promise: `scripts/cluster up` starts a whole cluster from the files that containers use, what it prints works as it
// stands, an instance can be killed and brought back, and `down` leaves nothing running. Prometheus and Jaeger take part if
// scripts/tools has got them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { Browser, Inbox, here, post, until } from './support.mjs';

const run = promisify(execFile);
const root = path.resolve(here, '../..');
const tools = path.resolve(process.env.HERALD_TOOLS ?? path.join(root, '.tools'));
const installed = (name) => existsSync(path.join(tools, 'bin', name));

/** A cluster of its own on free ports, ended with the test. */
class Cluster {
  static async start(t) {
    const cluster = new Cluster();
    cluster.state = mkdtempSync(path.join(os.tmpdir(), 'herald-cluster-'));
    t.after(async () => {
      await cluster.command('down');
      rmSync(cluster.state, { recursive: true, force: true });
    });
    cluster.printed = await cluster.command('up');
    cluster.ports = Object.fromEntries(
      readFileSync(path.join(cluster.state, 'ports'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    );
    cluster.url = `http://127.0.0.1:${cluster.ports.nginx}`;
    return cluster;
  }

  async command(...words) {
    const env = {
      ...process.env,
      CLUSTER_STATE: this.state,
      CLUSTER_PORTS: 'free',
      HERALD_BIN: process.env.HERALD_BIN ?? path.join(root, 'target/debug/herald'),
    };
    const { stdout } = await run(path.join(root, 'scripts/cluster'), words, { env });
    return stdout;
  }

  secret(name) {
    return readFileSync(path.join(this.state, 'secrets', name), 'utf8');
  }

  /** Process ids of what was started and still stands in the state folder. */
  pids() {
    return readdirSync(path.join(this.state, 'pid')).map((name) =>
      Number(readFileSync(path.join(this.state, 'pid', name), 'utf8').split(' ')[0]),
    );
  }
}

/** Publishes as a backend would, and gives what the server says: `+OK`, or an error. */
function publishByNats(port, user, pass, subject, payload) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1');
    let heard = '';
    socket.on('error', reject);
    socket.on('data', (data) => {
      heard += data;
      // One +OK for CONNECT, one for PUB, then the answer to PING.
      if (heard.includes('PONG') || heard.includes('-ERR')) socket.end();
    });
    socket.on('close', () => resolve(heard.split('\r\n').find((line) => line.startsWith('-ERR')) ?? '+OK'));
    const connect = JSON.stringify({ user, pass, verbose: true, pedantic: false });
    socket.write(`CONNECT ${connect}\r\nPUB ${subject} ${Buffer.byteLength(payload)}\r\n${payload}\r\nPING\r\n`);
  });
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test('one command starts a cluster that publishes, fails over and ends', { timeout: 110_000 }, async (t) => {
  const cluster = await Cluster.start(t);
  const backend = ['backend', cluster.secret('nats-backend-password')];

  await t.test('the first curl works as it is printed', async () => {
    const curl = cluster.printed.match(/curl -X POST [\s\S]*?"curl"\}'/)?.[0];
    assert.ok(curl, cluster.printed);
    const { stdout } = await run('bash', ['-c', `${curl} -sS -w '%{http_code}'`]);
    assert.match(stdout, /202$/);
  });

  const browsers = [];
  for (const [n, base] of ['', '/backend', '', '/backend'].entries()) {
    const ws = `ws://127.0.0.1:${cluster.ports.nginx}${base}/ws`;
    browsers.push(await Browser.connect(t, ws, { user: `test${n + 1}`, origin: cluster.url }));
  }

  await t.test('REST through nginx and NATS reach both instances', async () => {
    const used = new Set(browsers.map((browser) => browser.connected.instance));
    assert.deepEqual([...used].toSorted(), ['one', 'two']);
    const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/topic/news')));
    for (const [body, publish] of [
      ['by REST', () => post(`${cluster.url}/api/v1/broadcast/topic/news`, 'by REST', { 'Content-Type': 'text/plain' })],
      ['below /backend', () => post(`${cluster.url}/backend/api/v1/broadcast/topic/news`, 'below /backend', { 'Content-Type': 'text/plain' })],
      ['by NATS', () => publishByNats(cluster.ports.nats, ...backend, 'herald.broadcast.topic.news', 'by NATS')],
    ]) {
      const answer = await publish();
      assert.ok(answer === '+OK' || answer.status === 202, JSON.stringify(answer));
      for (const inbox of inboxes) assert.equal((await inbox.next()).body, body);
    }
  });

  await t.test('NATS keeps strangers out and backends to their subjects', async () => {
    const { nats } = cluster.ports;
    assert.match(await publishByNats(nats, 'backend', 'wrong', 'herald.broadcast.topic.news', ''), /Authorization/);
    assert.match(await publishByNats(nats, ...backend, 'herald.control.presence', ''), /Permissions Violation/);
  });

  await t.test('nginx is believed in what it says of the address', async (t) => {
    const url = `ws://127.0.0.1:${cluster.ports.nginx}/ws`;
    // As another proxy in front of nginx would say it: both are in the networks that are trusted.
    const headers = { 'X-Forwarded-For': '203.0.113.9' };
    await Browser.connect(t, url, { user: 'test9', webSocketFactory: () => new WebSocket(url, 'v12.stomp', { headers }) });
    const answer = await fetch(`${cluster.url}/api/v1/users/test9`, {
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
    await cluster.command('kill', before === 'one' ? '1' : '2');
    const after = await joined.next();
    assert.notEqual(after, before);
    const sent = await publishByNats(cluster.ports.nats, ...backend, 'herald.user.test1.queue.orders', 'after');
    assert.equal(sent, '+OK');
    assert.equal(await inbox.next(), 'after');
    await cluster.command('start', before === 'one' ? '1' : '2');
    const number = before === 'one' ? 1 : 2;
    assert.equal((await fetch(`http://127.0.0.1:${cluster.ports[`herald_${number}`]}/readyz`)).status, 200);
  });

  await t.test('Prometheus reads both instances', { skip: !installed('prometheus') }, async () => {
    const query = `http://127.0.0.1:${cluster.ports.prometheus}/api/v1/query?query=${encodeURIComponent('sum(up{job="herald"})')}`;
    await until('two instances are up', async () => (await (await fetch(query)).json()).data.result[0]?.value[1] === '2', 20_000);
    const rules = await (await fetch(`http://127.0.0.1:${cluster.ports.prometheus}/api/v1/rules`)).json();
    const unhealthy = rules.data.groups.flatMap((group) => group.rules).filter((rule) => rule.health === 'err');
    assert.deepEqual(unhealthy, []);
  });

  await t.test('down leaves nothing', async () => {
    const pids = cluster.pids();
    assert.ok(pids.length >= 4, `${pids}`);
    await cluster.command('down');
    assert.deepEqual(pids.filter(alive), []);
  });
});
