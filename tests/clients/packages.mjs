// The packages of clients/ for the tests here: as they are published but for their types, among the libraries that they import.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { transformSync } from 'amaro';
import { here } from './support.mjs';

/** Imports `clients/<folder>`. What is written for that goes with the test `t`. */
export async function fromSource(t, folder) {
  const source = path.resolve(here, '../../clients', folder, 'src');
  const target = path.join(here, 'node_modules', `.herald-${folder}-${process.pid}`);
  t.after(() => rmSync(target, { recursive: true, force: true }));
  mkdirSync(target, { recursive: true });
  writeFileSync(path.join(target, 'package.json'), '{ "type": "module" }');
  for (const file of readdirSync(source)) {
    const { code } = transformSync(readFileSync(path.join(source, file), 'utf8'), { mode: 'strip-only' });
    writeFileSync(path.join(target, file.replace(/\.ts$/, '.js')), code);
  }
  return import(path.join(target, 'index.js'));
}
