/** The form before everything else. */

import { Button, PasswordInput, TextInput } from '@mantine/core';
import type { FormEvent } from 'react';
import type { Credentials } from './api';

export function Login({ problem, onEnter }: { problem?: string; onEnter: (credentials: Credentials) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onEnter({ user: `${data.get('user')}`, password: `${data.get('password')}` });
  };
  return (
    <main id="main" tabIndex={-1}>
      {problem && (
        <p className="notice" role="alert">
          {problem}
        </p>
      )}
      <section className="card login" aria-labelledby="login-title">
        <h2 id="login-title">Log in</h2>
        <p className="muted">Notifications arrive over STOMP on a WebSocket of this instance.</p>
        <form onSubmit={submit}>
          <TextInput
            label="User"
            name="user"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            maxLength={128}
            required
            withAsterisk={false}
            autoFocus
          />
          <PasswordInput
            label="Password"
            name="password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            visibilityToggleButtonProps={{ 'aria-label': 'Show or hide what is typed' }}
          />
          <Button type="submit" mt={4}>
            Connect
          </Button>
        </form>
      </section>
    </main>
  );
}
