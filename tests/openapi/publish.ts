// A backend in TypeScript: publishes by the client that openapi-typescript and openapi-fetch make of Herald's own document.

import createClient from 'openapi-fetch';
import type { components, paths } from './generated/herald.js';

declare const process: { env: Record<string, string | undefined>; exitCode: number };

const client = createClient<paths>({
  baseUrl: process.env.HERALD_URL ?? '',
  headers: { Authorization: `Bearer ${process.env.HERALD_KEY}` },
});

type Notification = components['schemas']['NotificationRequest'];

function must(condition: boolean, words: string): void {
  if (!condition) throw new Error(words);
}

const broadcast: Notification = { destination: '/queue/orders', payload: { order: 7 }, ttl_ms: 60_000 };
const toUser: Notification = { destination: '/queue/orders', user: 'id:anna/b', payload: 'only for you' };
const toUsers: Notification = { destination: '/queue/orders', users: ['anna', 'ben'], payload: [1, 2] };

// One; its repeat is known by the key.
for (const duplicate of [undefined, true]) {
  const { data, error } = await client.POST('/api/v1/notifications', {
    params: { header: { 'Idempotency-Key': 'order-7-paid' } },
    body: broadcast,
  });
  must(data !== undefined && 'id' in data, `not published: ${error?.detail}`);
  must(data !== undefined && 'id' in data && data.duplicate === duplicate, 'a repeat is not known');
}

// Several.
const several = await client.POST('/api/v1/notifications', { body: [broadcast, toUser, toUsers] });
must(several.response.status === 202 && Array.isArray(several.data), `not all went: ${several.error?.detail}`);

// Raw bodies: what openapi-fetch would turn into JSON goes out as it is.
const raw = { bodySerializer: (body: unknown) => body as string, headers: { 'Content-Type': 'text/plain' } };
const text = await client.POST('/api/v1/broadcast/{destination}', {
  params: { path: { destination: '/topic/news' } },
  body: 'hello',
  ...raw,
});
must(text.data?.id !== undefined, `the text did not go: ${text.error?.detail}`);
const bytes = await client.POST('/api/v1/users/{user}/{destination}', {
  params: { path: { user: 'id:anna/b', destination: 'queue/pictures' }, header: { 'Herald-Id': 'picture-1' } },
  body: new Uint8Array([0, 255]),
  bodySerializer: (body: unknown) => body as Uint8Array<ArrayBuffer>,
  headers: { 'Content-Type': 'application/octet-stream' },
});
must(bytes.data?.id === 'picture-1', `the bytes did not go: ${bytes.error?.detail}`);
const named = await client.POST('/api/v1/broadcast', {
  params: { query: { destination: '/topic/news' } },
  body: 'hello',
  ...raw,
});
must(named.data?.id !== undefined, `by the query it did not go: ${named.error?.detail}`);

// A refusal is a problem with its type.
const refused = await client.POST('/api/v1/notifications', { body: { destination: '/nowhere', payload: 1 } });
must(refused.error?.type === 'urn:herald:problem:invalid-value', `refused otherwise: ${refused.error?.type}`);
must(refused.error?.pointer === '/destination', `another pointer: ${refused.error?.pointer}`);

console.log('typescript: published');
