/**
 * Signing in with an OpenID provider: authorization code with PKCE, then a token for Herald that is renewed while it can be. Tokens
 * live in this page's memory, and end with it. Knows no component.
 */

import * as oauth from 'oauth4webapi';
import type { Identity } from './identity';

/** What Herald tells of the provider. */
export interface OidcSettings {
  issuer: string;
  clientId: string;
  /** With blanks between them. */
  scopes: string;
  /** What the token is to be for; empty: the provider knows. */
  audience: string;
}

/** Why somebody is not signed in, in words for people. */
export class SignInError extends Error {}

/** How long an answer of the provider's may take. */
const ANSWER_MS = 10_000;
/** How long the provider may take to forget a token. The way out waits for twice as long, since a renewal may come first. */
const FORGET_MS = 2_000;
/** The life of a token of which the provider does not say it. */
const LIFE_S = 300;
/** A token was made a little before it came, and its times are whole seconds. */
const SLACK_MS = 2_000;
/** The most that is shown of a provider's own words. */
const WORDS = 200;
/** In the tab's storage while the page is away at the provider. No token is ever there. */
const KEY = 'herald:sign-in';

/** What the page has to know again when it is back from the provider. */
interface Question {
  state: string;
  nonce: string;
  verifier: string;
  /** What stood behind the page's address. */
  back: string;
}

type Tokens = oauth.TokenEndpointResponse;

/** The provider, as this page sees it. */
export class Provider {
  /** For people. */
  readonly host: string;
  readonly #issuer: URL;
  readonly #client: oauth.Client;
  readonly #settings: OidcSettings;
  /** The page itself, to which the provider sends people back. */
  readonly #page: string;
  #found?: Promise<oauth.AuthorizationServer>;

  constructor(settings: OidcSettings, page: string) {
    this.#settings = settings;
    this.#page = page;
    this.#issuer = new URL(settings.issuer);
    this.host = this.#issuer.host;
    this.#client = { client_id: settings.clientId, [oauth.clockTolerance]: 60 };
  }

  /** Leaves the page for the provider's. Fails with a {@link SignInError}. */
  async begin(): Promise<void> {
    if (!globalThis.isSecureContext) {
      throw new SignInError('Signing in needs https: this page was opened over plain HTTP.');
    }
    const server = await this.#server();
    const state = oauth.generateRandomState();
    const nonce = oauth.generateRandomNonce();
    const verifier = oauth.generateRandomCodeVerifier();
    const { clientId, scopes, audience } = this.#settings;
    const address = new URL(endpoint(server, 'authorization_endpoint', this.host));
    for (const [name, value] of Object.entries({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: this.#page,
      scope: scopes,
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      // Some providers give no refresh token before they have asked.
      ...(scopes.split(' ').includes('offline_access') && { prompt: 'consent' }),
      ...(audience && { audience }),
    })) {
      address.searchParams.set(name, value);
    }
    const question: Question = { state, nonce, verifier, back: location.search + location.hash };
    sessionStorage.setItem(KEY, JSON.stringify(question));
    location.assign(address);
  }

  /** Who has come back from the provider with this page's address, if anybody has. The answer is taken out of the address. */
  arrive(): Promise<SignIn> | undefined {
    const answer = new URLSearchParams(location.search);
    if (!answer.has('state') || !(answer.has('code') || answer.has('error'))) return undefined;
    const text = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
    const question: Question | undefined = text ? JSON.parse(text) : undefined;
    history.replaceState(null, '', this.#page + (question?.back ?? ''));
    return this.#exchange(answer, question);
  }

  async #exchange(answer: URLSearchParams, question?: Question): Promise<SignIn> {
    // Words in an address that nobody asked for are not shown either: anybody may make such a link.
    if (question?.state !== answer.get('state')) {
      throw new SignInError(
        `This answer of ${this.host} is to a question that this page has not asked. Sign in again.`,
      );
    }
    const { nonce, verifier, state } = question;
    const server = await this.#server();
    const tokens = await this.#ask(async () => {
      const code = oauth.validateAuthResponse(server, this.#client, answer, state);
      const options = this.#options();
      const none = oauth.None();
      const reply = await oauth.authorizationCodeGrantRequest(
        server,
        this.#client,
        none,
        code,
        this.#page,
        verifier,
        options,
      );
      const expected = { expectedNonce: nonce, requireIdToken: true };
      return oauth.processAuthorizationCodeResponse(server, this.#client, reply, expected);
    });
    return new SignIn(this, tokens);
  }

  /** New tokens. */
  async refresh(token: string): Promise<Tokens> {
    const server = await this.#server();
    return this.#ask(async () => {
      const reply = await oauth.refreshTokenGrantRequest(server, this.#client, oauth.None(), token, this.#options());
      return oauth.processRefreshTokenResponse(server, this.#client, reply);
    });
  }

  /** Has the provider forget a refresh token, if it can. Fails with a {@link SignInError} only if the provider is not known. */
  async forget(refresh: string): Promise<void> {
    const server = await this.#server();
    if (!server.revocation_endpoint) return;
    const options = this.#options(FORGET_MS);
    await oauth.revocationRequest(server, this.#client, oauth.None(), refresh, options).catch(() => undefined);
  }

  /**
   * Leaves for the provider's own way out, if it has one. Without `id_token_hint`, so that no token gets into an address, which browsers
   * and servers keep; the provider may ask whether to sign out instead.
   */
  async leave(): Promise<void> {
    const server = await this.#server();
    if (!server.end_session_endpoint) return;
    const address = new URL(server.end_session_endpoint);
    address.searchParams.set('client_id', this.#settings.clientId);
    address.searchParams.set('post_logout_redirect_uri', this.#page);
    location.assign(address);
  }

  #options(within = ANSWER_MS) {
    // Herald takes http on loopback addresses alone.
    return {
      signal: AbortSignal.timeout(within),
      [oauth.allowInsecureRequests]: this.#issuer.protocol === 'http:',
    };
  }

  async #server(): Promise<oauth.AuthorizationServer> {
    this.#found ??= this.#ask(async () => {
      const reply = await oauth.discoveryRequest(this.#issuer, this.#options());
      return oauth.processDiscoveryResponse(this.#issuer, reply);
    });
    try {
      return await this.#found;
    } catch (error) {
      // Asked again the next time.
      this.#found = undefined;
      throw error;
    }
  }

  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw new SignInError(words(error, this.host), { cause: error });
    }
  }
}

/** Who has signed in. */
export class SignIn implements Identity {
  /** Herald's word for who that is comes with the connection. */
  readonly user = undefined;
  readonly host: string;
  /** Asked for a token, there was none for long: the sign-in ends soon, or it is over. */
  onEnd: (end: 'soon' | 'over') => void = () => {};
  /** Whether a session stands: who asks for a token then wants a newer one than that session began with. */
  isConnected = false;
  readonly #provider: Provider;
  #access = '';
  #refresh?: string;
  #isSignedOut = false;
  #endsAt = 0;
  #lifeMs = 0;
  #renewal?: Promise<void>;

  constructor(provider: Provider, tokens: Tokens) {
    this.#provider = provider;
    this.host = provider.host;
    this.#take(tokens);
  }

  #take({ access_token, refresh_token, expires_in = LIFE_S }: Tokens): void {
    this.#access = access_token;
    this.#refresh = refresh_token ?? this.#refresh;
    this.#lifeMs = expires_in * 1_000;
    this.#endsAt = Date.now() + this.#lifeMs - SLACK_MS;
  }

  get #leftMs(): number {
    return this.#endsAt - Date.now();
  }

  /** Renews a token that ends soon, if it can be. */
  async #renew(): Promise<void> {
    const refresh = this.#refresh;
    if (!refresh || this.#leftMs > Math.min(90_000, this.#lifeMs / 2)) return;
    this.#renewal ??= this.#provider
      .refresh(refresh)
      .then(
        (tokens) => {
          if (!this.#isSignedOut) return this.#take(tokens);
          // Asked for before the sign-out: it is not to outlive it.
          return this.#provider.forget(tokens.refresh_token ?? refresh);
        },
        (error: SignInError) => {
          if (this.#isSignedOut) return;
          // Refused for good; anything else may be better the next time.
          if (error.cause instanceof oauth.ResponseBodyError) this.#refresh = undefined;
          else if (this.#leftMs <= 0) throw error;
        },
      )
      .finally(() => {
        this.#renewal = undefined;
      });
    await this.#renewal;
  }

  /** For a session that begins, or that ends soon. */
  readonly getToken = async (): Promise<string> => {
    const before = this.#access;
    await this.#renew();
    if (this.#isSignedOut) throw new SignInError(`signed out at ${this.host}`);
    const isNew = this.#access !== before;
    const left = this.#leftMs;
    if (isNew || left > Math.min(90_000, this.#lifeMs / 2) || (left > 0 && !this.isConnected)) return this.#access;
    if (!this.#refresh) this.onEnd(left > 0 ? 'soon' : 'over');
    throw new SignInError(`the sign-in with ${this.host} ${left > 0 ? 'ends soon' : 'is over'}`);
  };

  readonly authorization = async (): Promise<string> => {
    await this.#renew().catch(() => undefined);
    return `Bearer ${this.#access}`;
  };

  /** A new sign-in. */
  readonly again = (): Promise<void> => this.#provider.begin();

  readonly signOut = async (): Promise<void> => {
    const [refresh, renewal] = [this.#refresh, this.#renewal];
    this.#isSignedOut = true;
    this.#access = '';
    this.#refresh = undefined;
    this.#endsAt = 0;
    // A renewal under way has the provider forget what it brings, for which the page waits as well.
    const forgotten = Promise.allSettled([refresh && this.#provider.forget(refresh), renewal]);
    await Promise.race([forgotten, new Promise((done) => setTimeout(done, 2 * FORGET_MS))]);
    return this.#provider.leave();
  };
}

function endpoint(server: oauth.AuthorizationServer, name: 'authorization_endpoint', host: string): string {
  const address = server[name];
  if (!address) throw new SignInError(`${host} says of itself that nobody can sign in there (no ${name}).`);
  return address;
}

/** What went wrong with the provider. */
function words(error: unknown, host: string): string {
  if (error instanceof oauth.AuthorizationResponseError || error instanceof oauth.ResponseBodyError) {
    const { error: code, error_description: text } = error;
    return `${host} refused: ${(text ? `${text} (${code})` : code).slice(0, WORDS)}`;
  }
  if (error instanceof DOMException) return `${host} did not answer within ${ANSWER_MS / 1_000} s.`;
  if (error instanceof TypeError) {
    return `${host} could not be reached, or does not let this page ask it (CORS).`;
  }
  const text = error instanceof Error ? error.message : `${error}`;
  return `${host} gave an answer that is none: ${text.slice(0, WORDS)}`;
}
