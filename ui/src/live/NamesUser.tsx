/** A word on subscriptions that name a user, as other brokers have them: at Herald they get nothing of that user's. */

import type { Settings } from '../settings';

type Prefixes = Pick<Settings, 'userPrefix' | 'broadcastPrefixes'>;

/** The name, and what follows it, where `destination` has a user's name behind the prefix: `/user/bob/queue/orders`. */
export function namedUser(
  { userPrefix, broadcastPrefixes }: Prefixes,
  destination: string,
): { name: string; path: string } | undefined {
  if (!destination.startsWith(`${userPrefix}/`)) return undefined;
  const rest = destination.slice(userPrefix.length);
  if (broadcastPrefixes.some((prefix) => rest.startsWith(`${prefix}/`))) return undefined;
  const [, name, path] = rest.match(/^\/([^/]+)(\/.+)$/) ?? [];
  return name !== undefined && path !== undefined ? { name, path } : undefined;
}

interface Props {
  settings: Prefixes;
  /** Who is logged in. */
  user: string;
  destinations: readonly string[];
}

/** Explains the first of `destinations` that names a user. */
export function NamesUser({ settings, user, destinations }: Props) {
  const [found] = destinations.flatMap((destination) => namedUser(settings, destination) ?? []);
  if (!found) return null;
  const { userPrefix } = settings;
  const { name, path } = found;
  return (
    <p className="hint" role="status">
      {name === user ? (
        <>
          Your own notifications come on{' '}
          <code>
            {userPrefix}
            {path}
          </code>
          : whoever publishes names the user, and subscribers do not.
        </>
      ) : (
        <>
          Nothing that is sent to <bdi>{name}</bdi> comes on{' '}
          <code>
            {userPrefix}/{name}
            {path}
          </code>
          : <code>{userPrefix}/…</code> is always your own, and other users&apos; notifications cannot be subscribed to.
        </>
      )}
    </p>
  );
}
