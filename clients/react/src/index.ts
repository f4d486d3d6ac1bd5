/** React hooks for Herald: see README.md. */

export { type Backoff, backoffDelayMs, DEFAULT_BACKOFF } from './backoff.js';
export { type AfterClose, afterClose, closeWords } from './closes.js';
export {
  HeraldConnection,
  type HeraldOptions,
  type HeraldState,
  type HeraldStatus,
  type MessageHandler,
} from './connection.js';
export {
  type Herald,
  HeraldProvider,
  type SubscriptionOptions,
  type SubscriptionState,
  useHerald,
  useSubscription,
} from './hooks.js';
