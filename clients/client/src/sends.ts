/** SENDs whose RECEIPT is still to come, and those that wait for the connection. Knows stompjs's client and no connection state. */

import type { Client, StompHeaders } from '@stomp/stompjs';

/** Why a `send` failed. */
export type SendFailure =
  /** There is no connection; nothing was sent. */
  | 'away'
  /** Too many wait already; nothing was sent. */
  | 'full'
  /** The connection was stopped or has ended; nothing was sent. */
  | 'ended'
  /** The server refused it, and says why. */
  | 'refused'
  /** The connection was lost before the answer came: it may have arrived. It is not sent again by itself. */
  | 'lost'
  /** The server has not answered in time: it may have arrived. What it could not do, it says on `/user/queue/errors`. */
  | 'unanswered';

export class SendError extends Error {
  readonly failure: SendFailure;

  constructor(failure: SendFailure, message: string) {
    super(message);
    this.name = 'SendError';
    this.failure = failure;
  }
}

export interface SendOptions {
  headers?: StompHeaders;
  /** While there is no connection: fail at once (`refuse`, the default), or be sent with the next (`wait`). */
  away?: 'refuse' | 'wait';
  /** How long the answer may take, once it is sent; default 30,000. */
  timeoutMs?: number;
}

interface Pending {
  destination: string;
  body: string;
  headers: StompHeaders;
  timeoutMs: number;
  timer?: ReturnType<typeof setTimeout>;
  resolve: () => void;
  reject: (error: SendError) => void;
}

/** How many may wait for a connection. */
const MOST_WAITING = 100;
/** Longer than Herald takes to store a SEND, or to give up (`history.publish_timeout`, 10 s). */
const TIMEOUT_MS = 30_000;

/** See the file's head. */
export class Sends {
  #waiting: Pending[] = [];
  #unanswered = new Map<string, Pending>();
  #receipts = 0;
  /** How many receipts the connections before this one have had. */
  #receiptsBefore = 0;

  /** Sends by `client`, or waits, or fails. */
  send(client: Client | undefined, destination: string, body: string, options: SendOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const { headers = {}, timeoutMs = TIMEOUT_MS } = options;
      const pending = { destination, body, headers, timeoutMs, resolve, reject };
      if (client) this.#write(client, pending);
      else if (options.away !== 'wait') reject(new SendError('away', 'Not connected.'));
      else if (this.#waiting.length >= MOST_WAITING) reject(new SendError('full', 'Too much waits to be sent.'));
      else this.#waiting.push(pending);
    });
  }

  /** There is a connection: what has waited goes out, in order. */
  flush(client: Client): void {
    for (const pending of this.#waiting.splice(0)) this.#write(client, pending);
  }

  /**
   * Fails the one that the server refused. `late`: it had failed as `unanswered` before, so nobody has been told the reason.
   * `undefined`: it is none of this connection's.
   */
  refuse(receipt: string, reason: string): 'told' | 'late' | undefined {
    const pending = this.#take(receipt);
    pending?.reject(new SendError('refused', reason));
    return pending ? 'told' : this.#isOwn(receipt) ? 'late' : undefined;
  }

  /** The connection is gone. */
  lose(): void {
    this.#receiptsBefore = this.#receipts;
    for (const receipt of [...this.#unanswered.keys()]) {
      this.#take(receipt)?.reject(new SendError('lost', 'The connection was lost before the answer came.'));
    }
  }

  /** There will be no connection. */
  end(reason: string): void {
    this.lose();
    for (const { reject } of this.#waiting.splice(0)) reject(new SendError('ended', reason));
  }

  /** Whether this connection has sent it, however long ago: receipts are numbered, so none has to be kept. */
  #isOwn(receipt: string): boolean {
    const number = Number(receipt.match(/^send-(\d+)$/)?.[1]);
    return number > this.#receiptsBefore && number <= this.#receipts;
  }

  /** The one that waits for `receipt`, which is answered with this. */
  #take(receipt: string): Pending | undefined {
    const pending = this.#unanswered.get(receipt);
    this.#unanswered.delete(receipt);
    clearTimeout(pending?.timer);
    return pending;
  }

  #write(client: Client, pending: Pending): void {
    this.#receipts += 1;
    const receipt = `send-${this.#receipts}`;
    this.#unanswered.set(receipt, pending);
    client.watchForReceipt(receipt, () => this.#take(receipt)?.resolve());
    pending.timer = setTimeout(() => {
      this.#take(receipt)?.reject(new SendError('unanswered', 'The server has not answered in time.'));
    }, pending.timeoutMs);
    const headers = { 'content-type': 'text/plain;charset=UTF-8', ...pending.headers, receipt };
    client.publish({ destination: pending.destination, body: pending.body, headers });
  }
}
