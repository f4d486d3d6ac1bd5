// The promise: what docs/tokens.md says to configure for Keycloak, Auth0 and Entra ID is a configuration that `herald check` takes, and
// with tokens as those providers make them, users get the names, roles and attributes that stand there.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { here } from '../clients/support.mjs';
import { ask, connect, Herald, newKey, Provider } from './support.mjs';

const tokens = readFileSync(path.join(here, '../../docs/tokens.md'), 'utf8');

/** The first block of TOML below this heading. */
function documented(provider) {
  const [, section] = tokens.split(`\n## ${provider}\n`);
  const [, block] = section.match(/```toml\n([\s\S]*?)```/);
  return block;
}

/** The values of a tenant's rule, to see that an attribute has come. */
const RULE = `
[[permissions.subscribe]]
destination = "/queue/tenant/{claim.TENANT}/news"
`;

for (const { name, audience, claims, user, operator, tenant, path: below = '' } of [
  {
    name: 'Keycloak',
    audience: 'herald',
    claims: { preferred_username: 'ann', realm_access: { roles: ['offline_access', 'herald-admin'] } },
    user: 'acme:ann',
    operator: true,
  },
  {
    name: 'Auth0',
    path: '/',
    audience: 'https://herald.example.com',
    claims: { 'https://herald.example.com/roles': ['staff'], 'https://herald.example.com/tenant': 'acme' },
    user: 'auth0:backend-0',
    operator: false,
    tenant: 'tenant',
  },
  {
    name: 'Entra ID',
    audience: 'APPLICATION-ID',
    claims: { oid: '0a1b', roles: ['Herald.Admin'], tid: 'acme' },
    user: 'entra:0a1b',
    operator: true,
    tenant: 'tid',
  },
]) {
  test(`${name}, as it is documented`, async (t) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'herald-documented-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const config = path.join(folder, 'herald.toml');
    const block = documented(name);
    writeFileSync(config, block);
    execFileSync(process.env.HERALD_BIN, ['check', '--config', config]);

    const provider = await Provider.start(t, [await newKey('one')], { path: below, claims });
    const rule = tenant ? RULE.replace('TENANT', tenant) : '';
    writeFileSync(config, block.replace(/^issuer = "[^"]*"/m, `issuer = "${provider.issuer}"`) + rule);
    const herald = await Herald.start(t, { HERALD_CONFIG: config });
    const token = await provider.token(0, audience);
    const { browser, connected, error } = await connect(t, herald, token);
    assert.equal(connected?.['user-name'], user, error?.message);
    assert.equal((await ask(herald, token)).status, operator ? 200 : 403);
    if (!tenant) return;
    await browser.subscribe('/queue/tenant/acme/news');
    browser.subscribeNow('/queue/tenant/other/news');
    assert.match((await browser.errors.next()).headers.message, /\/queue\/tenant\/other\/news/);
  });
}
