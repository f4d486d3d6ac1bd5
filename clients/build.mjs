// Builds the package in whose folder npm runs this into its `dist`: ES modules and CommonJS, each with types and source maps.
// In a fresh clone it first gets the compiler, as package-lock.json has it.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const clients = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(clients);

function run(command, args, cwd) {
  // npm's own settings of the command that runs this, such as --dry-run, are not meant for another.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config|package|lifecycle)_/i.test(name)),
  );
  // What others print here would stand in the middle of what `npm pack --json` prints.
  const { status } = spawnSync(command, args, { cwd, env, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}

const compiler = path.join(root, 'node_modules/.bin/tsc');
if (!existsSync(compiler)) run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], root);

function build(folder) {
  const { dependencies = {} } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  // Its neighbours come first: their types are in their `dist`.
  for (const name of Object.keys(dependencies)) {
    if (name.startsWith('@herald/')) build(path.join(clients, name.slice('@herald/'.length)));
  }
  rmSync(path.join(folder, 'dist'), { recursive: true, force: true });
  const project = ['--project', 'tsconfig.build.json'];
  run(compiler, [...project, '--outDir', 'dist/esm'], folder);
  run(
    compiler,
    [...project, '--outDir', 'dist/cjs', '--module', 'commonjs', '--verbatimModuleSyntax', 'false'],
    folder,
  );
  writeFileSync(path.join(folder, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n');
}

build(process.cwd());
