/** The connection in Vue: see README.md. Knows `@herald/client` and no page. */

import {
  type Gap,
  HeraldConnection,
  type HeraldOptions,
  type HeraldState,
  type MessageHandler,
  type SendOptions,
  type StompHeaders,
} from '@herald/client';
import {
  type ComputedRef,
  computed,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  provide,
  type Ref,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from 'vue';

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

/** What {@link useHerald} gives. */
export interface Herald {
  state: Readonly<ShallowRef<HeraldState>>;
  /**
   * SENDs. Done when the server has it, which says nothing of a backend behind it: whether none listens is told on
   * `/user/queue/errors`. While the connection is away it fails, or waits with `away: 'wait'`.
   */
  send: (destination: string, body: string, options?: SendOptions) => Promise<void>;
  /** Makes the next attempt now. */
  retryNow: () => void;
}

interface Provided extends Herald {
  connection: HeraldConnection;
}

const HERALD: InjectionKey<Provided> = Symbol('herald');

/** Keeps one connection for all components below, while the one that calls this in its `setup` is mounted. */
export function provideHerald(options: HeraldOptions): Herald {
  const connection = new HeraldConnection(options);
  const state = shallowRef(connection.state());
  const forget = connection.listen(() => {
    state.value = connection.state();
  });
  onMounted(() => connection.start());
  onScopeDispose(() => {
    forget();
    void connection.stop();
  });
  const herald: Provided = {
    connection,
    state,
    send: (destination, body, options) => connection.send(destination, body, options),
    retryNow: connection.retryNow,
  };
  provide(HERALD, herald);
  return herald;
}

/** The connection's state, and what can be done with it. */
export function useHerald(): Herald {
  return useProvided();
}

/** Options of {@link useSubscription}. */
export interface SubscriptionOptions {
  /** Headers of SUBSCRIBE, such as `{ ack: 'client-individual' }`. */
  headers?: StompHeaders;
  /** Something may have been missed, and will not come: load the state anew. */
  onGap?: (gap: Gap) => void;
}

/** What {@link useSubscription} gives. */
export interface SubscriptionState {
  /** The server has confirmed it: what is sent from now on arrives. */
  joined: ComputedRef<boolean>;
  /** Why the server does not let this destination be subscribed. */
  refused: Readonly<Ref<string | undefined>>;
}

/** Subscribes until the component is gone, through every reconnect, and follows `destination`. `null`: to nothing. */
export function useSubscription(
  destination: MaybeRefOrGetter<string | null>,
  handler: MessageHandler,
  { headers, onGap }: SubscriptionOptions = {},
): SubscriptionState {
  const { connection, state } = useProvided();
  const refused = shallowRef<string>();
  watch(
    () => toValue(destination),
    (wanted, _, onCleanup) => {
      refused.value = undefined;
      if (wanted === null) return;
      const onRefused = (reason: string) => {
        refused.value = reason;
      };
      onCleanup(connection.subscribe(wanted, handler, { headers, onGap, onRefused }));
    },
    { immediate: true },
  );
  const joined = computed(() => {
    const wanted = toValue(destination);
    return wanted !== null && state.value.joined.includes(wanted);
  });
  return { joined, refused };
}

function useProvided(): Provided {
  const provided = inject(HERALD, null);
  if (!provided) throw new Error('useHerald and useSubscription work below a component that calls provideHerald');
  return provided;
}
