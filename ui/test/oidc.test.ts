// The promise: with the sign-out all tokens are gone: none stays in the page, comes back by a renewal that was under way, or gets into an
// address.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Provider, SignIn } from '../src/oidc';

const ISSUER = 'https://id.example';
const json = (value: unknown) =>
  new Response(JSON.stringify(value), { headers: { 'content-type': 'application/json' } });
const tokens = (name: string) => ({
  access_token: `access-${name}`,
  refresh_token: `refresh-${name}`,
  id_token: `id-${name}`,
  token_type: 'bearer' as const,
  expires_in: 100,
});

/** Refresh tokens that the provider was told to forget. */
let forgotten: (string | null)[];
/** Answers a renewal, when the test says so. */
let renew: ((answer: Response) => void) | undefined;
let left: string[];

beforeEach(() => {
  vi.useFakeTimers();
  [forgotten, renew, left] = [[], undefined, []];
  vi.spyOn(location, 'assign').mockImplementation((address) => void left.push(`${address}`));
  vi.stubGlobal('fetch', async (address: string | URL, { body }: RequestInit = {}) => {
    const form = new URLSearchParams(`${body ?? ''}`);
    switch (new URL(address).pathname) {
      case '/.well-known/openid-configuration':
        return json({
          issuer: ISSUER,
          token_endpoint: `${ISSUER}/token`,
          revocation_endpoint: `${ISSUER}/forget`,
          end_session_endpoint: `${ISSUER}/out`,
        });
      case '/forget':
        forgotten.push(form.get('token'));
        return new Response();
      default:
        return new Promise<Response>((resolve) => {
          renew = resolve;
        });
    }
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function signedIn() {
  const provider = new Provider(
    { issuer: ISSUER, clientId: 'page', scopes: 'openid', audience: '' },
    'https://h.example/',
  );
  return new SignIn(provider, tokens('one'));
}

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

test('a sign-out has the refresh token forgotten, and leads to the way out by an address without a token', async () => {
  const signIn = signedIn();
  expect(await signIn.getToken()).toBe('access-one');
  await signIn.signOut();
  expect(forgotten).toEqual(['refresh-one']);
  expect(left).toEqual([`${ISSUER}/out?client_id=page&post_logout_redirect_uri=https%3A%2F%2Fh.example%2F`]);
  expect(await signIn.authorization()).toBe('Bearer ');
  await expect(signIn.getToken()).rejects.toThrow('signed out');
});

test('a renewal that was under way brings nothing back: its token is forgotten before the page leaves', async () => {
  const signIn = signedIn();
  await pass(60_000);
  const token = signIn.getToken();
  token.catch(() => undefined);
  await pass();
  expect(renew).toBeDefined();
  const out = signIn.signOut();
  await pass(100);
  expect([forgotten, left]).toEqual([['refresh-one'], []]);
  const { id_token, ...renewed } = tokens('two');
  renew?.(json(renewed));
  await pass(100);
  await out;
  await expect(token).rejects.toThrow('signed out');
  expect(forgotten).toEqual(['refresh-one', 'refresh-two']);
  expect(left).toHaveLength(1);
  expect(await signIn.authorization()).toBe('Bearer ');
});

test('a provider that does not answer a renewal holds nobody, and what it says later is not taken', async () => {
  const signIn = signedIn();
  await pass(60_000);
  signIn.getToken().catch(() => undefined);
  await pass();
  const out = signIn.signOut();
  await pass(5_000);
  await out;
  expect(left).toHaveLength(1);
  const { id_token, ...renewed } = tokens('two');
  renew?.(json(renewed));
  await pass(100);
  expect(forgotten).toEqual(['refresh-one', 'refresh-two']);
  expect(await signIn.authorization()).toBe('Bearer ');
});
