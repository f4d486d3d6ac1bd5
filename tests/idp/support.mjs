// What every test beside a provider needs: the provider as a process with keys that these tests know, a Herald that takes its
// tokens, and clients that present one. Waiting, ports and Herald itself are the client tests'.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { freePort } from '../clients/ports.mjs';
import { Browser, base64, Herald, Inbox, post, SOON, until } from '../clients/support.mjs';

export { Browser, freePort, Herald, Inbox, post, SOON, until };

const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'provider.mjs');

/** What all tokens say of roles, as Keycloak's do. */
const ROLES = { realm_access: { roles: ['operator'] } };

/** A key of a provider. P-256, whose making costs nothing. */
export async function newKey(kid) {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: 'ES256', use: 'sig' };
}

/** A provider process that ends with the test. */
export class Provider {
  /** On a port of its own, with these keys; `more` is what provider.mjs may be told besides, and the `path` of its name. */
  static async start(t, keys, more = {}) {
    const { path: below = '', ...told } = more;
    const provider = new Provider();
    provider.origin = `http://127.0.0.1:${await freePort()}`;
    provider.issuer = provider.origin + below;
    provider.settings = { issuer: provider.issuer, keys, claims: ROLES, ...told };
    await provider.restart(t);
    return provider;
  }

  /** Starts it (again) on the same port. */
  async restart(t) {
    const child = fork(file, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.child = child;
    this.log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.log = (this.log + text).slice(-20_000);
      });
    }
    this.answers = new Inbox('answer of the provider');
    child.on('message', (message) => this.answers.push(message));
    child.on('exit', (code) => {
      this.ended = true;
      this.answers.push(`ended by ${code}: ${this.log}`);
    });
    this.ended = false;
    t.after(() => this.kill());
    await this.set({});
  }

  /** kill -9. */
  async kill() {
    if (this.ended) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  /** What it is told from now on; the first of its `keys` signs. */
  async set(given) {
    Object.assign(this.settings, given);
    this.child.send(this.settings);
    assert.equal(await this.answers.next(), 'done');
  }

  /** A token of this backend's, from the token endpoint. */
  async token(backend = 0, audience = 'herald') {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: `backend-${backend}`,
      client_secret: `secret-${backend}`,
      resource: `urn:${audience}`,
      scope: 'read',
    });
    const answer = await fetch(`${this.origin}/token`, { method: 'POST', body, signal: AbortSignal.timeout(SOON) });
    const text = await answer.text();
    assert.equal(answer.status, 200, `${text}\n${this.log}`);
    return JSON.parse(text).access_token;
  }

  /** A token as this provider would give it, signed by `key` without asking it. */
  async sign(key, claims = {}) {
    const iat = Math.floor(Date.now() / 1_000);
    const whole = { iss: this.issuer, aud: 'herald', sub: 'backend-0', iat, exp: iat + 300, ...ROLES, ...claims };
    return new SignJWT(whole).setProtectedHeader({ alg: 'ES256', kid: key.kid }).sign(await importJWK(key, 'ES256'));
  }
}

/** The settings of a Herald that takes the tokens of `issuer` for `audience`, found out by discovery. */
export function takes(t, issuer, more = '', audience = 'herald') {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-idp-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = path.join(folder, 'herald.toml');
  writeFileSync(
    config,
    `[[auth.issuers]]
issuer = "${issuer}"
discovery = true
audience = ["${audience}"]
user_prefix = "id:"
roles_claim = "realm_access.roles"
role_map = { operator = "ROLE_ADMIN" }
${more}`,
  );
  return { HERALD_CONFIG: config };
}

/** A session by `token`, or the ERROR and the close that it got instead. */
export async function connect(t, herald, token) {
  const connectHeaders = { Authorization: `Bearer ${token}` };
  const browser = new Browser(t, herald.ws, { user: null, connectHeaders, reconnectDelay: 0 });
  browser.client.activate();
  await until('CONNECTED or a close', () => browser.connects.items.length || browser.closes.items.length);
  const [connected] = browser.connects.items;
  if (connected) return { browser, connected };
  const [error] = browser.errors.items;
  return { browser, error: error?.headers, code: browser.closes.items[0].code };
}

/** That `token` is refused over STOMP with these words, and over REST with 401. */
export async function assertRefused(t, herald, token, message = 'authentication failed') {
  const { error, code } = await connect(t, herald, token);
  assert.equal(error?.message, message);
  assert.equal(code, 4401);
  const answer = await ask(herald, token);
  assert.equal(answer.status, 401);
  return answer;
}

/** What an administrator may ask over REST, asked by `token`: publishing is open to everybody with `--demo`. */
export async function ask(herald, token) {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${herald.http}/api/v1/users`, { headers, signal: AbortSignal.timeout(SOON) });
  await answer.arrayBuffer();
  return answer;
}

const admin = { Authorization: `Basic ${base64('admin:test')}` };

/** A notification to one user. */
export async function order(herald, user, id) {
  const body = { destination: '/queue/orders', user, payload: { id } };
  const answer = await post(`${herald.http}/api/v1/notifications`, body);
  assert.equal(answer.status, 202, answer.text);
}

/** The sum of this metric's series whose labels have all of `labels`: `result="ok"`. */
export async function metric(herald, name, ...labels) {
  const answer = await fetch(`${herald.http}/metrics`, { headers: admin, signal: AbortSignal.timeout(SOON) });
  assert.equal(answer.status, 200);
  const lines = (await answer.text()).split('\n');
  const wanted = lines.filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)));
  return wanted.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** How often `reason` was what became of a token. */
export const tokens = (herald, reason) => metric(herald, 'herald_tokens_total', `result="${reason}"`);

/** How often the keys were fetched, and how that ended: `ok` or `failed`. */
export const fetches = (herald, result) => metric(herald, 'herald_jwks_fetches_total', `result="${result}"`);
