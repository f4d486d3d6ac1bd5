/** Which sessions get a notification, by what each of them has subscribed to. Knows REST and no component. */

import type { Api, Notification } from '../api';
import type { Settings } from '../settings';

export interface Reach {
  sessions: { key: string; user: string; instance: string; matches: boolean; why: string }[];
  /** Instances that did not answer. */
  silent: string[];
  /** What has been asked, after the numbers: empty, or "of the first 50 users". */
  asked: string;
}

/** A broadcast asks for the sessions of so many users. */
const USERS = 50;

export async function reachOf(api: Api, settings: Settings, { destination, user }: Notification): Promise<Reach> {
  const online = user ? [user] : await api.users();
  const users = online.slice(0, USERS);
  const own = `${settings.userPrefix}/`;
  const wanted = user
    ? destination.startsWith(own)
      ? destination
      : `${settings.userPrefix}${destination}`
    : destination;
  const answers = await Promise.all(users.map((name) => api.sessions(name)));
  const sessions = answers.flatMap((answer) =>
    answer.sessions.map(({ session, instance, subscriptions }) => {
      const matches = subscriptions.includes(wanted);
      const why = matches ? '' : `does not subscribe to ${wanted}`;
      return { key: `${instance} ${session}`, user: answer.user, instance, matches, why };
    }),
  );
  return {
    sessions: sessions.sort((a, b) => Number(b.matches) - Number(a.matches)),
    silent: [...new Set(answers.flatMap(({ silent }) => silent))],
    asked: online.length > users.length ? ` of the first ${USERS} users` : '',
  };
}
