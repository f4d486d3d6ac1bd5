/** Sends a notification to everyone or one user, and says which sessions get it. */

import { Button } from '@mantine/core';
import { useState } from 'react';
import type { Accepted, Api, Explanation, Notification } from '../api';
import { PublishForm } from '../publish/PublishForm';
import type { Settings } from '../settings';
import type { Sent } from './Recent';
import { rowsOf } from './reach';

/** Rows of the answer. */
const SHOWN = 50;

interface Props {
  api: Api;
  settings: Settings;
  onSent: (sent: Sent) => void;
}

export function Send({ api, settings, onSent }: Props) {
  const [explanation, setExplanation] = useState<Explanation>();
  const [problem, setProblem] = useState('');
  const look = async (notification?: Notification) => {
    if (!notification) return;
    try {
      setExplanation(await api.explain(notification));
      setProblem('');
    } catch (error) {
      setExplanation(undefined);
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
        {explanation && <Reach explanation={explanation} />}
      </div>
    </section>
  );
}

function Reach({ explanation }: { explanation: Explanation }) {
  const { destination, reached_count: reached, missed_count: missed, silent } = explanation;
  return (
    <>
      <h3>
        {reached === 0 ? 'Nobody gets this' : `${reached} ${reached === 1 ? 'message' : 'messages'}`} on{' '}
        <bdi>{destination}</bdi>
        {missed > 0 && `, ${missed} ${missed === 1 ? 'session' : 'sessions'} without`}
      </h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section className="table" aria-label="Who gets it" tabIndex={0}>
        <table id="reach">
          <thead>
            <tr>
              <th scope="col">User</th>
              <th scope="col">Instance</th>
              <th scope="col">Gets it</th>
            </tr>
          </thead>
          <tbody>
            {rowsOf(explanation)
              .slice(0, SHOWN)
              .map(({ key, user, instance, reached, words }) => (
                <tr key={key}>
                  <td data-label="User">{user}</td>
                  <td data-label="Instance">{instance}</td>
                  <td data-label="Gets it">
                    <span className="pill" data-kind={reached ? undefined : 'wait'}>
                      {reached ? 'yes' : 'no'}
                    </span>{' '}
                    {words}
                  </td>
                </tr>
              ))}
          </tbody>
        </table>
      </section>
      {silent.length > 0 && <p className="muted">Without an answer: {silent.join(', ')}.</p>}
    </>
  );
}
