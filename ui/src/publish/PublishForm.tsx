/** POST api/v1/notifications, as a form. */

import { Button, PasswordInput, Textarea, TextInput } from '@mantine/core';
import { type FormEvent, type ReactNode, useState } from 'react';
import type { Accepted, Api, Notification } from '../api';

interface Props {
  api: Api;
  destination: string;
  /** Whether an API key may take the place of the user's password. */
  withKey?: boolean;
  /** Whether to say that nobody listens to what was published. Herald tells it to operators alone. */
  tellsUnheard?: boolean;
  resultId?: string;
  onAccepted?: (sent: Notification, accepted: Accepted) => void;
  children?: (read: () => Notification | undefined) => ReactNode;
}

export function PublishForm({
  api,
  destination,
  withKey = false,
  tellsUnheard = false,
  resultId,
  onAccepted,
  children,
}: Props) {
  const [fields, setFields] = useState<Notification>({ destination, user: '', payload: '{\n  "hello": "world"\n}' });
  const [key, setKey] = useState('');
  const [result, setResult] = useState<{ words: string; kind?: 'good' | 'bad' }>({ words: '' });
  const [busy, setBusy] = useState(false);
  const set = (name: keyof Notification) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [name]: value }));
  };
  const read = (): Notification | undefined => {
    try {
      JSON.parse(fields.payload);
    } catch (error) {
      setResult({ words: `The payload is not JSON: ${error instanceof Error ? error.message : error}`, kind: 'bad' });
      return undefined;
    }
    return { ...fields, user: fields.user.trim() };
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const notification = read();
    if (!notification) return;
    setBusy(true);
    try {
      const accepted = await api.publish(notification, key);
      const words = `202, id ${accepted.id}`;
      setResult({ words, kind: 'good' });
      onAccepted?.(notification, accepted);
      if (tellsUnheard && (await isUnheard(api, notification))) {
        setResult({ words: `${words}. Nobody listens to this now.`, kind: 'good' });
      }
    } catch (error) {
      setResult({ words: error instanceof Error ? error.message : `${error}`, kind: 'bad' });
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="fields" onSubmit={submit}>
      <TextInput
        label="Destination"
        name="destination"
        value={fields.destination}
        onChange={set('destination')}
        spellCheck={false}
        autoCapitalize="none"
        maxLength={1024}
        required
        withAsterisk={false}
      />
      <TextInput
        label="Only to this user"
        name="user"
        placeholder="everyone"
        value={fields.user}
        onChange={set('user')}
        spellCheck={false}
        autoCapitalize="none"
        maxLength={128}
      />
      <Textarea
        label="Payload (JSON)"
        name="payload"
        value={fields.payload}
        onChange={set('payload')}
        rows={4}
        spellCheck={false}
        required
        withAsterisk={false}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
      />
      {withKey && (
        <details className="more">
          <summary>Credentials</summary>
          <PasswordInput
            label="API key"
            placeholder="none: the user's own password"
            autoComplete="off"
            value={key}
            onChange={(event) => setKey(event.currentTarget.value)}
            visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the key' }}
          />
        </details>
      )}
      <div className="row">
        <Button type="submit" loading={busy}>
          Publish
        </Button>
        {children?.(read)}
      </div>
      <output className="result" id={resultId} data-kind={result.kind}>
        {result.words}
      </output>
    </form>
  );
}

/** Whether no session gets it. Without an answer, or if an instance is silent, nobody knows. */
async function isUnheard(api: Api, notification: Notification): Promise<boolean> {
  try {
    const { reached_count, silent } = await api.explain(notification);
    return reached_count === 0 && silent.length === 0;
  } catch {
    // It was published all the same.
    return false;
  }
}
