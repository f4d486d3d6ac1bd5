/** All subscriptions of a page: what is to be subscribed in each connection, and what comes back with it. Knows stompjs's client,
 *  and not how a connection comes about. */

import type { Client, IMessage, StompHeaders } from '@stomp/stompjs';
import { type Returned, Returning } from './returning.js';
import type { SavedPositions } from './saved.js';
import { alone, type Gap, type Listener, Subscription } from './subscription.js';

/** What is to be told of them. */
interface Told {
  /** The destinations that have joined are these now. */
  onJoined: (joined: readonly string[]) => void;
  onGap: (gap: Gap) => void;
  /** After a loss: every subscription has its answer (`first`), and then all that was missed is here. */
  onReturned: (returned: Returned, first: boolean) => void;
}

/** A subscription that hears nothing for so long begins anew at a fresh position, while its old one is still kept. */
const IDLE_MS = 600_000;

/** See the file's head. */
export class Subscriptions {
  readonly #told: Told;
  readonly #saved?: SavedPositions;
  readonly #all = new Map<string, Subscription>();
  /** While it is connected. */
  #client?: Client;
  #returning?: Returning;
  #ids = 0;

  /** With `saved` they go on where they were before the page was loaded anew. */
  constructor(told: Told, saved?: SavedPositions) {
    this.#told = told;
    this.#saved = saved;
  }

  /** Returns the way to end it. All who bring no headers share one SUBSCRIBE. */
  add(destination: string, headers: StompHeaders, listener: Listener): () => void {
    this.#ids += 1;
    const key = Object.keys(headers).length === 0 ? destination : `own ${this.#ids}`;
    const known = this.#all.get(key);
    const subscription = known ?? new Subscription(`sub-${this.#ids}`, destination, headers);
    subscription.listeners.add(listener);
    if (!known) {
      const before = this.#saved?.take(subscription.name);
      if (before !== undefined) subscription.resumeFrom(before);
      this.#all.set(key, subscription);
      if (this.#client?.connected) this.#join(this.#client, subscription);
    }
    return () => {
      if (!subscription.listeners.delete(listener) || subscription.listeners.size > 0) return;
      if (this.#all.get(key) === subscription) this.#remove(key, subscription);
    };
  }

  /** `client` is connected. `awayMs` if it was before: what is missing then is counted. */
  joinAll(client: Client, awayMs?: number): void {
    this.#client = client;
    const all = [...this.#all.values()];
    if (awayMs !== undefined) {
      const before = this.#returning?.isComplete === false ? this.#returning : undefined;
      this.#returning = new Returning(awayMs, all, before);
    }
    for (const subscription of all) this.#join(client, subscription);
    if (awayMs !== undefined && all.length === 0) this.#tellReturned();
  }

  /** The connection is gone; they stay known for the next. */
  leaveAll(): void {
    this.#client = undefined;
    for (const subscription of this.#all.values()) {
      subscription.joined = false;
      subscription.handle = undefined;
    }
  }

  /** The page goes, perhaps to be loaded anew. */
  save(): void {
    const positions = new Map<string, string | undefined>();
    for (const { name, position } of this.#all.values()) {
      // Of several that are not equally far none is saved.
      positions.set(name, positions.has(name) && positions.get(name) !== position.at ? undefined : position.at);
    }
    const known = [...positions].flatMap(([name, at]) => (at === undefined ? [] : [[name, at]]));
    this.#saved?.save(Object.fromEntries(known));
  }

  /** There is no next, until somebody starts anew. */
  end(): void {
    this.save();
    this.leaveAll();
    this.#returning = undefined;
  }

  /** The ERROR says whose frame was refused: that one alone is given up. Returns whether it was one of these. */
  refuse(receipt: string, reason: string): boolean {
    if (!/^(join|leave)-/.test(receipt)) return false;
    // If it is not there any more, the page has left it meanwhile.
    const [key, subscription] = [...this.#all].find(([, { id }]) => receipt === `join-${id}`) ?? [];
    if (key !== undefined && subscription) {
      this.#all.delete(key);
      this.#returning?.forget(subscription);
      subscription.tellRefused(reason);
    }
    return true;
  }

  /** A position must not expire while its subscription is live and has nothing to hear. Called now and then. */
  refreshIdle(): void {
    const client = this.#client;
    if (!client?.connected) return;
    for (const subscription of this.#all.values()) {
      const { handle, joined, position, heardAt } = subscription;
      const isIdle = joined && position.at !== undefined && !position.isOpen && Date.now() - heardAt >= IDLE_MS;
      if (!handle || !isIdle) continue;
      const receipt = `leave-${subscription.id}`;
      // What comes in between is not delivered, so the new SUBSCRIBE asks for it.
      client.watchForReceipt(receipt, () => {
        if (subscription.handle === handle) this.#join(client, subscription);
      });
      subscription.heardAt = Date.now();
      handle.unsubscribe({ receipt });
    }
  }

  #join(client: Client, subscription: Subscription): void {
    const { destination } = subscription;
    const receipt = `join-${subscription.id}`;
    const isCurrent = () => subscription.handle === handle;
    client.watchForReceipt(receipt, ({ headers }) => {
      if (!isCurrent()) return;
      const reason = subscription.begin(headers);
      this.#tellJoined();
      if (reason !== undefined) {
        subscription.tellGap({ destination, reason });
        alone(() => this.#told.onGap({ destination, reason }));
      }
      this.#count((returning) => returning.answered(subscription, reason));
    });
    const deliver = (message: IMessage) => {
      subscription.deliver(message, isCurrent);
      this.#count((returning) => returning.delivered(subscription));
    };
    const handle = client.subscribe(destination, deliver, subscription.subscribeHeaders(receipt));
    subscription.handle = handle;
  }

  #remove(key: string, subscription: Subscription): void {
    this.#all.delete(key);
    const { heardAt, name, position } = subscription;
    // Frameworks mount twice in development.
    if (heardAt === 0 && position.at !== undefined) this.#saved?.giveBack(name, position.at);
    if (this.#client?.connected) subscription.handle?.unsubscribe();
    subscription.handle = undefined;
    this.#tellJoined();
    this.#count((returning) => returning.forget(subscription));
  }

  /** Changes what is still missing, and tells of the two moments that matter. */
  #count(change: (returning: Returning) => void): void {
    const returning = this.#returning;
    if (!returning || returning.isComplete) return;
    const wasAnswered = returning.isAnswered;
    change(returning);
    if (!wasAnswered && returning.isAnswered) this.#tellReturned();
    else if (returning.isComplete) this.#told.onReturned(returning.report, false);
  }

  #tellReturned(): void {
    if (this.#returning) this.#told.onReturned(this.#returning.report, true);
  }

  #tellJoined(): void {
    const joined = [...this.#all.values()].filter((subscription) => subscription.joined);
    this.#told.onJoined([...new Set(joined.map(({ destination }) => destination))]);
  }
}
