/** The connection to Herald for any page: see README.md. */

export type { IMessage, StompHeaders } from '@stomp/stompjs';
export { type Backoff, backoffDelayMs, DEFAULT_BACKOFF } from './backoff.js';
export { type AfterClose, afterClose, closeWords } from './closes.js';
export { HeraldConnection, type SubscribeOptions } from './connection.js';
export type { HeraldOptions } from './options.js';
export type { Returned } from './returning.js';
export { SendError, type SendFailure, type SendOptions } from './sends.js';
export type { HeraldState, HeraldStatus } from './state.js';
export type { Gap, GapReason, MessageHandler } from './subscription.js';
