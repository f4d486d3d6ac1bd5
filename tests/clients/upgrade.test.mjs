// The promise: the upgrade request's own `Authorization` logs a client in only where no page could have made a browser send
// it: without an `Origin`, or with one that `http.origins` lists by name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Browser, Herald, base64, until } from './support.mjs';

const LISTED = 'https://app.example.com';
const STRANGER = 'https://evil.example.com';

/** How a CONNECT without credentials ends after an upgrade with them: a user's name, a close code, or an HTTP status. */
async function outcome(t, herald, origin, credentials = 'test1:test') {
  const headers = { Authorization: `Basic ${base64(credentials)}`, ...(origin ? { Origin: origin } : {}) };
  let status;
  const browser = new Browser(t, herald.ws, {
    user: null,
    webSocketFactory: () => {
      const socket = new WebSocket(herald.ws, ['v12.stomp'], { headers });
      socket.on('unexpected-response', (_, response) => {
        status = response.statusCode;
        socket.terminate();
      });
      return socket;
    },
  });
  browser.client.activate();
  const first = await until('CONNECTED or the end', () => browser.connects.items[0] ?? browser.closes.items[0]);
  await browser.client.deactivate({ force: true });
  return status ?? first['user-name'] ?? first.code;
}

test('with origins listed by name', async (t) => {
  const herald = await Herald.start(t, { HERALD_HTTP__ORIGINS: `["${LISTED}", "https://*.example.org"]` });
  assert.equal(await outcome(t, herald, undefined), 'test1', 'no browser');
  assert.equal(await outcome(t, herald, LISTED), 'test1');
  assert.equal(await outcome(t, herald, 'https://a.b.example.org'), 'test1');
  assert.equal(await outcome(t, herald, LISTED, 'test1:wrong'), 4401);
  assert.equal(await outcome(t, herald, STRANGER), 403);
  assert.equal(await outcome(t, herald, 'null'), 403);
  assert.equal(await outcome(t, herald, herald.http), 4401, 'the host itself may connect, but is not listed');
});

test('with `*`, which lists nobody by name', async (t) => {
  const herald = await Herald.start(t);
  assert.equal(await outcome(t, herald, undefined), 'test1', 'no browser');
  assert.equal(await outcome(t, herald, STRANGER), 4401);
  assert.equal(await outcome(t, herald, 'null'), 4401);
});
