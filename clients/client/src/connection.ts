/**
 * One STOMP connection that is kept open: reconnect with back-off and full jitter, Herald's close codes respected, and
 * subscriptions that come back with it and resume where they left off. Knows stompjs and no framework.
 */

import { Client, type IFrame, type StompHeaders } from '@stomp/stompjs';
import { backoffDelayMs } from './backoff.js';
import { afterClose, type Closed, problemOf, retryAfterMs } from './closes.js';
import { connectHeaders, type HeraldOptions, hasCredentials } from './options.js';
import { Renewal } from './renewal.js';
import type { Returned } from './returning.js';
import { SavedPositions } from './saved.js';
import { SendError, type SendOptions, Sends } from './sends.js';
import { type HeraldState, INITIAL } from './state.js';
import { alone, type Gap, type MessageHandler } from './subscription.js';
import { Subscriptions } from './subscriptions.js';
import { Wait } from './wait.js';
import { longestSilenceMs, watchWake } from './wake.js';

/** Options of {@link HeraldConnection.subscribe}. */
export interface SubscribeOptions {
  /** Headers of SUBSCRIBE, such as `{ ack: 'client-individual' }`. With any, the SUBSCRIBE is not shared. */
  headers?: StompHeaders;
  /** Something may have been missed, and will not come: load the state anew. Called before the first new message. */
  onGap?: (gap: Gap) => void;
  /** The server does not let this destination be subscribed. It is given up; everything else comes back. */
  onRefused?: (reason: string) => void;
}

/** stompjs's own code for a connection that it gave up because nothing was heard. */
const DISCARDED = 4001;
const IDLE_CHECK_MS = 60_000;

/** See the file's head. Start it once; a stopped or ended one may be started again. */
export class HeraldConnection {
  readonly #options: HeraldOptions;
  readonly #listeners = new Set<() => void>();
  readonly #subscriptions: Subscriptions;
  readonly #sends = new Sends();
  readonly #renewal: Renewal;
  readonly #wait = new Wait();
  #client?: Client;
  #state: HeraldState = INITIAL;
  /** The ERROR of this connection. */
  #error?: IFrame;
  /** Why the server refused a destination, or a SEND too late for its promise: told in the connection that comes after. */
  #refused?: string;
  #lostAt?: number;
  /** The last credential was too old: the next is the only one that is tried. */
  #expired = false;
  #heardAt = 0;
  #silenceMs = 0;
  #cleanUp: (() => void)[] = [];

  constructor(options: HeraldOptions) {
    this.#options = options;
    this.#renewal = new Renewal(() => connectHeaders(options));
    const { url, user, resume, onGap, onReconnect } = options;
    const told = {
      onJoined: (joined: readonly string[]) => this.#update({ ...this.#state, joined }),
      onGap: (gap: Gap) => onGap?.(gap),
      onReturned: (returned: Returned, first: boolean) => {
        this.#update({ ...this.#state, returned });
        if (first) alone(() => onReconnect?.(returned));
      },
    };
    const saved = resume === 'session' ? new SavedPositions(`${url} ${user ?? ''}`) : undefined;
    this.#subscriptions = new Subscriptions(told, saved);
  }

  /** Tells of each change of {@link state}; returns the way to end that. */
  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The state now; the same object until it changes. */
  readonly state = (): HeraldState => this.#state;

  start(): void {
    if (this.#client) return;
    const { url, connectTimeoutMs = 10_000, heartbeatMs = 10_000 } = this.#options;
    const client: Client = new Client({
      webSocketFactory: () => this.#open(url, client.stompVersions.protocolVersions()),
      heartbeatIncoming: heartbeatMs,
      heartbeatOutgoing: heartbeatMs,
      connectionTimeout: connectTimeoutMs,
      // A dead connection does not answer a close either: do not wait a minute for that.
      discardWebsocketOnCommFailure: true,
      // stompjs's own delay is the same for every page. So it is next to nothing, and the wait is made in `beforeConnect`,
      // which stompjs awaits before each attempt.
      reconnectDelay: 1,
      beforeConnect: () => this.#prepare(client),
      onConnect: (frame) => this.#connected(client, frame),
      onStompError: (frame) => {
        this.#error = frame;
      },
      onWebSocketClose: (event: CloseEvent) => this.#closed(client, event),
    });
    this.#client = client;
    this.#lostAt = undefined;
    this.#expired = false;
    this.#update({ ...INITIAL, status: 'connecting' });
    const idle = setInterval(() => this.#subscriptions.refreshIdle(), IDLE_CHECK_MS);
    this.#cleanUp = [
      () => clearInterval(idle),
      watchWake({
        onOnline: (changed) => (changed ? this.#doubt(client) : this.retryNow()),
        onHide: () => this.#subscriptions.save(),
        onVisible: () => (this.#isSilent() ? this.#doubt(client) : this.retryNow()),
      }),
    ];
    client.activate();
  }

  /** Ends the connection in order. Subscriptions and their positions stay known for a later {@link start}. */
  async stop(): Promise<void> {
    const client = this.#client;
    if (!client) return;
    this.#detach('The connection was stopped.');
    this.#update(INITIAL);
    await client.deactivate();
  }

  /** Makes the next attempt now, for a button. The browser's `online` and a page that is seen again do it by themselves. */
  readonly retryNow = (): void => this.#wait.end();

  /**
   * Listens now and after each reconnect, until the function that this returns is called. All who listen to a destination
   * share one SUBSCRIBE.
   */
  subscribe(destination: string, handler: MessageHandler, options: SubscribeOptions = {}): () => void {
    const { headers = {}, onGap, onRefused } = options;
    return this.#subscriptions.add(destination, headers, { handler, onGap, onRefused });
  }

  /**
   * SENDs. Done when the server has it: published, or handed to the bus as a request to a backend. That says nothing of the
   * backend: whether none listens, or it fails, is told on `/user/queue/errors`. Fails with a {@link SendError}; nothing is ever
   * sent twice.
   */
  send(destination: string, body: string, options: SendOptions = {}): Promise<void> {
    const client = this.#client;
    if (!client) return Promise.reject(new SendError('ended', this.#state.problem ?? 'Not connected.'));
    return this.#sends.send(client.connected ? client : undefined, destination, body, options);
  }

  #open(url: string, protocols: string[]): WebSocket {
    const socket = this.#options.webSocket?.(url, protocols) ?? new WebSocket(url, protocols);
    socket.addEventListener?.('message', () => {
      this.#heardAt = Date.now();
    });
    return socket;
  }

  /** Before each attempt: the wait, unless it is the first, and the credentials. */
  async #prepare(client: Client): Promise<void> {
    while (this.#client === client) {
      if (this.#state.status === 'reconnecting') await this.#backOff();
      if (this.#client !== client) return;
      try {
        client.connectHeaders = await connectHeaders(this.#options);
        return;
      } catch (error) {
        if (this.#client !== client) return;
        const problem = `No token: ${error instanceof Error ? error.message : error}`;
        this.#update({ ...this.#state, status: 'reconnecting', problem });
      }
    }
  }

  async #backOff(): Promise<void> {
    const { attempt } = this.#state;
    // An overloaded server tells each page another time, and knows better how long its queue is.
    const waitMs = retryAfterMs(this.#error?.headers) ?? backoffDelayMs(attempt, this.#options.backoff);
    this.#error = undefined;
    this.#update({ ...this.#state, attempt: attempt + 1, retryAt: Date.now() + waitMs });
    await this.#wait.sleep(waitMs);
    if (this.#state.retryAt !== undefined) this.#update({ ...this.#state, retryAt: undefined });
  }

  #connected(client: Client, { headers }: IFrame): void {
    if (this.#client !== client) return;
    const { instance, session, 'user-name': user } = headers;
    this.#error = undefined;
    this.#expired = false;
    this.#renewal.begin(client, headers['expires-in']);
    this.#heardAt = Date.now();
    this.#silenceMs = longestSilenceMs(headers['heart-beat'], client.heartbeatIncoming);
    const awayMs = this.#lostAt === undefined ? undefined : Date.now() - this.#lostAt;
    this.#lostAt = undefined;
    this.#update({ status: 'connected', attempt: 0, instance, session, user, joined: [], problem: this.#refused });
    this.#refused = undefined;
    this.#subscriptions.joinAll(client, awayMs);
    this.#sends.flush(client);
  }

  /** Nothing was heard for longer than the server's heart-beats allow: a sleep, or a network that has gone. */
  #isSilent(): boolean {
    return this.#silenceMs > 0 && Date.now() - this.#heardAt > this.#silenceMs;
  }

  /** The connection is most likely dead: a new one is quicker than finding out. Nothing is lost by it. */
  #doubt(client: Client): void {
    if (client.connected) {
      this.#wait.skipNext();
      client.forceDisconnect();
    } else this.retryNow();
  }

  #closed(client: Client, event: { code: number; reason: string }): void {
    if (this.#client !== client) return;
    const code = event.code === DISCARDED ? 1006 : event.code;
    const closed: Closed = { code, reason: event.reason, error: this.#error };
    const problem = problemOf(closed, this.#options.getToken !== undefined);
    const after = afterClose(code, this.#error?.headers['herald-reason']);
    const receipt = this.#error?.headers['receipt-id'];
    const comesBack =
      after === 'reconnect' ||
      (after === 'token' && !this.#expired && hasCredentials(this.#options)) ||
      (after === 'fault' && receipt !== undefined && this.#blame(receipt, problem));
    this.#expired = after === 'token';
    this.#renewal.end();
    this.#subscriptions.leaveAll();
    if (!comesBack) {
      this.#detach(problem);
      this.#update({ ...this.#state, status: 'ended', code, problem, joined: [], retryAt: undefined });
      void client.deactivate();
      return;
    }
    if (this.#state.status === 'connected') this.#lostAt = Date.now();
    this.#sends.lose();
    const { attempt, instance, user } = this.#state;
    this.#update({ status: 'reconnecting', attempt, instance, user, code, problem, joined: [] });
  }

  /** The ERROR says whose frame was refused: everything else comes back. */
  #blame(receipt: string, reason: string): boolean {
    const send = this.#sends.refuse(receipt, reason);
    if (send === 'told' || this.#renewal.refuse(receipt)) return true;
    const isOwn = send === 'late' || this.#subscriptions.refuse(receipt, reason);
    if (isOwn) this.#refused = reason;
    return isOwn;
  }

  /** What the old client still says is not heard any more. */
  #detach(reason: string): void {
    this.#client = undefined;
    this.#error = undefined;
    this.#wait.end();
    this.#renewal.end();
    this.#subscriptions.end();
    this.#sends.end(reason);
    for (const end of this.#cleanUp.splice(0)) end();
  }

  #update(state: HeraldState): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) alone(listener);
  }
}
