/** A SEND from the page, done when its RECEIPT comes. */

import { useHerald, useSubscription } from '@herald/react';
import { Button, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import type { Settings } from '../settings';

export function Chat({ settings }: { settings: Settings }) {
  const { send, status } = useHerald();
  const destination = `${settings.applicationPrefix}/message`;
  const [result, setResult] = useState<{ words: string; kind?: 'good' | 'bad' }>({ words: '' });
  // What a backend, or Herald itself, could not do with a SEND of this session.
  useSubscription(`${settings.userPrefix}/queue/errors`, ({ body }) =>
    setResult({ words: errorWords(body), kind: 'bad' }),
  );
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const message = `${new FormData(form).get('message')}`;
    try {
      await send(destination, message);
      form.reset();
      setResult({ words: 'Sent.', kind: 'good' });
    } catch (error) {
      setResult({ words: error instanceof Error ? error.message : `${error}`, kind: 'bad' });
    }
  };
  return (
    <section className="card" aria-labelledby="chat-title">
      <h2 id="chat-title">Chat</h2>
      <p className="muted">
        A STOMP SEND to <code>{destination}</code>
      </p>
      <form className="row" onSubmit={submit}>
        <TextInput
          className="grow"
          name="message"
          aria-label="Message"
          placeholder="Say something"
          autoComplete="off"
          required
        />
        <Button type="submit" disabled={status !== 'connected'}>
          Send
        </Button>
      </form>
      <output className="result" data-kind={result.kind}>
        {result.words}
      </output>
    </section>
  );
}

function errorWords(body: string): string {
  try {
    const { destination = '', message = 'the request failed' } = JSON.parse(body);
    return `${destination}: ${message}`;
  } catch {
    return body;
  }
}
