/** Who is logged in, and the two pages that follow from it. Passwords and tokens live in this page's memory, and end with it, but for a
 *  password that its user wants to outlive a reload. */

import { HeraldProvider } from '@herald/react';
import { useCallback, useEffect, useState } from 'react';
import type { Credentials } from './api';
import { Bar } from './Bar';
import { Desk } from './Desk';
import { byPassword, type Identity } from './identity';
import { keep, kept } from './kept';
import { Login } from './Login';
import type { Provider, SignIn } from './oidc';
import type { Settings } from './settings';

interface Props {
  settings: Settings;
  /** Where users sign in, if not with a password alone. */
  provider?: Provider;
  /** Somebody comes back from there. */
  arrival?: Promise<SignIn>;
}

export function App({ settings, provider, arrival }: Props) {
  const [identity, setIdentity] = useState<Identity | undefined>(() => {
    const before = provider ? undefined : kept();
    return before && byPassword(before);
  });
  const [lastUser, setLastUser] = useState<string>();
  const [signIn, setSignIn] = useState<SignIn>();
  const [problem, setProblem] = useState<string>();
  const [arrives, setArrives] = useState(arrival !== undefined);
  const leave = useCallback((why?: string) => {
    setProblem(why);
    keep(undefined);
    setIdentity(undefined);
    setSignIn(undefined);
  }, []);
  useEffect(() => {
    arrival
      ?.then(
        (found) => {
          setSignIn(found);
          setIdentity(found);
        },
        (error: Error) => setProblem(error.message),
      )
      .finally(() => setArrives(false));
  }, [arrival]);
  if (!identity) {
    const enter = (credentials: Credentials, stay: boolean) => {
      setProblem(undefined);
      setLastUser(credentials.user);
      keep(stay ? credentials : undefined);
      setIdentity(byPassword(credentials));
    };
    return (
      <>
        <Bar
          version={settings.version}
          state={arrives ? 'wait' : 'off'}
          text={arrives ? 'Signing in…' : 'Not connected'}
        />
        {arrives ? (
          <main id="main" tabIndex={-1} />
        ) : (
          <Login
            problem={problem}
            provider={provider}
            user={problem && lastUser}
            onEnter={enter}
            onProblem={setProblem}
          />
        )}
      </>
    );
  }
  const { user, password, getToken } = identity;
  return (
    <HeraldProvider url={settings.wsUrl} user={user} password={password} getToken={getToken}>
      <Desk settings={settings} identity={identity} signIn={signIn} onLeave={leave} />
    </HeraldProvider>
  );
}
