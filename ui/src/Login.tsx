/** What stands before everything else: the form, or the way to the provider. */

import { Button, Checkbox, PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import type { Credentials } from './api';
import type { Provider } from './oidc';

interface Props {
  problem?: string;
  provider?: Provider;
  /** Who tried last: a wrong password does not cost the name. */
  user?: string;
  /** `stay`: through a reload of this tab. */
  onEnter: (credentials: Credentials, stay: boolean) => void;
  onProblem: (words?: string) => void;
}

export function Login({ problem, provider, user, onEnter, onProblem }: Props) {
  const [byPassword, setByPassword] = useState(!provider);
  return (
    <main id="main" tabIndex={-1}>
      {problem && (
        <p className="notice" role="alert">
          {problem}
        </p>
      )}
      <section className="card login" aria-labelledby="login-title">
        <h2 id="login-title">{provider ? 'Sign in' : 'Log in'}</h2>
        <p className="muted">Notifications arrive over STOMP on a WebSocket of this instance.</p>
        {provider && <SignInButton provider={provider} onProblem={onProblem} />}
        {byPassword ? (
          <PasswordForm user={user} onEnter={onEnter} />
        ) : (
          <Button variant="subtle" size="compact-sm" onClick={() => setByPassword(true)}>
            Use a password instead
          </Button>
        )}
      </section>
    </main>
  );
}

function SignInButton({ provider, onProblem }: { provider: Provider; onProblem: (words?: string) => void }) {
  const [isAsked, setIsAsked] = useState(false);
  const begin = async () => {
    onProblem(undefined);
    setIsAsked(true);
    try {
      await provider.begin();
    } catch (error) {
      onProblem((error as Error).message);
    } finally {
      setIsAsked(false);
    }
  };
  return (
    <Button id="sign-in" fullWidth mb={14} disabled={isAsked} onClick={begin}>
      {isAsked ? `Asking ${provider.host}…` : `Sign in with ${provider.host}`}
    </Button>
  );
}

function PasswordForm({ user, onEnter }: Pick<Props, 'user' | 'onEnter'>) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onEnter({ user: `${data.get('user')}`, password: `${data.get('password')}` }, data.get('stay') !== null);
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label="User"
        name="user"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        maxLength={255}
        defaultValue={user}
        required
        withAsterisk={false}
        autoFocus={!user}
      />
      <PasswordInput
        label="Password"
        name="password"
        autoComplete="current-password"
        required
        withAsterisk={false}
        autoFocus={Boolean(user)}
        visibilityToggleButtonProps={{ 'aria-label': 'Show or hide what is typed' }}
      />
      <Checkbox name="stay" size="xs" label="Stay logged in when this tab is loaded again" />
      <Button type="submit" mt={4}>
        Connect
      </Button>
    </form>
  );
}
