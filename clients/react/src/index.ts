/** React hooks for Herald: see README.md. */

export {
  type Gap,
  HeraldConnection,
  type HeraldOptions,
  type HeraldState,
  type HeraldStatus,
  type IMessage,
  type MessageHandler,
  type Returned,
  SendError,
  type SendOptions,
} from '@herald/client';
export {
  type Herald,
  HeraldProvider,
  type SubscriptionOptions,
  type SubscriptionState,
  useHerald,
  useSubscription,
} from './hooks.js';
