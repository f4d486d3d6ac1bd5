// One trace as a tree of spans over time, or a list of the latest traces, from Jaeger's JSON API. What a span holds was
// written by others: it becomes text, never markup.

const base = new URL(document.baseURI);
const main = document.querySelector('main');
/** Spans reach Jaeger seconds after they ended: a trace that is not there yet is asked for again this often, in ms. */
const ASK_AGAIN = 1_000;
const LATEST = 30;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Microseconds as people read them. */
function duration(us) {
  if (us < 1_000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1_000).toPrecision(3)} ms`;
  return `${(us / 1_000_000).toPrecision(3)} s`;
}

const moment = (us) => new Date(us / 1_000).toISOString().replace('T', ' ').replace('Z', ' UTC');

async function ask(path) {
  const answer = await fetch(new URL(path, base), { headers: { accept: 'application/json' } });
  const { data, errors } = await answer.json().catch(() => ({ errors: [{ msg: `status ${answer.status}` }] }));
  if (answer.status === 404) return [];
  if (!answer.ok || errors?.length) throw new Error(errors?.map(({ msg }) => msg).join('; ') || `status ${answer.status}`);
  return data;
}

/** A process's name, and which of the service's instances it is. */
function who({ serviceName, tags = [] } = {}) {
  const tag = (wanted) => tags.find(({ key }) => key === wanted)?.value;
  const instance = tag('herald.instance.name') ?? tag('service.instance.id');
  return instance === undefined ? `${serviceName}` : `${serviceName} ${instance}`;
}

/** Spans in the order of a tree, each with its depth; those whose parent is not there are roots. */
function tree(spans) {
  const byId = new Map(spans.map((span) => [span.spanID, span]));
  const children = new Map();
  const ordered = [];
  const seen = new Set();
  const starts = (a, b) => a.startTime - b.startTime;
  const parentOf = (span) => (span.references ?? []).map(({ spanID }) => spanID).find((id) => id !== span.spanID && byId.has(id));
  for (const span of spans) {
    const parent = parentOf(span);
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const walk = (span, depth) => {
    if (seen.has(span)) return;
    seen.add(span);
    ordered.push({ ...span, depth });
    for (const child of (children.get(span.spanID) ?? []).toSorted(starts)) walk(child, depth + 1);
  };
  for (const root of (children.get(undefined) ?? []).toSorted(starts)) walk(root, 0);
  // Spans that name each other as parents have no root.
  for (const span of spans) walk(span, 0);
  return ordered;
}

function facts(pairs) {
  const list = element('dl', { className: 'facts' });
  for (const [name, value] of pairs) list.append(element('div', {}, element('dt', {}, name), element('dd', {}, `${value}`)));
  return list;
}

function row(span, { processes, begin, whole, colour }) {
  const process = processes[span.processID];
  const failed = (span.tags ?? []).some(({ key, value }) => key === 'error' && value !== false && value !== 'false');
  const bar = element('span', { className: `bar colour-${colour}` });
  bar.style.marginInlineStart = `${(100 * (span.startTime - begin)) / whole}%`;
  bar.style.inlineSize = `max(2px, ${(100 * span.duration) / whole}%)`;
  const name = element('span', { className: 'name' }, element('b', {}, who(process)), ` ${span.operationName}`);
  name.style.paddingInlineStart = `${Math.min(span.depth, 12) * 0.8}rem`;
  if (failed) name.append(' ', element('strong', {}, 'error'));
  const told = [...(span.tags ?? []), ...(process?.tags ?? [])].map(({ key, value }) => [key, value]);
  for (const { timestamp, fields } of span.logs ?? []) {
    told.push([`+${duration(timestamp - span.startTime)}`, fields.map(({ key, value }) => `${key}=${value}`).join(' ')]);
  }
  for (const { refType, traceID, spanID } of span.references ?? []) told.push([refType, `${traceID} ${spanID}`]);
  return element(
    'details',
    { className: 'span' },
    element(
      'summary',
      {},
      name,
      element('span', { className: 'time' }, duration(span.duration)),
      element('span', { className: 'track' }, bar),
    ),
    facts(told),
  );
}

function showTrace({ traceID, spans, processes }) {
  const ordered = tree(spans);
  const begin = Math.min(...spans.map(({ startTime }) => startTime));
  const whole = Math.max(1, ...spans.map((span) => span.startTime + span.duration - begin));
  const all = [...new Set(ordered.map(({ processID }) => who(processes[processID])))];
  const services = new Set(ordered.map(({ processID }) => processes[processID]?.serviceName));
  const [root] = ordered;
  document.title = `${root.operationName} ${traceID.slice(0, 7)}`;
  main.replaceChildren(
    element('h1', {}, `${processes[root.processID]?.serviceName}: ${root.operationName}`),
    element('p', { className: 'id' }, traceID),
    facts([
      ['Trace Start', moment(begin)],
      ['Duration', duration(whole)],
      ['Services', [...services].join(', ')],
      ['Processes', all.join(', ')],
      ['Depth', Math.max(...ordered.map(({ depth }) => depth)) + 1],
      ['Total Spans', ordered.length],
    ]),
    ...ordered.map((span) =>
      row(span, { processes, begin, whole, colour: all.indexOf(who(processes[span.processID])) % 6 }),
    ),
  );
}

async function trace(id) {
  for (let asked = 0; ; asked += 1) {
    const [found] = await ask(`api/traces/${encodeURIComponent(id)}`);
    if (found) return showTrace(found);
    main.replaceChildren(
      element('h1', {}, `Trace ${id.slice(0, 7)}`),
      element('p', { role: 'status' }, 'Jaeger does not have it. A new one arrives some seconds after it ended; asking again …'),
    );
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN * Math.min(1 + asked / 10, 10)));
  }
}

async function latest() {
  const services = (await ask('api/services')) ?? [];
  const found = await Promise.all(
    services.map((service) => ask(`api/traces?limit=${LATEST}&lookback=1h&service=${encodeURIComponent(service)}`)),
  );
  const traces = new Map(found.flat().map((found) => [found.traceID, found]));
  const rows = [...traces.values()].map(({ traceID, spans, processes }) => {
    const [root] = tree(spans);
    return { traceID, root, count: spans.length, service: processes[root.processID]?.serviceName };
  });
  rows.sort((a, b) => b.root.startTime - a.root.startTime);
  const items = rows.slice(0, LATEST).map(({ traceID, root, count, service }) => {
    const link = element('a', { href: new URL(`trace/${traceID}`, base).href }, `${service}: ${root.operationName}`);
    const told = `${moment(root.startTime)}, ${duration(root.duration)}, ${count} ${count === 1 ? 'span' : 'spans'}`;
    return element('li', {}, link, ' ', element('span', {}, told));
  });
  main.replaceChildren(
    element('h1', {}, 'Latest traces'),
    items.length > 0 ? element('ul', {}, ...items) : element('p', {}, 'None in the last hour. Send a notification first.'),
  );
}

document.querySelector('#find').addEventListener('submit', (event) => {
  event.preventDefault();
  location.assign(new URL(`trace/${new FormData(event.target).get('id').toLowerCase()}`, base));
});

const [, id] = /\/trace\/([0-9a-f]{1,32})\/?$/i.exec(location.pathname) ?? [];
(id ? trace(id) : latest()).catch((error) => {
  main.replaceChildren(element('h1', {}, 'Jaeger does not answer'), element('p', { role: 'alert' }, `${error.message}`));
});
