// The promise: what `npm pack` makes of a package works as it is: ES modules and CommonJS, with types for both, and source maps
// that find their sources. Run by `scripts/ui test`; what the packages import comes from the workspace.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const clients = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(path.dirname(clients), 'node_modules');
const user = mkdtempSync(path.join(os.tmpdir(), 'herald-packed-'));
after(() => rmSync(user, { recursive: true, force: true }));

const run = (command, args, cwd = user) => execFileSync(command, args, { cwd, encoding: 'utf8' });

function install(name) {
  const folder = path.join(user, 'node_modules/@herald', name);
  mkdirSync(folder, { recursive: true });
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', user], path.join(clients, name)),
  );
  run('tar', ['-xzf', path.join(user, filename.replace('@herald/', 'herald-')), '-C', folder, '--strip-components=1']);
  return folder;
}

function borrow(name) {
  const target = path.join(user, 'node_modules', name);
  mkdirSync(path.dirname(target), { recursive: true });
  symlinkSync(path.join(modules, name), target);
}

const PAGE = `
const connection = new HeraldConnection({ url: 'ws://h/ws', webSocket: new FakeServer().webSocket });
console.log(connection.state().status, ...[HeraldProvider, provideHerald, traced].map((it) => typeof it));
`;

test('packed, they run and have types in both kinds of modules', () => {
  const folders = ['client', 'react', 'vue', 'tracing'].map(install);
  for (const name of ['@stomp/stompjs', 'react', '@types/react', 'csstype', 'vue', '@vue', '@opentelemetry'])
    borrow(name);
  const imports = [
    ['HeraldConnection', '@herald/client'],
    ['FakeServer', '@herald/client/testing'],
    ['HeraldProvider', '@herald/react'],
    ['provideHerald', '@herald/vue'],
    ['traced', '@herald/tracing'],
  ];
  const esm = imports.map(([what, from]) => `import { ${what} } from '${from}';`).join('\n') + PAGE;
  const cjs = imports.map(([what, from]) => `const { ${what} } = require('${from}');`).join('\n') + PAGE;
  for (const [file, text] of Object.entries({ 'page.mjs': esm, 'page.cjs': cjs, 'page.mts': esm, 'page.cts': esm })) {
    writeFileSync(path.join(user, file), text);
  }
  for (const file of ['page.mjs', 'page.cjs'])
    assert.equal(run('node', [file]), 'idle function function function\n', file);
  const strict = ['--noEmit', '--strict', '--lib', 'es2022,dom', '--types', '', '--module', 'nodenext'];
  run(path.join(modules, '.bin/tsc'), [...strict, '--target', 'es2022', 'page.mts', 'page.cts']);

  for (const folder of folders) {
    for (const kind of ['esm', 'cjs']) {
      const dist = path.join(folder, 'dist', kind);
      const maps = readdirSync(dist).filter((file) => file.endsWith('.js.map'));
      assert.ok(maps.length > 0, dist);
      for (const map of maps) {
        const { sources } = JSON.parse(readFileSync(path.join(dist, map), 'utf8'));
        for (const source of sources) assert.ok(existsSync(path.join(dist, source)), `${map}: ${source}`);
      }
    }
  }
});
