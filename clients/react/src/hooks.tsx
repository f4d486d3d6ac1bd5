/** The connection in React: a provider and two hooks. Knows `@herald/client` and no page. */

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
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';

/** On a server there is no connection. A browser takes over the server's page with the same state, and goes on from there. */
const SERVED: HeraldState = { status: 'idle', attempt: 0, joined: [] };
const served = () => SERVED;

const HeraldContext = createContext<HeraldConnection | null>(null);

/**
 * Keeps one connection for all below it, from mount to unmount. New `url`, `user` or `password`: a new connection. The
 * functions may be new ones at each render.
 */
export function HeraldProvider({ children, ...options }: HeraldOptions & { children: ReactNode }) {
  const { url, user, password } = options;
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const connection = useMemo(() => {
    const { getToken } = latest.current;
    return new HeraldConnection({
      ...latest.current,
      url,
      user,
      password,
      getToken: getToken && (() => (latest.current.getToken ?? getToken)()),
      onGap: (gap) => latest.current.onGap?.(gap),
      onReconnect: (returned) => latest.current.onReconnect?.(returned),
    });
  }, [url, user, password]);
  useEffect(() => {
    connection.start();
    return () => void connection.stop();
  }, [connection]);
  return <HeraldContext.Provider value={connection}>{children}</HeraldContext.Provider>;
}

/** What {@link useHerald} gives. */
export interface Herald extends HeraldState {
  /**
   * SENDs. Done when the server has it, which says nothing of a backend behind it: whether none listens is told on
   * `/user/queue/errors`. While the connection is away it fails, or waits with `away: 'wait'`.
   */
  send: (destination: string, body: string, options?: SendOptions) => Promise<void>;
  /** Makes the next attempt now. */
  retryNow: () => void;
}

/** The connection's state, and what can be done with it. */
export function useHerald(): Herald {
  const connection = useConnection();
  const state = useSyncExternalStore(connection.listen, connection.state, served);
  return useMemo(
    () => ({
      ...state,
      send: (destination, body, options) => connection.send(destination, body, options),
      retryNow: connection.retryNow,
    }),
    [connection, state],
  );
}

/** Options of {@link useSubscription}. */
export interface SubscriptionOptions {
  /** Headers of SUBSCRIBE, such as `{ ack: 'client-individual' }`. Read when the subscription begins. */
  headers?: StompHeaders;
  /** Something may have been missed, and will not come: load the state anew. May be a new function at each render. */
  onGap?: (gap: Gap) => void;
}

/** What {@link useSubscription} gives. */
export interface SubscriptionState {
  /** The server has confirmed it: what is sent from now on arrives. */
  joined: boolean;
  /** Why the server does not let this destination be subscribed. */
  refused?: string;
}

/**
 * Subscribes while the component is mounted, through every reconnect. `null`: to nothing. The handler may be a new function
 * at each render.
 */
export function useSubscription(
  destination: string | null,
  handler: MessageHandler,
  options: SubscriptionOptions = {},
): SubscriptionState {
  const connection = useConnection();
  const latest = useRef({ handler, options });
  useEffect(() => {
    latest.current = { handler, options };
  });
  const [refused, setRefused] = useState<string>();
  useEffect(() => {
    setRefused(undefined);
    if (destination === null) return;
    const { headers } = latest.current.options;
    return connection.subscribe(destination, (message) => latest.current.handler(message), {
      headers,
      onGap: (gap) => latest.current.options.onGap?.(gap),
      onRefused: setRefused,
    });
  }, [connection, destination]);
  const { joined } = useSyncExternalStore(connection.listen, connection.state, served);
  return { joined: destination !== null && joined.includes(destination), refused };
}

function useConnection(): HeraldConnection {
  const connection = useContext(HeraldContext);
  if (!connection) throw new Error('useHerald and useSubscription work inside a <HeraldProvider>');
  return connection;
}
