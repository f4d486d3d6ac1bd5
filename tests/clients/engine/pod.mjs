// A pod without Kubernetes: its manifest as one container of Docker, with the same command, environment, mounts, user,
// limits and read-only root, and its probes asked as a kubelet asks them. A field that neither is carried out nor is the
// scheduler's alone is an error, so that nothing of a manifest is left out in silence.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { delay } from '../support.mjs';

const run = promisify(execFile);
export const docker = async (...words) => (await run('docker', words, { maxBuffer: 1 << 24 })).stdout.trim();

/** What a single machine without an API server has no use for. */
const ELSEWHERE = {
  pod: [
    'serviceAccountName', 'imagePullSecrets', 'priorityClassName', 'restartPolicy',
    'nodeSelector', 'tolerations', 'affinity', 'topologySpreadConstraints',
  ],
  container: ['name', 'imagePullPolicy'],
};

/** Takes fields out of an object, and fails if one is left that nobody took. */
function taking(what, object) {
  const left = { ...object };
  const take = (key) => {
    const value = left[key];
    delete left[key];
    return value;
  };
  take.rest = () => assert.deepEqual(Object.keys(left), [], `${what} has fields that this test does not carry out`);
  return take;
}

const UNITS = { Ki: 1 << 10, Mi: 1 << 20, Gi: 1 << 30 };
const bytes = (quantity) => Number(quantity.slice(0, -2)) * UNITS[quantity.slice(-2)];

/** A ConfigMap or Secret as a kubelet mounts it: files are links into a folder that a change exchanges as a whole. */
export class Volume {
  #generation = 0;

  constructor(parent, files) {
    this.folder = mkdtempSync(path.join(parent, 'volume-'));
    // A kubelet's volumes can be read by every user; that of the pod is not root.
    chmodSync(this.folder, 0o755);
    this.change(files);
    for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, path.join(this.folder, name));
  }

  change(files) {
    const generation = `..${++this.#generation}`;
    mkdirSync(path.join(this.folder, generation), { mode: 0o755 });
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(path.join(this.folder, generation, name), text, { mode: 0o644 });
    }
    symlinkSync(generation, path.join(this.folder, '..new'));
    renameSync(path.join(this.folder, '..new'), path.join(this.folder, '..data'));
  }
}

export class Pod {
  /** Starts the container of `spec` under `name` in `network`, known there by `aliases`. `volumes` are those that its
   *  volumes name: `{ configMap: { NAME: Volume }, secret: { NAME: Volume } }`. */
  static async start({ name, spec, network, aliases = [], volumes }) {
    const words = ['run', '--detach', '--name', name, '--hostname', name, '--network', network, '--no-healthcheck'];
    for (const alias of aliases) words.push('--network-alias', alias);
    const pod = taking('the pod', spec);
    ELSEWHERE.pod.forEach(pod);
    assert.equal(pod('automountServiceAccountToken'), false);
    assert.equal(pod('enableServiceLinks'), false);
    const grace = pod('terminationGracePeriodSeconds') ?? 30;
    words.push('--stop-timeout', `${grace}`);

    const podSecurity = taking("the pod's securityContext", pod('securityContext'));
    assert.equal(podSecurity('runAsNonRoot'), true);
    const [user, group] = [podSecurity('runAsUser'), podSecurity('runAsGroup')];
    assert.ok(user > 0 && group > 0, `${user}:${group}`);
    words.push('--user', `${user}:${group}`, '--group-add', `${podSecurity('fsGroup')}`);
    // The engine's own profile, which is what RuntimeDefault means.
    assert.deepEqual(podSecurity('seccompProfile'), { type: 'RuntimeDefault' });
    podSecurity.rest();

    const sources = Object.fromEntries((pod('volumes') ?? []).map((volume) => [volume.name, volume]));
    const [only, ...others] = pod('containers');
    assert.deepEqual(others, []);
    pod.rest();

    const container = taking('the container', only);
    ELSEWHERE.container.forEach(container);
    const security = taking("the container's securityContext", container('securityContext'));
    assert.equal(security('allowPrivilegeEscalation'), false);
    assert.equal(security('readOnlyRootFilesystem'), true);
    assert.deepEqual(security('capabilities'), { drop: ['ALL'] });
    security.rest();
    words.push('--security-opt', 'no-new-privileges:true', '--read-only', '--cap-drop', 'ALL');

    for (const { name: variable, value, valueFrom } of container('env') ?? []) {
      if (valueFrom) assert.deepEqual(valueFrom, { fieldRef: { fieldPath: 'metadata.name' } });
      words.push('--env', `${variable}=${valueFrom ? name : value}`);
    }
    for (const { name: volume, mountPath, readOnly } of container('volumeMounts') ?? []) {
      const { configMap, secret, emptyDir } = sources[volume];
      if (emptyDir) {
        words.push('--tmpfs', `${mountPath}:mode=0777`);
        continue;
      }
      const found = configMap ? volumes.configMap?.[configMap.name] : volumes.secret?.[secret.secretName];
      assert.ok(found, `the volume ${volume} is there: ${JSON.stringify(sources[volume])}`);
      for (const { key, path: file } of secret?.items ?? []) assert.equal(key, file);
      assert.equal(readOnly, true);
      words.push('--volume', `${found.folder}:${mountPath}:ro`);
    }
    const { limits = {}, requests: _, ...otherResources } = container('resources') ?? {};
    assert.deepEqual(otherResources, {});
    if (limits.memory) words.push('--memory', `${bytes(limits.memory)}`);

    const started = new Pod();
    Object.assign(started, { name, grace, user });
    started.ports = Object.fromEntries((container('ports') ?? []).map((port) => [port.name, port.containerPort]));
    started.probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((kind) => [kind, container(kind)]);
    started.preStop = container('lifecycle')?.preStop;
    const [image, command, args] = [container('image'), container('command'), container('args')];
    container.rest();
    assert.equal(command, undefined, "the image's entry point is what runs");
    words.push(image, ...(args ?? []));

    await docker(...words);
    started.address = await docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', name);
    return started;
  }

  /** The user as whom the process runs. */
  async runsAs() {
    const [, line] = (await docker('top', this.name, '-eo', 'pid,uid')).split('\n');
    return Number(line.trim().split(/\s+/)[1]);
  }

  /** The address of a port by its name. */
  url(port) {
    return `http://${this.address}:${this.ports[port]}`;
  }

  /** Asks each probe as a kubelet would until it succeeds; fails when the kubelet would have given up. */
  async becomesReady() {
    for (const [kind, probe] of this.probes) {
      const { httpGet, periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3, ...rest } = probe;
      assert.deepEqual(rest, {}, kind);
      for (let failures = 0; !(await this.#answers(httpGet, timeoutSeconds)); ) {
        failures += 1;
        assert.equal(await docker('inspect', '--format', '{{.State.Status}}', this.name), 'running', await this.logs());
        assert.ok(failures < failureThreshold, `${kind} failed ${failures} times: ${await this.logs()}`);
        await delay(periodSeconds * 1_000);
      }
    }
  }

  async #answers({ path: route, port }, timeoutSeconds) {
    try {
      const answer = await fetch(`${this.url(port)}${route}`, { signal: AbortSignal.timeout(timeoutSeconds * 1_000) });
      await answer.arrayBuffer();
      return answer.status >= 200 && answer.status < 400;
    } catch {
      return false;
    }
  }

  async logs() {
    const { stdout, stderr } = await run('docker', ['logs', '--tail', '30', this.name]);
    return `${await docker('inspect', '--format', '{{json .State}}', this.name)}\n${stdout}${stderr}`;
  }

  /** SIGTERM, and SIGKILL after the pod's grace; gives the exit code and how long it took in ms. */
  async stop() {
    const began = Date.now();
    await docker('stop', '--time', `${this.grace}`, this.name);
    return { code: await this.exitCode(), took: Date.now() - began };
  }

  async exitCode() {
    return Number(await docker('wait', this.name));
  }
}
