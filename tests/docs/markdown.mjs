// What a Markdown document shows: its fenced blocks with the marks before them, its headings as anchors, its links.
// Runs nothing.

/** Fences whose blocks are commands. */
const COMMANDS = new Set(['sh', 'bash', 'console', 'shell']);
/** What begins a line of a block that somebody forgot to call `sh`. */
const LOOKS_LIKE_COMMAND = /^(\$ )?(curl|herald|nats|nats-server|scripts\/|just|docker|helm|kubectl|cargo|npm|npx|git) /;

/** The document's lines with what stands in fences cut out, and the blocks. */
export function read(text) {
  const blocks = [];
  const prose = [];
  let marks = [];
  let open;
  text.split('\n').forEach((line, index) => {
    const fence = /^( {0,3})(`{3,}|~{3,})\s*([^\s`]*)/.exec(line);
    if (open) {
      if (fence && fence[3] === '' && fence[2].startsWith(open.fence)) {
        blocks.push(open);
        open = undefined;
      } else {
        open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
      }
      return;
    }
    if (fence) {
      open = { line: index + 1, indent: fence[1], fence: fence[2], tag: fence[3], marks, lines: [] };
      marks = [];
      return;
    }
    const mark = /^<!-- check: (\S+)(?: (.*?))? -->$/.exec(line.trim());
    if (mark) marks.push({ line: index + 1, name: mark[1], words: mark[2] ?? '' });
    else if (line.trim() !== '') marks = orphaned(marks, blocks, index + 1);
    if (/^ {4}/.test(line) && LOOKS_LIKE_COMMAND.test(line.trim())) {
      blocks.push({ line: index + 1, tag: '', marks: [], lines: [], problem: 'commands stand in a fenced block called sh' });
    }
    prose.push(line);
  });
  if (open) blocks.push({ ...open, problem: 'the fence is never closed' });
  return { blocks: blocks.map(judged), prose: prose.join('\n') };
}

/** A mark that no fence follows would silently mean nothing. */
function orphaned(marks, blocks, line) {
  if (marks.length > 0) {
    blocks.push({ line, tag: '', marks: [], lines: [], problem: 'a check mark stands right before its fence' });
  }
  return [];
}

function judged(block) {
  const isCommand = COMMANDS.has(block.tag);
  if (!isCommand && block.tag === '' && block.lines.some((line) => LOOKS_LIKE_COMMAND.test(line))) {
    return { ...block, isCommand, problem: block.problem ?? 'commands stand in a block called sh' };
  }
  if (!isCommand && block.marks.length > 0) {
    return { ...block, isCommand, problem: block.problem ?? 'only a block called sh is run, so only it has marks' };
  }
  const lines = block.tag === 'console' ? prompted(block.lines) : block.lines;
  return { ...block, isCommand, script: lines.join('\n') };
}

/** Of a console block only the lines with a prompt are commands, and those that such a line goes on in. */
function prompted(lines) {
  const found = [];
  let goesOn = false;
  for (const line of lines) {
    if (!goesOn && !line.startsWith('$ ')) continue;
    found.push(goesOn ? line : line.slice(2));
    goesOn = line.endsWith('\\');
  }
  return found;
}

/** Every anchor that GitHub makes of the headings. */
export function anchors(prose) {
  const seen = new Map();
  const found = new Set();
  for (const match of prose.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const slug = match[1]
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replace(/ /g, '-');
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    found.add(times === 0 ? slug : `${slug}-${times}`);
  }
  for (const match of prose.matchAll(/<a (?:id|name)="([^"]+)"/g)) found.add(match[1]);
  return found;
}

/** Every link and image, with its line. */
export function links(prose) {
  const found = [];
  prose.split('\n').forEach((line, index) => {
    const bare = line.replace(/`[^`]*`/g, '');
    for (const match of bare.matchAll(/\]\(([^()\s]+)\)/g)) found.push({ line: index + 1, to: match[1] });
    for (const match of bare.matchAll(/(?:src|srcset|href)="([^"\s]+)"/g)) found.push({ line: index + 1, to: match[1] });
  });
  return found;
}
