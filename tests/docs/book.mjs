// What mdBook builds the book from, and whether what it has built holds together. `gather FOLDER` copies the pages that
// docs/SUMMARY.md lists into FOLDER, where they stand as in the repository, with all files that they link to; it fails if a page of
// docs/ is not listed. `check FOLDER` follows every link inside the built book.

import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { links, read } from './markdown.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const isOutside = (to) => /^[a-z][a-z0-9+.-]*:|^\/\//i.test(to);

/** The words of each link to `to`, without the link. */
const withoutLink = (text, to) => text.split(`](${to})`).map((part, at, all) => (at < all.length - 1 ? part.replace(/\[([^[]*)$/, '$1') : part)).join('');

function gather(folder) {
  const source = path.join(folder, 'src');
  const summary = readFileSync(path.join(root, 'docs/SUMMARY.md'), 'utf8');
  const fromRoot = (to) => path.join('docs', to);
  const pages = [...summary.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => fromRoot(to));
  const missing = readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'SUMMARY.md')
    .filter((name) => !pages.includes(`docs/${name}`));
  assert.deepEqual(missing, [], 'docs/SUMMARY.md lists every page');

  const copied = new Set();
  const copy = (name) => {
    if (copied.has(name)) return;
    copied.add(name);
    mkdirSync(path.dirname(path.join(source, name)), { recursive: true });
    cpSync(path.join(root, name), path.join(source, name), { recursive: true });
  };
  for (const page of pages) {
    let text = readFileSync(path.join(root, page), 'utf8');
    for (const { to } of links(read(text).prose)) {
      const [file] = to.split('#');
      if (isOutside(to) || file === '') continue;
      const target = path.join(path.dirname(page), decodeURIComponent(file));
      assert.ok(existsSync(path.join(root, target)), `${page}: ${to}`);
      // mdBook makes an index of each README; a folder of the source is no part of the book, nor is a page that is not listed.
      if (path.basename(target) === 'README.md') text = text.replaceAll(`](${to})`, `](${to.replace('README.md', 'index.md')})`);
      else if (statSync(path.join(root, target)).isDirectory()) text = withoutLink(text, to);
      else if (!pages.includes(target)) copy(target);
    }
    mkdirSync(path.dirname(path.join(source, page)), { recursive: true });
    writeFileSync(path.join(source, page), text);
  }
  writeFileSync(path.join(source, 'SUMMARY.md'), summary.replace(/\]\(([^)]+)\)/g, (_, to) => `](${fromRoot(to)})`));
  cpSync(path.join(root, 'docs/book.toml'), path.join(folder, 'book.toml'));
}

function check(folder) {
  const pages = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.html'));
  assert.ok(pages.length > 20, `${pages.length} pages`);
  assert.ok(readdirSync(folder).some((name) => /^searchindex.*\.js$/.test(name)), 'there is a search index');
  const texts = new Map(pages.map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));
  const anchors = (name) => new Set([...texts.get(name).matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id));
  const problems = [];
  for (const [name, text] of texts) {
    // All pages on one, for printing, and the page for those that are not there: their links are those of other pages.
    if (['print.html', '404.html', 'toc.html'].includes(name)) continue;
    const [, main] = text.match(/<main>([\s\S]*)<\/main>/) ?? [null, ''];
    for (const [, to] of main.matchAll(/\b(?:href|src|srcset)="([^"]+)"/g)) {
      if (isOutside(to)) continue;
      const [file, anchor] = to.replaceAll('&amp;', '&').split('#');
      const target = file === '' ? name : path.join(path.dirname(name), decodeURIComponent(file));
      if (!existsSync(path.join(folder, target))) problems.push(`${name}: ${to}: there is no ${target}`);
      else if (anchor && texts.has(target) && !anchors(target).has(decodeURIComponent(anchor))) {
        problems.push(`${name}: ${to}: ${target} has no such heading`);
      }
    }
  }
  assert.equal(problems.length, 0, `\n${problems.join('\n')}`);
  console.log(`${pages.length} pages in ${folder}, all links hold`);
}

const [what, folder] = process.argv.slice(2);
assert.ok(['gather', 'check'].includes(what) && folder, 'usage: book.mjs gather|check FOLDER');
({ gather, check })[what](folder);
