/**
 * One STOMP connection that is kept open: reconnect with back-off and full jitter, Herald's close codes respected, and
 * subscriptions that come back with it. Knows stompjs and no React; `hooks.tsx` puts it into components.
 */

import { Client, type IFrame, type IMessage, type StompHeaders, type StompSubscription } from '@stomp/stompjs';
import { type Backoff, backoffDelayMs, DEFAULT_BACKOFF } from './backoff.js';
import { afterClose, closeWords } from './closes.js';

/** Where to connect, and as whom. */
export interface HeraldOptions {
  /** Such as `wss://example.com/ws`. */
  url: string;
  user: string;
  password: string;
  backoff?: Backoff;
  /** From the opening of the socket to CONNECTED; default 10,000. */
  connectTimeoutMs?: number;
  heartbeatMs?: number;
}

/** Where the connection stands. */
export type HeraldStatus =
  /** Never started, or ended by `stop`. */
  | 'idle'
  /** The first attempt is under way. */
  | 'connecting'
  | 'connected'
  /** Lost; the next attempt is under way or waits for `retryAt`. */
  | 'reconnecting'
  /** Ended for good: `problem` says why. */
  | 'ended';

/** What a page shows of a connection. A new object at each change. */
export interface HeraldState {
  status: HeraldStatus;
  /** Name of the instance that holds, or held last, the session (CONNECTED's `instance`). */
  instance?: string;
  session?: string;
  /** Failed attempts since the last CONNECTED. */
  attempt: number;
  /** When the next attempt is made (Unix ms), while one waits. */
  retryAt?: number;
  /** The last close code. */
  code?: number;
  /** Why the connection was lost, ended, or a destination refused, in words. */
  problem?: string;
  /** Destinations whose RECEIPT has come: what is sent from now on arrives. */
  joined: readonly string[];
}

export type MessageHandler = (message: IMessage) => void;

interface Subscription {
  destination: string;
  handler: MessageHandler;
  headers: StompHeaders;
  joined: boolean;
  handle?: StompSubscription;
  onRefused?: (reason: string) => void;
}

const INITIAL: HeraldState = { status: 'idle', attempt: 0, joined: [] };

/** See the file's head. Start it once; a stopped one may be started again. */
export class HeraldConnection {
  #options: HeraldOptions;
  #client?: Client;
  #state: HeraldState = INITIAL;
  #listeners = new Set<() => void>();
  #subscriptions = new Map<string, Subscription>();
  #ids = 0;
  #error?: string;
  #retryAfterMs?: number;
  #endWait?: () => void;

  constructor(options: HeraldOptions) {
    this.#options = options;
  }

  /** Tells of each change of {@link state}; gives the way to end that. */
  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The state now; the same object until it changes. */
  readonly state = (): HeraldState => this.#state;

  start(): void {
    if (this.#client) return;
    const { url, user, password, connectTimeoutMs = 10_000, heartbeatMs = 10_000 } = this.#options;
    const client = new Client({
      brokerURL: url,
      connectHeaders: { login: user, passcode: password },
      heartbeatIncoming: heartbeatMs,
      heartbeatOutgoing: heartbeatMs,
      connectionTimeout: connectTimeoutMs,
      // stompjs's own delay is fixed or doubles, but is the same for every page. So it is set to next to nothing, and the
      // wait is made in `beforeConnect`, which stompjs awaits before each attempt.
      reconnectDelay: 1,
      beforeConnect: () => this.#wait(client),
      onConnect: (frame) => this.#connected(client, frame),
      onStompError: (frame) => {
        this.#error = frame.headers.message || frame.body || 'the server refused';
        this.#retryAfterMs = retryAfterMs(frame.headers['retry-after-ms']);
      },
      onWebSocketClose: (event: CloseEvent) => this.#closed(client, event),
    });
    this.#client = client;
    this.#update({ ...INITIAL, status: 'connecting' });
    client.activate();
  }

  /** Ends the connection in order. Subscriptions stay known for a later {@link start}. */
  async stop(): Promise<void> {
    const client = this.#client;
    if (!client) return;
    this.#detach();
    this.#update(INITIAL);
    await client.deactivate();
  }

  /** Makes the next attempt now, for a button or the browser's `online` event. */
  readonly retryNow = (): void => this.#endWait?.();

  /**
   * Subscribes now and after each reconnect, until the function that this gives is called. `onRefused` hears if the server
   * does not let this destination be subscribed; then it is given up, and the connection comes back without it.
   */
  subscribe(
    destination: string,
    handler: MessageHandler,
    { headers = {}, onRefused }: { headers?: StompHeaders; onRefused?: (reason: string) => void } = {},
  ): () => void {
    this.#ids += 1;
    const id = `sub-${this.#ids}`;
    const subscription: Subscription = { destination, handler, headers, joined: false, onRefused };
    this.#subscriptions.set(id, subscription);
    if (this.#client?.connected) this.#join(this.#client, id, subscription);
    return () => {
      this.#subscriptions.delete(id);
      if (this.#client?.connected) subscription.handle?.unsubscribe();
      this.#tellJoined();
    };
  }

  /** SENDs, and is done when the server has processed it; fails if the connection is or gets lost. */
  send(destination: string, body: string, headers: StompHeaders = {}): Promise<void> {
    const client = this.#client;
    if (!client?.connected) return Promise.reject(new Error('Not connected.'));
    return new Promise((resolve, reject) => {
      this.#ids += 1;
      const receipt = `send-${this.#ids}`;
      const forget = this.listen(() => {
        if (this.#state.status === 'connected') return;
        forget();
        reject(new Error(this.#state.problem ?? 'The connection was lost.'));
      });
      client.watchForReceipt(receipt, () => {
        forget();
        resolve();
      });
      client.publish({
        destination,
        body,
        headers: { 'content-type': 'text/plain;charset=UTF-8', ...headers, receipt },
      });
    });
  }

  /** Before the first attempt there is nothing to wait for. */
  async #wait(client: Client): Promise<void> {
    if (this.#client !== client || this.#state.status !== 'reconnecting') return;
    const { attempt } = this.#state;
    // An overloaded server tells each page another time, and knows better how long its queue is.
    const waitMs = this.#retryAfterMs ?? backoffDelayMs(attempt, this.#options.backoff ?? DEFAULT_BACKOFF);
    this.#retryAfterMs = undefined;
    this.#update({ ...this.#state, attempt: attempt + 1, retryAt: Date.now() + waitMs });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endWait = undefined;
    if (this.#client === client) this.#update({ ...this.#state, retryAt: undefined });
  }

  #connected(client: Client, frame: IFrame): void {
    if (this.#client !== client) return;
    const { instance, session } = frame.headers;
    const refused = this.#error;
    this.#error = undefined;
    this.#update({ status: 'connected', attempt: 0, instance, session, joined: [], problem: refused });
    for (const [id, subscription] of this.#subscriptions) this.#join(client, id, subscription);
  }

  #join(client: Client, id: string, subscription: Subscription): void {
    const { destination, headers } = subscription;
    const receipt = `join-${id}-${this.#state.session ?? ''}`;
    client.watchForReceipt(receipt, () => {
      subscription.joined = true;
      this.#tellJoined();
    });
    const handler = (message: IMessage) => {
      if (this.#subscriptions.get(id) === subscription) subscription.handler(message);
    };
    subscription.handle = client.subscribe(destination, handler, { ...headers, id, receipt });
  }

  #closed(client: Client, { code, reason }: { code: number; reason: string }): void {
    if (this.#client !== client) return;
    const refusal = this.#error;
    // What the server refused is one of those it had not confirmed: they are given up, the others come back.
    const unjoined = [...this.#subscriptions].filter(([, subscription]) => !subscription.joined);
    const blamed = code === 1008 && refusal !== undefined && this.#state.status === 'connected' && unjoined.length > 0;
    for (const subscription of this.#subscriptions.values()) subscription.joined = false;
    const problem = after(code, refusal, reason);
    if (blamed) {
      for (const [id, subscription] of unjoined) {
        this.#subscriptions.delete(id);
        subscription.onRefused?.(problem);
      }
    } else if (afterClose(code) !== 'reconnect') {
      this.#detach();
      this.#update({ ...this.#state, status: 'ended', code, problem, joined: [] });
      void client.deactivate();
      return;
    }
    if (!blamed) this.#error = undefined; // of this session; a refusal is still told in the next
    const { attempt, instance } = this.#state;
    this.#update({ status: 'reconnecting', attempt, instance, code, problem, joined: [] });
  }

  /** What the old client still says is not heard any more. */
  #detach(): void {
    this.#client = undefined;
    this.#error = undefined;
    this.#retryAfterMs = undefined;
    this.#endWait?.();
    for (const subscription of this.#subscriptions.values()) subscription.joined = false;
  }

  #tellJoined(): void {
    const joined = [...this.#subscriptions.values()].filter((subscription) => subscription.joined);
    this.#update({ ...this.#state, joined: joined.map((subscription) => subscription.destination) });
  }

  #update(state: HeraldState): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** What an ERROR's `retry-after-ms` says, if it is a number up to a minute. */
function retryAfterMs(text: string | undefined): number | undefined {
  const ms = Number(text);
  return text !== undefined && /^\d+$/.test(text) && ms <= 60_000 ? ms : undefined;
}

function after(code: number, refusal: string | undefined, reason: string): string {
  if (code === 4401 || code === 4403 || code === 4409) return closeWords(code);
  return refusal || (code === 1001 ? '' : reason) || closeWords(code);
}
