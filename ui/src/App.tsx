/** Who is logged in, and the two pages that follow from it. The password lives in this page's memory, and ends with it. */

import { HeraldProvider } from '@herald/react';
import { useState } from 'react';
import type { Credentials } from './api';
import { Bar } from './Bar';
import { Desk } from './Desk';
import { Login } from './Login';
import type { Settings } from './settings';

export function App({ settings }: { settings: Settings }) {
  const [credentials, setCredentials] = useState<Credentials>();
  const [problem, setProblem] = useState<string>();
  if (!credentials) {
    const enter = (given: Credentials) => {
      setProblem(undefined);
      setCredentials(given);
    };
    return (
      <>
        <Bar version={settings.version} state="off" text="Not connected" />
        <Login problem={problem} onEnter={enter} />
      </>
    );
  }
  const leave = (why?: string) => {
    setProblem(why);
    setCredentials(undefined);
  };
  return (
    <HeraldProvider url={settings.wsUrl} {...credentials}>
      <Desk settings={settings} credentials={credentials} onLeave={leave} />
    </HeraldProvider>
  );
}
