// An OpenID provider on a loopback port, for whoever starts this file as a process (support.mjs): `oidc-provider` with its own
// discovery, key set and endpoints. What it is told by messages is all that it does not do by itself: which keys it has, the
// first of which signs, how wrong its clock is, and how long tokens live. Knows nothing of Herald but the audience that its tokens are for.

import http from 'node:http';
import { Provider } from 'oidc-provider';

/** Backends, each by its own credentials; a token of theirs has the client's name as `sub`. */
const BACKENDS = 40;
const now = Date.now;
const HEAD = (title) => `<!doctype html><link rel="icon" href="data:,"><title>${title}</title>`;
let answer;

/** What a token is for: `urn:NAME` has the audience NAME. */
const resources = {
  enabled: true,
  defaultResource: () => 'urn:herald',
  useGrantedResource: () => true,
  getResourceServerInfo: (_, resource) => ({
    scope: 'read',
    audience: resource.slice('urn:'.length),
    accessTokenFormat: 'jwt',
    accessTokenTTL: settings.life ?? 300,
    jwt: { sign: { alg: 'ES256' } },
  }),
};

/** What it was told last. */
let settings;

function provider({ issuer, keys, pages = [], refresh = false, claims = {} }) {
  const backends = Array.from({ length: BACKENDS }, (_, at) => ({
    client_id: `backend-${at}`,
    client_secret: `secret-${at}`,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }));
  const page = {
    client_id: 'page',
    token_endpoint_auth_method: 'none',
    id_token_signed_response_alg: 'ES256',
    grant_types: ['authorization_code', ...(refresh ? ['refresh_token'] : [])],
    response_types: ['code'],
    redirect_uris: pages,
    post_logout_redirect_uris: pages,
  };
  return new Provider(issuer, {
    jwks: { keys },
    clients: pages.length ? [...backends, page] : backends,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: ['of these tests alone'] },
    scopes: ['openid', 'offline_access', 'read'],
    extraTokenClaims: () => claims,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, { uid }) => `/sign-in/${uid}` },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: resources,
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = `${HEAD('Sign out')}${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`;
        },
      },
    },
  });
}

/** What a page for people has to do here: it asks who they are, and believes them. */
async function signIn(oidc, request, response) {
  const { params, uid } = await oidc.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html');
    response.end(`${HEAD('Sign in')}<form method="post" action="/sign-in/${uid}">
      <label>Name <input name="name"></label><button>Sign in</button><button name="no" value="no">Refuse</button></form>`);
    return;
  }
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += piece;
  const form = new URLSearchParams(text);
  if (form.has('no')) {
    const result = { error: 'access_denied', error_description: 'not today' };
    await oidc.interactionFinished(request, response, result);
    return;
  }
  const accountId = form.get('name');
  const grant = new oidc.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope('urn:herald', 'read');
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await oidc.interactionFinished(request, response, result);
}

const server = http.createServer((request, response) => answer(request, response));

/** Sets everything anew: as a provider does that is started again with another configuration beside the same database. */
function set(given) {
  settings = { ...settings, ...given };
  const shift = (settings.skew ?? 0) * 1_000;
  Date.now = () => now() + shift;
  const oidc = provider(settings);
  const others = oidc.callback();
  answer = (request, response) => {
    if (settings.hangs) return;
    if (!request.url.startsWith('/sign-in/')) return others(request, response);
    signIn(oidc, request, response).catch((error) => {
      response.statusCode = 500;
      response.end(`${error.stack}`);
    });
  };
}

process.on('message', (given) => {
  set(given);
  if (server.listening) return process.send('done');
  server.listen(Number(new URL(settings.issuer).port), '127.0.0.1', () => process.send('done'));
});
process.on('disconnect', () => process.exit());
