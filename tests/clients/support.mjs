// What every client test needs: Herald instances, a NATS server, nginx, all on free ports and all ended with the test;
// and a stompjs client whose events can be awaited. No test here sleeps for something that can be waited for.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { freePort } from './ports.mjs';

export const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const toolFolder = path.resolve(process.env.HERALD_TOOLS ?? path.join(root, '.tools'), 'bin');

/** How long anything that should happen at once may take on a slow and busy machine. */
export const SOON = 20_000;

// ---- waiting -------------------------------------------------------------------------------------------------------

export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `probe` gives something true. */
export async function until(what, probe, timeout = SOON) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`not within ${timeout} ms: ${what}`);
    await delay(25);
  }
}

/** What arrives, in order, and a way to wait for the next that matches. */
export class Inbox {
  items = [];
  #taken = 0;
  #waiters = new Set();

  constructor(what) {
    this.what = what;
  }

  push(item) {
    this.items.push(item);
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** The next item not yet taken that `wanted` accepts; those before it count as taken. */
  next(wanted = () => true, timeout = SOON) {
    return new Promise((resolve, reject) => {
      const look = () => {
        while (this.#taken < this.items.length) {
          const item = this.items[this.#taken++];
          if (wanted(item)) return finish(() => resolve(item));
        }
      };
      const finish = (end) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        end();
      };
      const timer = setTimeout(
        () =>
          finish(() =>
            reject(
              new Error(
                `${this.what}: not within ${timeout} ms; seen: ${JSON.stringify(this.items.slice(-5)).slice(0, 600)}`,
              ),
            ),
          ),
        timeout,
      );
      this.#waiters.add(look);
      look();
    });
  }
}

// ---- processes -----------------------------------------------------------------------------------------------------

/** A child process that ends with the test `t` and shows its last words if the test fails. */
export class Child {
  log = '';

  constructor(t, command, args, env = {}) {
    this.command = command;
    this.process = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.log = (this.log + text).slice(-20_000);
      });
    }
    this.ended = new Promise((resolve) => {
      this.process.once('error', (error) => resolve({ error }));
      this.process.once('exit', (code, signal) => resolve({ code, signal }));
    });
    this.ended.then((how) => (this.end = how));
    t.after(async () => {
      await this.kill();
      if (process.env.HERALD_TEST_LOGS) t.diagnostic(`${path.basename(command)}:\n${this.log}`);
    });
  }

  assertAlive() {
    assert.equal(this.end, undefined, `${this.command} ended: ${JSON.stringify(this.end)}\n${this.log}`);
  }

  /** kill -9: no goodbye. */
  async kill() {
    if (!this.end) this.process.kill('SIGKILL');
    return this.ended;
  }

  /** SIGTERM, and the exit it leads to. */
  async stop(timeout = 30_000) {
    this.process.kill('SIGTERM');
    const late = delay(timeout).then(() => assert.fail(`${this.command} did not end in ${timeout} ms\n${this.log}`));
    return Promise.race([this.ended, late]);
  }
}

function tool(name) {
  const ours = path.join(toolFolder, name);
  if (existsSync(ours)) return ours;
  for (const folder of (process.env.PATH ?? '').split(':')) {
    const found = path.join(folder, name);
    if (existsSync(found)) return found;
  }
  throw new Error(`${name} is missing; scripts/tools gets it`);
}

/** A file of the tests' own authority, with which a Herald speaks TLS; Node's fetch does not know it. */
const certificate = (name) => path.join(root, `tests/it/support/nats_tls/${name}.pem`);
export const TLS = {
  HERALD_HTTP__TLS__CERT_FILE: certificate('server'),
  HERALD_HTTP__TLS__KEY_FILE: certificate('server-key'),
};

function tlsStatus(url) {
  return new Promise((resolve) => {
    const asked = https.get(url, { ca: readFileSync(certificate('ca')), timeout: 2_000 }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(0));
  });
}

async function status(url) {
  if (url.startsWith('https:')) return tlsStatus(url);
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}

/** Settings under which the chat takes large messages: by default its route takes 64 KiB. */
export const LARGE_CHAT = { HERALD_CONFIG: path.join(root, 'tests/clients/large-chat.toml') };

/** One Herald with demo users on a free port, ready. `settings` are `HERALD_…` variables. */
export class Herald {
  static async start(t, settings = {}) {
    const binary = process.env.HERALD_BIN ?? path.join(root, 'target/debug/herald');
    assert.ok(existsSync(binary), `${binary} is missing; cargo build makes it, HERALD_BIN names another`);
    const herald = new Herald();
    herald.binary = binary;
    herald.port = await freePort();
    herald.settings = {
      HERALD_HTTP__LISTEN: `127.0.0.1:${herald.port}`,
      // Nobody balances here, and nobody waits for a herd.
      HERALD_DRAIN__BALANCER_WAIT: '0s',
      HERALD_DRAIN__SPREAD: '100ms',
      ...settings,
    };
    herald.prefix = settings.HERALD_HTTP__BASE_PATH ?? '';
    await herald.restart(t);
    return herald;
  }

  /** Starts it (again) on the same port, and waits until it is ready. */
  async restart(t) {
    this.child = new Child(t, this.binary, ['serve', '--demo'], this.settings);
    await until(`${this.http}/readyz is 200\n${this.child.log}`, async () => {
      this.child.assertAlive();
      return (await status(`${this.http}/readyz`)) === 200;
    });
  }

  get tls() {
    return 'HERALD_HTTP__TLS__CERT_FILE' in this.settings ? 's' : '';
  }

  get http() {
    return `http${this.tls}://127.0.0.1:${this.port}${this.prefix}`;
  }

  get ws() {
    return `ws${this.tls}://127.0.0.1:${this.port}${this.prefix}/ws`;
  }

  stop() {
    return this.child.stop();
  }

  kill() {
    return this.child.kill();
  }
}

/** A NATS server of its own, with its `url`; with JetStream in a folder of its own if `jetstream`. */
export async function startNats(t, { jetstream = false } = {}) {
  const port = await freePort();
  const folder = jetstream ? mkdtempSync(path.join(os.tmpdir(), 'herald-jetstream-')) : undefined;
  if (folder) t.after(() => rmSync(folder, { recursive: true, force: true }));
  const more = folder ? ['-js', '-sd', folder] : [];
  const nats = new Child(t, tool('nats-server'), ['-a', '127.0.0.1', '-p', String(port), ...more]);
  await until('nats-server listens', () => {
    nats.assertAlive();
    return nats.log.includes('Server is ready');
  });
  nats.url = `nats://127.0.0.1:${port}`;
  return nats;
}

/** nginx in front of two `instances`, by the file that clusters use but for one thing: `/backend` is passed on to instances
 *  that have it as their own path. Gives its port. */
export async function startNginx(t, instances) {
  const [{ tls }] = instances;
  const port = await freePort();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-nginx-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  let text = readFileSync(path.join(root, 'compose/nginx.conf'), 'utf8');
  const exchange = (written, here) => {
    assert.ok(text.includes(written), `compose/nginx.conf has no ${written}`);
    text = text.replaceAll(written, here);
  };
  exchange('0.0.0.0:8080', `127.0.0.1:${port}`);
  for (const [at, instance] of instances.entries()) exchange(`herald-${at + 1}:8080`, `127.0.0.1:${instance.port}`);
  exchange('proxy_pass http://herald/;', `proxy_pass http${tls}://herald;`);
  if (tls) {
    exchange('proxy_buffering off;', `proxy_buffering off; proxy_ssl_verify on; proxy_ssl_name localhost;
      proxy_ssl_trusted_certificate ${certificate('ca')};`);
  }
  const config = path.join(folder, 'nginx.conf');
  writeFileSync(config, text);
  const nginx = new Child(t, tool('nginx'), ['-p', folder, '-c', config, '-e', 'stderr', '-g', 'daemon off; master_process off;']);
  await until('nginx answers', async () => {
    nginx.assertAlive();
    return (await status(`http://127.0.0.1:${port}/backend/readyz`)) === 200;
  });
  return port;
}

/** A Jaeger of its own: `otlp`, where spans go by HTTP, and what it shows of a trace. */
export async function startJaeger(t) {
  const [api, grpc, http] = [await freePort(), await freePort(), await freePort()];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-jaeger-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = path.join(folder, 'jaeger.yaml');
  writeFileSync(
    config,
    `service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 1000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "127.0.0.1:${api}"}
    grpc: {endpoint: "127.0.0.1:${grpc}"}
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:${http}"}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`,
  );
  const jaeger = new Child(t, tool('jaeger'), ['--config', config]);
  await until('jaeger answers', async () => {
    jaeger.assertAlive();
    return (await status(`http://127.0.0.1:${api}/api/services`)) === 200;
  });
  jaeger.otlp = `http://127.0.0.1:${http}`;
  /** The spans of one trace, none while it knows none. */
  jaeger.trace = async (id) => {
    const answer = await fetch(`http://127.0.0.1:${api}/api/traces/${id}`);
    const [trace] = (await answer.json()).data ?? [];
    const referred = (span, type) => span.references.filter((other) => other.refType === type).map((other) => other.spanID);
    return (trace?.spans ?? []).map((span) => ({
      id: span.spanID,
      name: span.operationName,
      service: trace.processes[span.processID].serviceName,
      parent: referred(span, 'CHILD_OF')[0],
      links: referred(span, 'FOLLOWS_FROM'),
      tags: Object.fromEntries(span.tags.map((tag) => [tag.key, tag.value])),
    }));
  };
  return jaeger;
}

// ---- clients -------------------------------------------------------------------------------------------------------

export const base64 = (text) => Buffer.from(text, 'utf8').toString('base64');

/** A stompjs client over a browser-like WebSocket, its events kept. Deactivated with the test. */
export class Browser {
  errors = new Inbox('ERROR');
  closes = new Inbox('close');
  connects = new Inbox('CONNECTED');
  frames = new Inbox('debug line');
  #receipts = 0;

  constructor(t, url, { user = 'test1', password = 'test', origin, ...options } = {}) {
    const authorization = user === null ? {} : { 'X-Authorization': base64(`${user}:${password}`) };
    this.client = new Client({
      brokerURL: url,
      connectHeaders: { ...authorization },
      disconnectHeaders: { ...authorization },
      reconnectDelay: 0,
      webSocketFactory: () => {
        const socket = new WebSocket(url, ['v12.stomp', 'v11.stomp', 'v10.stomp'], {
          perMessageDeflate: false,
          ...(origin ? { origin } : {}),
        });
        this.socket = socket;
        return socket;
      },
      debug: (line) => this.frames.push(line),
      onConnect: (frame) => {
        this.onConnect?.(frame);
        this.connects.push(frame.headers);
      },
      onStompError: (frame) => this.errors.push({ headers: frame.headers, body: frame.body }),
      onWebSocketClose: (event) => this.closes.push({ code: event.code, reason: event.reason }),
      onWebSocketError: () => {},
      ...options,
    });
    t.after(() => this.client.deactivate({ force: true }));
  }

  /** Activates, and gives CONNECTED's headers. */
  static async connect(t, url, options) {
    const browser = new Browser(t, url, options);
    browser.client.activate();
    await until('CONNECTED or ERROR', () => browser.connects.items.length || browser.errors.items.length);
    if (browser.errors.items.length) throw new Error(`refused: ${JSON.stringify(browser.errors.items[0])}`);
    browser.connected = await browser.connects.next();
    return browser;
  }

  /** Subscribes and gives the inbox of its messages at once. */
  subscribeNow(destination, headers = {}) {
    const inbox = new Inbox(`MESSAGE on ${destination}`);
    inbox.subscription = this.client.subscribe(
      destination,
      (message) =>
        inbox.push({
          // stompjs calls every received body binary; its text is what it decodes when asked.
          body: message.body,
          binary: message.binaryBody,
          headers: message.headers,
          ack: message.ack,
          nack: message.nack,
        }),
      headers,
    );
    return inbox;
  }

  /** Subscribes, and waits for the RECEIPT: joined. */
  async subscribe(destination, headers = {}) {
    const { id, done } = this.receipt();
    const inbox = this.subscribeNow(destination, { ...headers, receipt: id });
    await done;
    return inbox;
  }

  /** A receipt id of this client, and the promise of its RECEIPT. */
  receipt(timeout = SOON) {
    const id = `receipt-${++this.#receipts}`;
    const done = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no RECEIPT ${id}`)), timeout);
      this.client.watchForReceipt(id, (frame) => {
        clearTimeout(timer);
        resolve(frame);
      });
    });
    done.catch(() => {});
    return { id, done };
  }

  /** SENDs, and waits for the RECEIPT: processed. */
  async send(destination, body, headers = {}) {
    const { id, done } = this.receipt();
    const content = typeof body === 'string' ? { body } : { binaryBody: body };
    this.client.publish({ destination, ...content, headers: { ...headers, receipt: id } });
    await done;
  }

  /** Nothing has gone wrong with this client so far. */
  assertUnharmed() {
    assert.ok(this.client.connected, 'still connected');
    assert.deepEqual(this.errors.items, []);
    assert.deepEqual(this.closes.items, []);
  }
}

/** POSTs and gives status and body; an object is sent as JSON. */
export async function post(url, body, headers = {}) {
  const json = typeof body === 'object' && !(body instanceof Uint8Array);
  const answer = await fetch(url, {
    method: 'POST',
    body: json ? JSON.stringify(body) : body,
    headers: { ...(json ? { 'Content-Type': 'application/json' } : {}), ...headers },
    signal: AbortSignal.timeout(SOON),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text };
}
