/** One SUBSCRIBE, shared by all who listen to its destination. Knows stompjs's messages and no connection. */

import type { IMessage, StompHeaders, StompSubscription } from '@stomp/stompjs';
import { type AckMode, Position } from './position.js';

/** Why what was missed is lost. The first five are the server's (docs/history.md). */
export type GapReason =
  | 'epoch-changed'
  | 'position-expired'
  | 'too-many'
  | 'history-off'
  | 'unavailable'
  | (string & {});

/** Something may have been missed, and will not come: load the state anew, as at the start. */
export interface Gap {
  destination: string;
  reason: GapReason;
}

export type MessageHandler = (message: IMessage) => void;

/** One of those who listen. */
export interface Listener {
  handler: MessageHandler;
  onGap?: (gap: Gap) => void;
  onRefused?: (reason: string) => void;
}

/** See the file's head. */
export class Subscription {
  readonly id: string;
  readonly destination: string;
  readonly headers: StompHeaders;
  readonly position: Position;
  readonly listeners = new Set<Listener>();
  /** The RECEIPT has come, in this connection. */
  joined = false;
  /** It had joined in an earlier connection: from there on it can miss something. */
  hasJoined = false;
  /** MESSAGEs of a replay that are still to come. */
  replaying = 0;
  /** When the last frame for it came (Unix ms). */
  heardAt = 0;
  handle?: StompSubscription;

  constructor(id: string, destination: string, headers: StompHeaders) {
    this.id = id;
    this.destination = destination;
    this.headers = headers;
    this.position = new Position(headers.ack as AckMode | undefined);
  }

  /** Under which its position is saved over a reload of the page. */
  get name(): string {
    return `${this.destination} ${this.headers.ack ?? 'auto'}`;
  }

  /** It goes on where it was before the page was loaded anew. */
  resumeFrom(position: string): void {
    this.position.begin(position);
    this.hasJoined = true;
  }

  /** Headers of the next SUBSCRIBE: from where it left off, if it can. */
  subscribeHeaders(receipt: string): StompHeaders {
    const from = this.position.at;
    return { ...this.headers, id: this.id, receipt, ...(from !== undefined && { 'last-message-id': from }) };
  }

  /** Takes the RECEIPT of SUBSCRIBE. Returns why there is a gap, if there is one. */
  begin({ position, recovered, replayed, reason }: StompHeaders): GapReason | undefined {
    const isBack = this.hasJoined;
    this.position.begin(position);
    this.joined = true;
    this.hasJoined = true;
    this.replaying = recovered === 'true' ? Number(replayed) || 0 : 0;
    this.heardAt = Date.now();
    if (recovered === 'false') return reason ?? 'unavailable';
    return isBack && recovered !== 'true' ? 'history-off' : undefined;
  }

  /** Hands a MESSAGE to all who listen. `isCurrent` says whether the connection that it came by still stands. */
  deliver(message: IMessage, isCurrent: () => boolean): void {
    const id = message.headers['message-id'] ?? '';
    this.heardAt = Date.now();
    for (const answer of ['ack', 'nack'] as const) {
      const send = message[answer];
      message[answer] = (headers) => {
        this.position.handled(id);
        // The server of a lost connection has forgotten it; the next one sends it again, if it came before.
        if (isCurrent()) send(headers);
      };
    }
    if (this.headers.ack !== undefined && this.headers.ack !== 'auto') this.position.received(id);
    for (const listener of [...this.listeners]) alone(() => listener.handler(message));
    if (this.headers.ack === undefined || this.headers.ack === 'auto') this.position.received(id);
    if (this.replaying > 0) this.replaying -= 1;
  }

  tellGap(gap: Gap): void {
    for (const { onGap } of [...this.listeners]) if (onGap) alone(() => onGap(gap));
  }

  tellRefused(reason: string): void {
    for (const { onRefused } of [...this.listeners]) if (onRefused) alone(() => onRefused(reason));
  }
}

/** Runs a function of the page's. What it throws is the page's own error: it reaches the console, and harms nobody else here. */
export function alone(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
