/**
 * Keeps a session that has an end: presents a credential again before that, in the same connection. Knows stompjs's client and no
 * connection state.
 */

import type { Client, StompHeaders } from '@stomp/stompjs';

/** Where Herald renews a session. */
const DESTINATION = '/app/herald/auth';
/** How long before its end a session is renewed, at most; of a short life it is a third. */
const LEAD_MS = 60_000;
/** The shortest time between two tries: Herald takes six a minute. */
const RETRY_MS = 10_000;
/** What a timer of browsers holds. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** See the file's head. */
export class Renewal {
  readonly #credentials: () => Promise<StompHeaders>;
  #client?: Client;
  #timer?: ReturnType<typeof setTimeout>;
  #endsAt = 0;
  #receipts = 0;
  /** Those of the tries since the last RECEIPT: the server may refuse the first after the second was sent. */
  readonly #unanswered = new Set<string>();
  /** This server does not renew. */
  #isRefused = false;

  /** `credentials` are headers of CONNECT, asked for at each try. */
  constructor(credentials: () => Promise<StompHeaders>) {
    this.#credentials = credentials;
  }

  /** The session has begun, or was renewed: it ends in so many ms, by the text of `expires-in`. Without one it does not end. */
  begin(client: Client, expiresIn: string | undefined): void {
    this.end();
    if (this.#isRefused || expiresIn === undefined || !/^\d+$/.test(expiresIn)) return;
    const leftMs = Number(expiresIn);
    this.#client = client;
    this.#endsAt = Date.now() + leftMs;
    this.#wait(leftMs - Math.min(LEAD_MS, leftMs / 3));
  }

  /** The connection is gone, or is to be. */
  end(): void {
    clearTimeout(this.#timer);
    this.#client = undefined;
    this.#unanswered.clear();
  }

  /** The server ended the connection because of the frame with this receipt. Returns whether that was a renewal. */
  refuse(receipt: string): boolean {
    const isOwn = this.#unanswered.has(receipt);
    if (isOwn) this.end();
    this.#isRefused ||= isOwn;
    return isOwn;
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    const isLong = ms > TIMER_MAX_MS;
    this.#timer = setTimeout(
      () => (isLong ? this.#wait(ms - TIMER_MAX_MS) : void this.#renew()),
      isLong ? TIMER_MAX_MS : ms,
    );
  }

  async #renew(): Promise<void> {
    const client = this.#client;
    if (!client) return;
    // If no RECEIPT comes, because there is no token or it was refused, half of what is left is time for another try. The last
    // word is the server's: it closes with 4401, and the next attempt presents a new token.
    this.#wait(Math.max(RETRY_MS, (this.#endsAt - Date.now()) / 2));
    let headers: StompHeaders;
    try {
      headers = await this.#credentials();
    } catch {
      return;
    }
    if (this.#client !== client || !client.connected) return;
    this.#receipts += 1;
    const receipt = `renewal-${this.#receipts}`;
    this.#unanswered.add(receipt);
    client.watchForReceipt(receipt, (frame) => {
      if (this.#client === client) this.begin(client, frame.headers['expires-in']);
    });
    client.publish({ destination: DESTINATION, headers: { ...headers, receipt } });
  }
}
