// The promise: the pod that the chart renders starts, gets ready by its own probes, serves, takes a changed Secret and
// ends in its grace, as a container with the same command, environment, mounts, user and read-only root. Not what a
// cluster alone has: scheduling, scaling, network policies, ingress. Runs in the engine of scripts/engine.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Browser, here, post, until } from '../support.mjs';
import { Pod, Volume, docker } from './pod.mjs';

const run = promisify(execFile);
const root = path.resolve(here, '../..');
const image = 'herald:local';

/** The manifests of the chart with one of its files of values and further settings, by kind, as they are rendered. */
async function render(values, ...settings) {
  const words = ['template', 'demo', 'charts/herald', '--namespace', 'herald', '--kube-version', '1.30.0', '--values', values];
  const { stdout } = await run('helm', [...words, ...settings.flatMap((setting) => ['--set', setting])], { cwd: root });
  const python = path.join(process.env.HERALD_TOOLS, 'venv/bin/python');
  const program = 'import json, sys, yaml; json.dump([m for m in yaml.safe_load_all(sys.stdin) if m], sys.stdout)';
  const manifests = JSON.parse(execFileSync(python, ['-c', program], { input: stdout }));
  return (kind) => manifests.filter((manifest) => manifest.kind === kind);
}

/** A folder for volumes that the container's user can look into. */
function scratch(t) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-chart-'));
  chmodSync(folder, 0o755);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A network of the test, which goes with all that is in it. */
async function network(t, name) {
  await docker('network', 'create', name);
  t.after(async () => {
    const containers = await docker('ps', '--all', '--quiet', '--filter', `network=${name}`);
    if (containers !== '') await docker('rm', '--force', '--volumes', ...containers.split('\n'));
    await docker('network', 'rm', name);
  });
  return name;
}

/** The pods of the Deployment, all with the Services' names, ready. */
async function deploy(manifests, { network, volumes, folder }) {
  const [deployment] = manifests('Deployment');
  const { template, replicas } = deployment.spec;
  assert.ok(replicas > 0);
  const { image: wanted } = template.spec.containers[0];
  await docker('tag', image, wanted);
  const configMap = Object.fromEntries(manifests('ConfigMap').map(({ metadata, data }) => [metadata.name, new Volume(folder, data)]));
  const services = manifests('Service');
  for (const { spec } of services) {
    for (const [key, value] of Object.entries(spec.selector)) assert.equal(template.metadata.labels[key], value, key);
  }
  const aliases = services.map(({ metadata }) => metadata.name);
  const pods = [];
  for (let number = 1; number <= replicas; number += 1) {
    const name = `${deployment.metadata.name}-${number}`;
    pods.push(await Pod.start({ name, spec: template.spec, network, aliases, volumes: { configMap, ...volumes } }));
  }
  for (const pod of pods) {
    for (const { port, targetPort } of services.flatMap(({ spec }) => spec.ports)) {
      // The Service's name is given to the pods themselves here, so both must be one.
      assert.equal(pod.ports[targetPort], port, `port ${targetPort} of the Service`);
    }
    await pod.becomesReady();
    assert.equal(await pod.runsAs(), pod.user);
  }
  return pods;
}

/** Its `helm test`. */
async function passesItsTest(manifests, network) {
  for (const { metadata, spec } of manifests('Pod')) {
    const pod = await Pod.start({ name: metadata.name, spec, network, volumes: {} });
    assert.equal(await pod.exitCode(), 0, await pod.logs());
  }
}

/** argon2id by the image's own program, with the password on its standard input. */
const hash = (password) =>
  execFileSync('docker', ['run', '--rm', '--interactive', '--network', 'none', image, 'hash-password'], { input: `${password}\n` }).toString().trim();

test('one instance with the embedded bus', { timeout: 120_000 }, async (t) => {
  const manifests = await render('charts/herald/ci/one-instance.yaml');
  const [pod] = await deploy(manifests, { network: await network(t, 'chart-one'), folder: scratch(t), volumes: {} });
  assert.equal((await fetch(`${pod.url('admin')}/metrics`)).status, 200);
  assert.notEqual((await fetch(`${pod.url('http')}/metrics`)).status, 200);
  const { code, took } = await pod.stop();
  assert.equal(code, 0, await pod.logs());
  assert.ok(took < pod.grace * 1_000, `${took} ms`);
});

test('what else the values can give a pod: a path, a tracing collector, variables, volumes, two Services', { timeout: 120_000 }, async (t) => {
  // All but a NATS with credentials, a CA and a control key, a certificate (scripts/chart looks at its probes), and an image by its
  // digest, which only a registry can give.
  const settings = ['bus.url=', 'bus.auth=none', 'bus.secret.name=', 'bus.ca.name=', 'bus.controlKey.name=', 'bus.controlUnsigned=accept', 'autoscaling.enabled=false', 'replicaCount=1', 'image.digest=', 'tls.secretName='];
  const manifests = await render('charts/herald/ci/everything.yaml', ...settings);
  assert.equal(manifests('Service').length, 2);
  const name = await network(t, 'chart-everything');
  const [pod] = await deploy(manifests, { network: name, folder: scratch(t), volumes: {} });
  // The path of the values, before every route.
  assert.equal((await fetch(`${pod.url('http')}/backend/api/openapi.json`)).status, 200);
  assert.equal((await fetch(`${pod.url('http')}/api/openapi.json`)).status, 404);
  await passesItsTest(manifests, name);
  const { code } = await pod.stop();
  assert.equal(code, 0, await pod.logs());
});

test('two instances over NATS with a password, a control key and users from Secrets', { timeout: 180_000 }, async (t) => {
  const manifests = await render('charts/herald/ci/several.yaml');
  const [folder, name] = [scratch(t), await network(t, 'chart-several')];
  const nats = JSON.parse(await docker('image', 'ls', '--format', '"{{.Repository}}:{{.Tag}}"', '--filter', 'reference=nats'));
  await docker(
    'run', '--detach', '--name', 'nats', '--network', name, '--network-alias', 'nats.messaging',
    '--env', 'NATS_HERALD_PASSWORD=khidden', '--env', 'NATS_BACKEND_PASSWORD=kother',
    '--volume', `${path.join(root, 'compose/nats.conf')}:/etc/nats/nats.conf:ro`,
    nats, '--config', '/etc/nats/nats.conf', '--addr', '0.0.0.0', '--port', '4222', '--store_dir', '/tmp/data',
  );
  const user = (name) => `[[users]]\nname = "${name}"\npassword = '${hash(`${name}'s`)}'\nroles = ["ROLE_USER", "ROLE_PUBLISHER"]\n`;
  const alice = user('alice');
  const users = new Volume(folder, { 'users.toml': alice });
  const control = new Volume(folder, { 'control-key': `${'a'.repeat(32)}\n` });
  const key = 'herald_made-for-this-test';
  const keys = new Volume(folder, { 'keys.toml': `[[keys]]\nname = "shop"\nsha256 = "${createHash('sha256').update(key).digest('hex')}"\n` });
  const secret = { 'herald-keys': keys, 'herald-nats': new Volume(folder, { password: 'khidden' }), 'herald-control': control, 'herald-users': users };
  const pods = await deploy(manifests, { network: name, folder, volumes: { secret } });
  assert.equal(pods.length, 2);

  const socket = (pod) => `${pod.url('http').replace('http', 'ws')}/ws`;
  const browsers = [];
  for (const pod of pods) {
    browsers.push(await Browser.connect(t, socket(pod), { user: 'alice', password: "alice's" }));
    assert.equal(browsers.at(-1).connected.instance, pod.name, "the pod's name is the instance's");
  }
  const inboxes = await Promise.all(browsers.map((browser) => browser.subscribe('/topic/news')));
  const authorization = `Basic ${Buffer.from("alice:alice's").toString('base64')}`;
  const sent = await post(`${pods[0].url('http')}/api/v1/broadcast/topic/news`, 'to all pods', { 'Content-Type': 'text/plain', Authorization: authorization });
  assert.equal(sent.status, 202, sent.text);
  for (const inbox of inboxes) assert.equal((await inbox.next()).body, 'to all pods');
  const byKey = await post(`${pods[1].url('http')}/api/v1/broadcast/topic/news`, 'by a key', { 'Content-Type': 'text/plain', Authorization: `Bearer ${key}` });
  assert.equal(byKey.status, 202, byKey.text);
  for (const inbox of inboxes) assert.equal((await inbox.next()).body, 'by a key');

  await t.test('its helm test passes', () => passesItsTest(manifests, name));

  await t.test('a changed Secret is seen by running pods', async () => {
    users.change({ 'users.toml': `${alice}\n${user('bob')}` });
    await until('bob can log in', async () => {
      const browser = new Browser(t, socket(pods[1]), { user: 'bob', password: "bob's" });
      browser.client.activate();
      await until('an answer', () => browser.connects.items.length || browser.errors.items.length);
      await browser.client.deactivate({ force: true });
      return browser.connects.items.length > 0;
    }, 60_000);
  });

  await t.test('a changed control key is read by running pods', async () => {
    control.change({ 'control-key': `${'b'.repeat(32)}\n${'a'.repeat(32)}\n` });
    await until('both pods have read it', async () => {
      const logs = await Promise.all(pods.map((pod) => pod.logs()));
      return logs.every((log) => log.includes('the control keys were read again'));
    }, 60_000);
  });

  await t.test('it drains in its grace, and says goodbye', async () => {
    assert.deepEqual(Object.keys(pods[0].preStop), ['sleep']);
    const { code, took } = await pods[0].stop();
    assert.equal(code, 0, await pods[0].logs());
    assert.ok(took < (pods[0].grace - pods[0].preStop.sleep.seconds) * 1_000, `${took} ms`);
    assert.equal((await browsers[0].closes.next()).code, 1001);
    browsers[1].assertUnharmed();
  });
});
