// The bell in React: a provider for the connection, and a hook for the subscription.

import { HeraldProvider, useHerald, useSubscription } from '@herald/react';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

interface Notification {
  number: number;
  text: string;
}

function Bell() {
  const { status, instance, problem } = useHerald();
  const [all, setAll] = useState<Notification[]>([]);
  const [read, setRead] = useState(0);
  const [missed, setMissed] = useState(false);
  useSubscription('/user/queue/bell', (message) => setAll((before) => [JSON.parse(message.body), ...before]), {
    // Something will not come any more: fetch the list from your backend.
    onGap: () => setMissed(true),
  });
  return (
    <>
      <button id="bell" type="button" onClick={() => setRead(all.length)}>
        🔔 <span id="count">{all.length - read}</span>
      </button>
      <p id="status" role="status">
        {missed && 'Something was missed: reload. '}
        {problem ?? `${status} ${instance ?? ''}`}
      </p>
      <ul id="list">
        {all.map(({ number, text }) => (
          <li key={number}>{text}</li>
        ))}
      </ul>
    </>
  );
}

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <HeraldProvider url={`ws://${location.host}/ws`} user="test1" password="test">
      <Bell />
    </HeraldProvider>,
  );
}
