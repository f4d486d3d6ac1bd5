/** Sends a notification to everyone or one user, and says which sessions get it. */

import { Button } from '@mantine/core';
import { useState } from 'react';
import type { Accepted, Api, Notification } from '../api';
import { PublishForm } from '../publish/PublishForm';
import type { Settings } from '../settings';
import type { Sent } from './Recent';
import { type Reach, reachOf } from './reach';

interface Props {
  api: Api;
  settings: Settings;
  onSent: (sent: Sent) => void;
}

export function Send({ api, settings, onSent }: Props) {
  const [reach, setReach] = useState<Reach>();
  const [problem, setProblem] = useState('');
  const look = async (notification?: Notification) => {
    if (!notification) return;
    try {
      setReach(await reachOf(api, settings, notification));
      setProblem('');
    } catch (error) {
      setReach(undefined);
      setProblem(error instanceof Error ? error.message : `${error}`);
    }
  };
  const accepted = (notification: Notification, { id, trace_id }: Accepted) => {
    onSent({ id, traceId: trace_id, at: Date.now(), ...notification });
    void look(notification);
  };
  return (
    <section className="card half" aria-labelledby="send-title">
      <h2 id="send-title">Send a notification</h2>
      <p className="muted">To everyone who listens to the destination, or to one user's sessions.</p>
      <PublishForm api={api} destination={`${settings.broadcastPrefix}/message`} onAccepted={accepted}>
        {(read) => (
          <Button variant="default" onClick={() => look(read())}>
            Who would get it?
          </Button>
        )}
      </PublishForm>
      <div aria-live="polite">
        {problem && (
          <p className="result" data-kind="bad">
            {problem}
          </p>
        )}
        {reach && <ReachTable reach={reach} />}
      </div>
    </section>
  );
}

function ReachTable({ reach }: { reach: Reach }) {
  const got = reach.sessions.filter(({ matches }) => matches).length;
  return (
    <>
      <h3>
        {got} of {reach.sessions.length} {reach.sessions.length === 1 ? 'session' : 'sessions'}
        {reach.asked}
      </h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table" aria-label="Who gets it" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">User</th>
              <th scope="col">Instance</th>
              <th scope="col">Gets it</th>
            </tr>
          </thead>
          <tbody>
            {reach.sessions.slice(0, 50).map(({ key, user, instance, matches, why }) => (
              <tr key={key}>
                <td>{user}</td>
                <td>{instance}</td>
                <td>
                  <span className="pill" data-kind={matches ? undefined : 'wait'}>
                    {matches ? 'yes' : 'no'}
                  </span>{' '}
                  {why}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {reach.silent.length > 0 && <p className="muted">Without an answer: {reach.silent.join(', ')}.</p>}
    </>
  );
}
