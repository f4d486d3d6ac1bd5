/** Who is online in the whole cluster: asked for at each connect, then told of every change. */

import { useHerald, useSubscription } from '@herald/react';
import { useEffect, useState } from 'react';
import type { Settings } from '../settings';

const SHOWN = 500;

export function Online({ settings, user }: { settings: Settings; user: string }) {
  const { send, session } = useHerald();
  const [users, setUsers] = useState<string[]>();
  const take = ({ body }: { body: string }) => {
    const list = parseUsers(body);
    if (list) setUsers(list);
  };
  const answer = `${settings.userPrefix}/queue/init/users`;
  useSubscription(settings.listDestination || null, take);
  const { joined } = useSubscription(answer, take);
  const request = `${settings.applicationPrefix}/init/users`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each session, when the answer's way is open
  useEffect(() => {
    // A connection lost meanwhile asks again when it is back.
    if (joined) send(request, '').catch(() => {});
  }, [joined, session, request]);
  const rest = (users?.length ?? 0) - SHOWN;
  return (
    <section className="card" aria-labelledby="online-title">
      <div className="head">
        <h2 id="online-title">Online</h2>
        <span className="count">{users && `${users.length.toLocaleString()} in the cluster`}</span>
      </div>
      <ul className="people" id="online">
        {users?.slice(0, SHOWN).map((name) => (
          <li key={name} className={name === user ? 'self' : undefined}>
            {name}
          </li>
        ))}
        {rest > 0 && <li>… and {rest} more</li>}
      </ul>
    </section>
  );
}

export function parseUsers(body: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(body);
    return Array.isArray(list) ? list.map(String) : undefined;
  } catch {
    return undefined;
  }
}
