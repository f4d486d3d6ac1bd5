// The promise: what README.md and docs/ show works. Every block of commands (```sh, ```console) is run, document by
// document, from top to bottom in one shell, against a demo instance; every link inside the repository leads somewhere.
//
// A block's marks stand on lines of their own right before its fence:
//   <!-- check: skip WHY -->         not run here, and why
//   <!-- check: until WORDS -->      its commands do not end by themselves: each runs until it has said WORDS
//   <!-- check: then COMMAND -->     behind the block, COMMAND must succeed within a minute
//   <!-- check: with nats -->        a NATS server runs from here on
//   <!-- check: status 400 -->       what curl is to be answered; else any success will do
//   <!-- check: exit 64 -->          the block's exit code; else 0
//
// Addresses are exchanged for free ones: 127.0.0.1:8080 (a demo instance that runs from the start), 8081, 8082, 8090, 4222.
// NATS's own command line cannot be had as a package: tests/docs/nats.mjs stands in for `nats pub` and `nats reply`, over the
// same protocol to a real server. $KEY is a key with every scope. The folder is one of its own, with a copy of README.md, a herald.toml and a picture.png.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { anchors, links, read } from './markdown.mjs';
import { Stage } from './stage.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const MARKS = new Set(['skip', 'until', 'then', 'with', 'status', 'exit']);

function documents() {
  const walk = (folder) =>
    readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const name = path.join(folder, entry.name);
      return entry.isDirectory() ? walk(name) : name.endsWith('.md') ? [name] : [];
    });
  return ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...walk('docs').sort()];
}

const texts = new Map();
function document(name) {
  if (!texts.has(name)) texts.set(name, read(readFileSync(path.join(root, name), 'utf8')));
  return texts.get(name);
}

const problems = [];
const complain = (name, line, words) => {
  problems.push(`${name}:${line}: ${words}`);
  console.error(`FAILED  ${name}:${line}: ${words}`);
};

/** Links that leave the repository are not asked for: a test does not depend on other people's servers. */
function checkLinks(name) {
  for (const { line, to } of links(document(name).prose)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(to)) continue;
    const [file, anchor] = to.split('#');
    const target = file === '' ? name : path.join(path.dirname(name), decodeURIComponent(file));
    if (!existsSync(path.join(root, target))) complain(name, line, `${to}: there is no ${target}`);
    else if (anchor && target.endsWith('.md') && !anchors(document(target).prose).has(anchor)) {
      complain(name, line, `${to}: ${target} has no such heading`);
    }
  }
}

async function checkCommands(name) {
  const { blocks } = document(name);
  for (const { line, problem } of blocks.filter((block) => block.problem)) complain(name, line, problem);
  const commands = blocks.filter((block) => block.isCommand && !block.problem);
  if (commands.length === 0) return;
  const stage = await Stage.open();
  try {
    for (const block of commands) {
      const where = `${name}:${block.line}`;
      const marks = Object.fromEntries(block.marks.map((mark) => [mark.name, mark.words]));
      const unknown = block.marks.find((mark) => !MARKS.has(mark.name));
      if (unknown) {
        complain(name, unknown.line, `no such mark: ${unknown.name}`);
      } else if ('skip' in marks) {
        if (marks.skip === '') complain(name, block.line, 'skip wants a reason');
        console.log(`skipped ${where}: ${marks.skip}`);
      } else {
        const began = performance.now();
        const failure = await stage.run(block.script, marks);
        const took = ((performance.now() - began) / 1000).toFixed(1);
        if (failure) complain(name, block.line, failure);
        else console.log(`ok      ${where} (${took} s)`);
      }
    }
  } finally {
    await stage.close();
  }
}

const named = process.argv.slice(2);
const names = named.length > 0 ? named : documents();
assert.ok(names.length > 0);
for (const name of names) {
  checkLinks(name);
  await checkCommands(name);
}
if (problems.length > 0) {
  console.error(`\n${problems.length} problems in the documentation:\n${problems.join('\n')}`);
}
// Not when the last block's deadline is over, which the event loop would wait for.
process.exit(problems.length > 0 ? 1 : 0);
