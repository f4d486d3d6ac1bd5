/** Everything after the login: what is received stays when the view changes, and while the connection is away. */

import { useHerald } from '@herald/react';
import { Button } from '@mantine/core';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import { Api } from './api';
import { Bar, type BarState } from './Bar';
import { useFeed } from './feed';
import type { Identity } from './identity';
import { LiveView } from './live/LiveView';
import type { SignIn } from './oidc';
import { OperatorView } from './operator/OperatorView';
import { useScopes } from './rights';
import type { Settings } from './settings';

interface Props {
  settings: Settings;
  identity: Identity;
  /** The same, where it is a provider's. */
  signIn?: SignIn;
  onLeave: (why?: string) => void;
}

type View = 'live' | 'operator';
const VIEWS: [View, string][] = [
  ['live', 'Live'],
  ['operator', 'Operator'],
];
const PANELS = { live: 'desk', operator: 'operator' };

const isOver = ({ host }: SignIn) => `Your sign-in with ${host} is over. Sign in again.`;

export function Desk({ settings, identity, signIn, onLeave }: Props) {
  const herald = useHerald();
  const [chosen, setView] = useState<View>('live');
  const [errors, setErrors] = useState<string>();
  const [seen, setSeen] = useState<string>();
  const [endsSoon, setEndsSoon] = useState(false);
  const api = useMemo(() => new Api(settings.base, identity.authorization), [settings.base, identity]);
  const feed = useFeed();
  // One view needs no tabs.
  const mayOperate = useScopes(api, herald.session).has('admin');
  const view = mayOperate ? chosen : 'live';
  const entered = useRef(false);
  if (herald.status === 'connected') entered.current = true;

  const { status, problem, code } = herald;
  const user = herald.user ?? identity.user ?? '';
  useEffect(() => {
    if (status !== 'ended') return;
    if (!signIn || code !== 4401) onLeave(problem);
    else if (problem === 'token expired') onLeave(isOver(signIn));
    else if (entered.current) onLeave(problem);
    else onLeave(`Herald does not take the token of ${signIn.host}. Its log has the reason.`);
  }, [status, problem, code, signIn, onLeave]);
  useEffect(() => {
    if (!signIn) return;
    signIn.isConnected = status === 'connected';
    signIn.onEnd = (end) => {
      if (end === 'soon') setEndsSoon(true);
      else onLeave(isOver(signIn));
    };
  }, [signIn, status, onLeave]);
  const signInAgain = () => signIn?.again().catch((error: Error) => setErrors(error.message));
  const logOut = () => {
    onLeave();
    // Without a way to the provider there is nothing left to do here.
    signIn?.signOut().catch(() => undefined);
  };

  // A loss is no error as long as the page comes back by itself: the bar tells. What was refused stays until it is read.
  const notice = errors ?? (status === 'connected' && problem !== seen ? problem : undefined);
  const dismiss = () => {
    setErrors(undefined);
    setSeen(problem);
  };
  const { state, text, countdown } = useStateWords(user, entered.current);
  return (
    <>
      <Bar
        version={settings.version}
        state={state}
        text={text}
        countdown={countdown}
        views={mayOperate && <Views view={view} onView={setView} />}
      >
        {status === 'reconnecting' && (
          <Button variant="default" size="xs" h={34} px="sm" onClick={herald.retryNow}>
            Try now
          </Button>
        )}
        <Button variant="default" size="xs" h={34} px="sm" id="logout" onClick={logOut}>
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
        {endsSoon && (
          <div className="notice">
            <span role="alert">Your sign-in ends soon, and what stands here goes with it.</span>
            <Button variant="default" size="compact-sm" onClick={signInAgain}>
              Sign in again
            </Button>
          </div>
        )}
        {entered.current && (
          <LiveView
            hidden={view !== 'live'}
            mayOperate={mayOperate}
            api={api}
            settings={settings}
            user={user}
            feed={feed}
            onError={setErrors}
          />
        )}
        {view === 'operator' && <OperatorView api={api} settings={settings} user={user} feed={feed} />}
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
