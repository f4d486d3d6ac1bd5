/** Who is online, one user's sessions on all instances, and the way to end them. */

import { Button, TextInput } from '@mantine/core';
import { Fragment, useCallback, useEffect, useState } from 'react';
import type { Api, UserSessions } from '../api';
import { ago } from '../format';

const EVERY_MS = 3_000;
const SHOWN = 100;

export function Users({ api }: { api: Api }) {
  const [users, setUsers] = useState<string[]>([]);
  const [wanted, setWanted] = useState('');
  const [chosen, setChosen] = useState<string>();
  const [found, setFound] = useState<UserSessions>();
  const [result, setResult] = useState('');
  const [sure, setSure] = useState(false);

  const load = useCallback(async () => {
    try {
      setUsers(await api.users());
      setFound(chosen === undefined ? undefined : await api.sessions(chosen));
      setResult((words) => (words.startsWith('No answer') ? '' : words));
    } catch (error) {
      setResult(`No answer: ${error instanceof Error ? error.message : error}`);
    }
  }, [api, chosen]);
  useEffect(() => {
    void load();
    const timer = setInterval(load, EVERY_MS);
    return () => clearInterval(timer);
  }, [load]);

  const choose = (user: string) => {
    setSure(false);
    setResult('');
    setFound(undefined);
    setChosen(user);
  };
  const disconnect = async (user: string) => {
    if (!sure) return setSure(true);
    setSure(false);
    try {
      await api.disconnect(user);
      setResult(`Every instance has been told to disconnect ${user}.`);
      await load();
    } catch (error) {
      setResult(error instanceof Error ? error.message : `${error}`);
    }
  };
  const matching = users.filter((user) => user.includes(wanted));
  return (
    <section className="card half" aria-labelledby="users-title">
      <div className="head">
        <h2 id="users-title">Users and sessions</h2>
        <span className="count">{users.length.toLocaleString()} online</span>
      </div>
      <TextInput
        aria-label="Find a user"
        placeholder="Find a user"
        value={wanted}
        onChange={(event) => setWanted(event.currentTarget.value)}
        mb="xs"
      />
      <ul className="people choice" aria-label="Users online">
        {matching.slice(0, SHOWN).map((user) => (
          <li key={user} className={user === chosen ? 'self' : undefined}>
            <button type="button" aria-pressed={user === chosen} onClick={() => choose(user)}>
              {user}
            </button>
          </li>
        ))}
        {matching.length > SHOWN && <li>… and {matching.length - SHOWN} more</li>}
      </ul>
      {chosen !== undefined && found && (
        <>
          <div className="head sessions-head">
            <h3>
              <bdi>{chosen}</bdi>: {found.sessions.length} {found.sessions.length === 1 ? 'session' : 'sessions'}
            </h3>
            <Button
              variant={sure ? 'filled' : 'default'}
              color={sure ? 'red.9' : undefined}
              size="compact-sm"
              onClick={() => disconnect(chosen)}
            >
              {sure ? (
                <>
                  Really disconnect <bdi>{chosen}</bdi>
                </>
              ) : (
                'Disconnect'
              )}
            </Button>
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
          <section className="table" aria-label={`Sessions of ${chosen}`} tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Instance</th>
                  <th scope="col">Address</th>
                  <th scope="col">For</th>
                  <th scope="col">Subscriptions</th>
                </tr>
              </thead>
              <tbody>
                {found.sessions.map(({ session, instance, address, since, subscriptions }) => (
                  <tr key={session}>
                    <td data-label="Instance" title={session}>
                      {instance}
                    </td>
                    <td data-label="Address">{address}</td>
                    <td data-label="For" className="short">
                      {ago(since, Date.now())}
                    </td>
                    <td data-label="Subscriptions">
                      {subscriptions.map((destination, at) => (
                        // biome-ignore lint/suspicious/noArrayIndexKey: a session may subscribe twice to one destination
                        <Fragment key={`${at} ${destination}`}>
                          {at > 0 && ' '}
                          <code>{destination}</code>
                        </Fragment>
                      ))}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
          {found.silent.length > 0 && <p className="muted">Without an answer: {found.silent.join(', ')}.</p>}
        </>
      )}
      <output className="result">{result}</output>
    </section>
  );
}
