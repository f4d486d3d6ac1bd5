// A cluster of processes as people start it: `scripts/cluster` on free ports, in a state folder of its own, ended with the
// test. NATS, two instances, nginx, and whatever is installed of Jaeger, the collector and Prometheus.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { publishByNats } from './nats.mjs';
import { here } from './support.mjs';

const run = promisify(execFile);
const root = path.resolve(here, '../..');
const tools = path.resolve(process.env.HERALD_TOOLS ?? path.join(root, '.tools'));

/** Whether `scripts/cluster` finds a program, among the tools or on the PATH. */
export const installed = (name) =>
  [path.join(tools, 'bin'), ...(process.env.PATH ?? '').split(':')].some((folder) => existsSync(path.join(folder, name)));

/** Its instances' names, and the numbers by which `scripts/cluster` knows them. */
export const NUMBERS = { one: 1, two: 2 };

export class Cluster {
  /** Started and ready. `settings` are `HERALD_…` variables for both instances, `words` those behind `up`. */
  static async start(t, settings = {}, words = []) {
    const cluster = new Cluster();
    cluster.settings = settings;
    cluster.state = mkdtempSync(path.join(os.tmpdir(), 'herald-cluster-'));
    t.after(async () => {
      await cluster.command('down');
      if (process.env.HERALD_TEST_LOGS) for (const log of cluster.logs()) t.diagnostic(log);
      rmSync(cluster.state, { recursive: true, force: true });
    });
    cluster.printed = await cluster.command('up', ...words);
    cluster.ports = Object.fromEntries(
      readFileSync(path.join(cluster.state, 'ports'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    );
    return cluster;
  }

  /** `scripts/cluster` with these words; gives what it prints, and fails with what it complains of. */
  async command(...words) {
    const env = {
      ...process.env,
      ...this.settings,
      CLUSTER_STATE: this.state,
      CLUSTER_PORTS: 'free',
      HERALD_BIN: process.env.HERALD_BIN ?? path.join(root, 'target/debug/herald'),
    };
    const { stdout } = await run(path.join(root, 'scripts/cluster'), words, { env });
    return stdout;
  }

  /** The address of a part, by its name among the ports: behind nginx if none is given. */
  url(name = 'nginx') {
    return `http://127.0.0.1:${this.ports[name]}`;
  }

  /** The address of one instance, not through nginx. */
  instance(name) {
    return this.url(`herald_${NUMBERS[name]}`);
  }

  /** SIGKILL to an instance. */
  kill(name) {
    return this.command('kill', `${NUMBERS[name]}`);
  }

  /** SIGTERM to an instance, and the exit that it leads to. */
  stop(name) {
    return this.command('stop', `${NUMBERS[name]}`);
  }

  /** An instance again, ready. */
  restart(name) {
    return this.command('start', `${NUMBERS[name]}`);
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

  logs() {
    const folder = path.join(this.state, 'log');
    return readdirSync(folder).map((name) => `${name}:\n${readFileSync(path.join(folder, name), 'utf8').slice(-20_000)}`);
  }

  /** Publishes as a backend would, by NATS; gives what the server says: `+OK`, or an error. */
  publishByNats(subject, payload, password = this.secret('nats-backend-password')) {
    return publishByNats(this.ports.nats, subject, payload, password);
  }
}
