// Where a document's commands run: a folder, a demo instance, free ports for the ones that are written down, and one shell
// from the first block to the last, so that what a block exports holds for the next. Ends all that it started.

import { spawn } from 'node:child_process';
import { randomBytes, createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { freePort } from '../clients/ports.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const herald = process.env.HERALD_BIN;
/** Ports that documents name. */
const WRITTEN = [8080, 8081, 8082, 8090, 4222];
/** What people would not wait for, on a machine that is slow and busy. */
const BLOCK_TIMEOUT_MS = 120_000;
const UNTIL_TIMEOUT_MS = 60_000;
/** A PNG of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** curl as it is, but that an answer which is no success, or not the one expected, is a failure. */
const CURL = `#!/usr/bin/env bash
real=$(PATH=\${PATH#*:} command -v curl)
errors=$(mktemp)
"$real" --no-progress-meter -w '%{stderr}\\nstatus %{http_code}\\n' "$@" 2>"$errors"
code=$?
status=$(sed -n 's/^status //p' "$errors" | tail -n 1)
sed '/^status [0-9]*$/d' "$errors" >&2
rm -f "$errors"
[ "$code" = 0 ] || exit "$code"
case $status in
\${CHECK_STATUS:-2??}) ;;
*) echo "curl was answered $status" >&2; exit 22 ;;
esac
`;
/** nats-server without arguments listens where the documents say. */
const NATS_SERVER = `#!/usr/bin/env bash
real=$(PATH=\${PATH#*:} command -v nats-server)
[ "$#" -gt 0 ] || set -- -a 127.0.0.1 -p "$CHECK_PORT_4222"
exec "$real" "$@"
`;

/** See tests/docs/nats.mjs. */
const NATS = `#!/usr/bin/env bash
exec node '${path.join(import.meta.dirname, 'nats.mjs')}' "$@"
`;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Stage {
  /** A folder and a demo instance that is ready. */
  static async open() {
    const stage = new Stage();
    stage.ports = new Map();
    for (const written of WRITTEN) stage.ports.set(written, await freePort());
    stage.folder = mkdtempSync(path.join(tmpdir(), 'herald-docs-'));
    stage.furnish();
    stage.instance = stage.start([herald, 'serve', '--demo', '--config', path.join(stage.folder, '.stage/instance.toml')]);
    const ready = `http://127.0.0.1:${stage.ports.get(8080)}/readyz`;
    const deadline = Date.now() + UNTIL_TIMEOUT_MS;
    while (!(await fetch(ready).then((answer) => answer.ok, () => false))) {
      if (stage.instance.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the demo instance is not ready:\n${stage.instance.said()}`);
      }
      await pause(50);
    }
    return stage;
  }

  furnish() {
    const inside = (...parts) => path.join(this.folder, ...parts);
    for (const folder of ['.stage/bin', 'target/demo', 'home']) mkdirSync(inside(folder), { recursive: true });
    copyFileSync(path.join(root, 'README.md'), inside('README.md'));
    writeFileSync(inside('picture.png'), Buffer.from(PIXEL, 'base64'));
    for (const name of ['.stage/bin/herald', 'target/demo/herald']) symlinkSync(herald, inside(name));
    for (const [name, text] of [['curl', CURL], ['nats-server', NATS_SERVER], ['nats', NATS]]) {
      writeFileSync(inside('.stage/bin', name), text);
      chmodSync(inside('.stage/bin', name), 0o755);
    }
    this.key = randomBytes(16).toString('hex');
    const sha256 = createHash('sha256').update(this.key).digest('hex');
    const key = `[[api.keys]]\nname = "docs"\nsha256 = "${sha256}"\nscopes = ["admin"]\n`;
    const drain = '[drain]\nbalancer_wait = "0s"\nspread = "0s"\n';
    writeFileSync(inside('herald.toml'), `${drain}\n${key}`);
    writeFileSync(inside('.stage/instance.toml'), `[http]\nlisten = "127.0.0.1:${this.ports.get(8080)}"\n${drain}\n${key}`);
    // Everything that a block sets is there for the next.
    writeFileSync(inside('.stage/state'), '');
  }

  environment() {
    const { PATH, LANG, HERALD_TOOLS } = process.env;
    const ports = [...this.ports].map(([written, port]) => [`CHECK_PORT_${written}`, String(port)]);
    return {
      ...Object.fromEntries(ports),
      PATH: `${path.join(this.folder, '.stage/bin')}:${PATH}`,
      LANG: LANG ?? 'C.UTF-8',
      HERALD_TOOLS,
      HOME: path.join(this.folder, 'home'),
      KEY: this.key,
      HERALD_KEY: this.key,
      PASSWORD: 'test',
      NO_COLOR: '1',
      HERALD_DRAIN__BALANCER_WAIT: '0s',
      HERALD_DRAIN__SPREAD: '0s',
    };
  }

  /** A process and what it says; a group of its own, so that what it starts ends with it. */
  start(command) {
    const child = spawn(command[0], command.slice(1), {
      cwd: this.folder,
      env: this.environment(),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      // What comes beyond a mebibyte is nothing that anybody reads.
      stream.on('data', (chunk) => { if (said.length < 1 << 20) said += chunk; });
    }
    child.said = () => said;
    child.ended = new Promise((resolve) => child.once('exit', resolve));
    child.on('error', (error) => { said += error.message; });
    (this.started ??= []).push(child);
    return child;
  }

  /** The addresses of this stage for those that are written down. */
  here(script) {
    return script.replace(/(127\.0\.0\.1|localhost|0\.0\.0\.0):(\d{4})\b/g, (whole, host, port) => {
      const free = this.ports.get(Number(port));
      return free === undefined ? whole : `127.0.0.1:${free}`;
    });
  }

  /** Runs a block; gives why it failed, or nothing. */
  async run(script, marks) {
    const here = this.here(script);
    if (marks.with === 'nats') await this.startNats();
    else if (marks.with !== undefined) return `there is no ${marks.with} to run with`;
    // For this block alone: what it exports is there for the next.
    const status = marks.status ? `export CHECK_STATUS='${marks.status}'` : 'unset CHECK_STATUS';
    if (marks.until !== undefined) return this.runUntil(here, marks.until);
    const state = path.join(this.folder, '.stage/state');
    const save = `export -p >'${state}'`;
    const block = `. '${state}'\n${status}\nset -euo pipefail\n${here}\n${save}\n`;
    const child = this.start(['bash', '-c', block]);
    const code = await Promise.race([child.ended, pause(BLOCK_TIMEOUT_MS).then(() => 'late')]);
    const wanted = Number(marks.exit ?? 0);
    if (code !== wanted) {
      const how = code === 'late' ? `did not end within ${BLOCK_TIMEOUT_MS / 1000} s` : `ended with ${code}, not ${wanted}`;
      return `${how}:\n${here}\n--- it said\n${child.said()}`;
    }
    if (marks.then !== undefined) return this.runThen(this.here(marks.then));
    return undefined;
  }

  async startNats() {
    const server = this.start(['nats-server']);
    const deadline = Date.now() + UNTIL_TIMEOUT_MS;
    while (!server.said().includes('Server is ready')) {
      if (server.exitCode !== null || Date.now() > deadline) throw new Error(`no NATS server:\n${server.said()}`);
      await pause(20);
    }
  }

  /** Each line is a command of its own that is ended once it has said `words`. */
  async runUntil(script, words) {
    const commands = script.replace(/\\\n/g, ' ').split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
    const state = readFileSync(path.join(this.folder, '.stage/state'), 'utf8');
    for (const command of commands) {
      const child = this.start(['bash', '-c', `${state}\nexec ${command}`]);
      const deadline = Date.now() + UNTIL_TIMEOUT_MS;
      while (!child.said().includes(words)) {
        if (child.exitCode !== null || Date.now() > deadline) {
          return `${command}\ndid not say ${JSON.stringify(words)} before ${child.exitCode === null ? 'its time' : 'its end'}:\n${child.said()}`;
        }
        await pause(20);
      }
      child.kill('SIGTERM');
      const code = await Promise.race([child.ended, pause(UNTIL_TIMEOUT_MS).then(() => 'late')]);
      if (code !== 0) return `${command}\nended with ${code} after SIGTERM:\n${child.said()}`;
    }
    return undefined;
  }

  async runThen(command) {
    const deadline = Date.now() + UNTIL_TIMEOUT_MS;
    for (;;) {
      const child = this.start(['bash', '-c', command]);
      const code = await Promise.race([child.ended, pause(deadline - Date.now()).then(() => 'late')]);
      if (code === 0) return undefined;
      if (Date.now() > deadline) return `behind it, ${command} did not succeed:\n${child.said()}`;
      await pause(100);
    }
  }

  /** Ends everything, and the folder with it. */
  async close() {
    for (const child of this.started ?? []) {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Its group is gone already.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
