// Stands in for NATS's own command line in the documentation's commands: `nats pub SUBJECT BODY -H NAME:VALUE …` and
// `nats reply SUBJECT --queue QUEUE BODY`, as far as documents use them. Refuses everything else, so that no document shows
// what nobody has tried. Speaks NATS's text protocol itself; the server is a real one.

import { createConnection } from 'node:net';
import { parseArgs } from 'node:util';

const fail = (words) => {
  console.error(`nats: ${words}`);
  process.exit(1);
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { header: { type: 'string', short: 'H', multiple: true, default: [] }, queue: { type: 'string' } },
});
const [action, subject, body = '', ...more] = positionals;
if (more.length > 0 || !subject || !['pub', 'reply'].includes(action)) fail(`not understood: ${positionals.join(' ')}`);

const socket = createConnection(Number(process.env.CHECK_PORT_4222), '127.0.0.1');
socket.on('error', (error) => fail(error.message));
socket.setTimeout(action === 'pub' ? 5_000 : 0, () => fail('no answer'));

const payload = Buffer.from(body);
if (action === 'pub') {
  const headers = values.header.map((text) => {
    const colon = text.indexOf(':');
    if (colon < 1) fail(`no header: ${text}`);
    return `${text.slice(0, colon)}: ${text.slice(colon + 1).trim()}\r\n`;
  });
  const head = Buffer.from(`NATS/1.0\r\n${headers.join('')}\r\n`);
  socket.write('CONNECT {"verbose":false,"pedantic":true,"headers":true,"no_responders":true}\r\n');
  socket.write(`HPUB ${subject} ${head.length} ${head.length + payload.length}\r\n`);
  socket.write(Buffer.concat([head, payload, Buffer.from('\r\nPING\r\n')]));
} else {
  socket.write('CONNECT {"verbose":false,"pedantic":true,"headers":true,"no_responders":true}\r\n');
  socket.write(`SUB ${subject} ${values.queue ?? ''} 1\r\nPING\r\n`);
}

let heard = '';
socket.on('data', (chunk) => {
  heard += chunk;
  if (heard.includes('-ERR')) fail(heard);
  if (!heard.includes('PONG')) return;
  if (action === 'pub') process.exit(0);
  console.log(`listening on ${subject}`);
});
process.on('SIGTERM', () => process.exit(0));
