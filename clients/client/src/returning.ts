/** What a reconnect has brought back, counted over all subscriptions. Knows no connection. */

import type { Gap, GapReason, Subscription } from './subscription.js';

/** A reconnect, as it shows to a person. A new object at each change. */
export interface Returned {
  /** How long the connection was away. */
  awayMs: number;
  /** How many messages came meanwhile and are delivered now. */
  missed: number;
  /** What could not be brought back. */
  gaps: readonly Gap[];
  /** All `missed` have been delivered. */
  complete: boolean;
}

/** Begins when the connection is back, and is done when every subscription has what it missed. */
export class Returning {
  readonly #awayMs: number;
  readonly #waiting: Set<Subscription>;
  readonly #replaying = new Set<Subscription>();
  #missed: number;
  #gaps: Gap[];

  /** `before` is an earlier one that was cut off: what it could not bring back is still missing. */
  constructor(awayMs: number, subscriptions: Iterable<Subscription>, before?: Returning) {
    this.#awayMs = awayMs + (before ? before.#awayMs : 0);
    this.#waiting = new Set(subscriptions);
    this.#gaps = before ? [...before.#gaps] : [];
    this.#missed = before ? before.#missed - before.#left() : 0;
  }

  /** Every subscription has its RECEIPT. */
  get isAnswered(): boolean {
    return this.#waiting.size === 0;
  }

  /** Everything is here. */
  get isComplete(): boolean {
    return this.isAnswered && this.#replaying.size === 0;
  }

  get report(): Returned {
    return { awayMs: this.#awayMs, missed: this.#missed, gaps: this.#gaps, complete: this.isComplete };
  }

  /** The RECEIPT of `subscription` has come. */
  answered(subscription: Subscription, reason: GapReason | undefined): void {
    if (!this.#waiting.delete(subscription)) return;
    this.#missed += subscription.replaying;
    if (subscription.replaying > 0) this.#replaying.add(subscription);
    if (reason !== undefined) this.#gaps = [...this.#gaps, { destination: subscription.destination, reason }];
  }

  /** A MESSAGE of `subscription` was delivered. */
  delivered(subscription: Subscription): void {
    if (subscription.replaying === 0) this.#replaying.delete(subscription);
  }

  /** Nobody waits for `subscription` any more. */
  forget(subscription: Subscription): void {
    this.#waiting.delete(subscription);
    this.#replaying.delete(subscription);
  }

  #left(): number {
    return [...this.#replaying].reduce((sum, { replaying }) => sum + replaying, 0);
  }
}
