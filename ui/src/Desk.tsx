/** Everything after the login: what is received stays when the view changes, and while the connection is away. */

import { useHerald } from '@herald/react';
import { Button } from '@mantine/core';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import { Api, type Credentials } from './api';
import { Bar, type BarState } from './Bar';
import { useFeed } from './feed';
import { LiveView } from './live/LiveView';
import { OperatorView } from './operator/OperatorView';
import type { Settings } from './settings';

interface Props {
  settings: Settings;
  credentials: Credentials;
  onLeave: (why?: string) => void;
}

type View = 'live' | 'operator';
const VIEWS: [View, string][] = [
  ['live', 'Live'],
  ['operator', 'Operator'],
];
const PANELS = { live: 'desk', operator: 'operator' };

export function Desk({ settings, credentials, onLeave }: Props) {
  const herald = useHerald();
  const [view, setView] = useState<View>('live');
  const [errors, setErrors] = useState<string>();
  const [seen, setSeen] = useState<string>();
  const api = useMemo(() => new Api(settings.base, credentials), [settings.base, credentials]);
  const feed = useFeed();
  const entered = useRef(false);
  if (herald.status === 'connected') entered.current = true;

  const { status, problem } = herald;
  useEffect(() => {
    if (status === 'ended') onLeave(problem);
  }, [status, problem, onLeave]);

  // A loss is no error as long as the page comes back by itself: the bar tells. What was refused stays until it is read.
  const notice = errors ?? (status === 'connected' && problem !== seen ? problem : undefined);
  const dismiss = () => {
    setErrors(undefined);
    setSeen(problem);
  };
  const { state, text, countdown } = useStateWords(credentials.user, entered.current);
  return (
    <>
      <Bar
        version={settings.version}
        state={state}
        text={text}
        countdown={countdown}
        views={<Views view={view} onView={setView} />}
      >
        {status === 'reconnecting' && (
          <Button variant="default" size="xs" h={34} px="sm" onClick={herald.retryNow}>
            Try now
          </Button>
        )}
        <Button variant="default" size="xs" h={34} px="sm" id="logout" onClick={() => onLeave()}>
          Log out
        </Button>
      </Bar>
      <main id="main" tabIndex={-1}>
        {notice && (
          <div className="notice">
            <span role="alert">{notice}</span>
            <Button variant="default" size="compact-sm" onClick={dismiss}>
              Dismiss
            </Button>
          </div>
        )}
        {entered.current && (
          <LiveView
            hidden={view !== 'live'}
            api={api}
            settings={settings}
            user={credentials.user}
            feed={feed}
            onError={setErrors}
          />
        )}
        {view === 'operator' && <OperatorView api={api} settings={settings} user={credentials.user} feed={feed} />}
      </main>
    </>
  );
}

/** Tabs by the keyboard as WAI-ARIA asks: one stop, arrows between. */
function Views({ view, onView }: { view: View; onView: (view: View) => void }) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const next = view === 'live' ? 'operator' : 'live';
    onView(next);
    event.currentTarget.querySelector<HTMLElement>(`#view-${next}`)?.focus();
  };
  return (
    <div className="views" role="tablist" aria-label="View" onKeyDown={onKeyDown}>
      {VIEWS.map(([name, title]) => (
        <button
          key={name}
          id={`view-${name}`}
          type="button"
          role="tab"
          aria-selected={view === name}
          aria-controls={view === name ? PANELS[name] : undefined}
          tabIndex={view === name ? 0 : -1}
          onClick={() => onView(name)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}

/** Where the connection stands, in words; counts down to the next attempt. */
function useStateWords(user: string, entered: boolean): { state: BarState; text: string; countdown?: string } {
  const { status, instance, retryAt } = useHerald();
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (retryAt === undefined) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, [retryAt]);
  switch (status) {
    case 'connected':
      return { state: 'on', text: `${user}${instance ? ` on ${instance}` : ''}` };
    case 'reconnecting': {
      if (retryAt === undefined) return { state: 'wait', text: 'Reconnecting…' };
      const left = Math.max(0, (retryAt - now) / 1000).toFixed(1);
      return { state: 'wait', text: 'Connection lost, trying again', countdown: ` in ${left} s` };
    }
    case 'ended':
      return { state: 'bad', text: 'Not connected' };
    default:
      return { state: 'wait', text: entered ? 'Reconnecting…' : 'Connecting…' };
  }
}
