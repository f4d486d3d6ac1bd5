// The promise: a page with the hooks can be rendered on a server and taken over in the browser, and a component that suspends
// costs no second session and no message.

import { act, render, screen } from '@testing-library/react';
import { type ReactNode, StrictMode, Suspense, use, useState } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, expect, test, vi } from 'vitest';
import { server } from '../../client/test/server.js';
import { HeraldProvider, useHerald, useSubscription } from '../src/index.js';

afterEach(() => {
  vi.unstubAllGlobals();
  sessionStorage.clear();
});

const pass = (ms = 5) => act(() => vi.advanceTimersByTimeAsync(ms));

function Feed({ children }: { children?: ReactNode }) {
  const { status } = useHerald();
  const [bodies, setBodies] = useState<string[]>([]);
  const { joined } = useSubscription('/queue/a', ({ body }) => setBodies((before) => [...before, body]));
  return (
    <p>
      {[status, joined ? 'joined' : 'open', ...bodies].join(' ')}
      {children}
    </p>
  );
}

function Provider({ children }: { children: ReactNode }) {
  return (
    <HeraldProvider url="ws://h/ws" user="test1" password="test" resume="session">
      {children}
    </HeraldProvider>
  );
}

const page = (
  <Provider>
    <Feed />
  </Provider>
);

test('a server renders it without a connection, and the browser takes it over without a complaint', async () => {
  const complaints = vi.spyOn(console, 'error');
  for (const name of ['window', 'document', 'sessionStorage', 'WebSocket']) vi.stubGlobal(name, undefined);
  const html = renderToString(page);
  vi.unstubAllGlobals();
  expect(html).toBe('<p>idle open</p>');
  expect(server.sockets).toHaveLength(0);

  const host = document.createElement('div');
  host.innerHTML = html;
  const onRecoverableError = vi.fn();
  const root = await act(async () => hydrateRoot(host, page, { onRecoverableError }));
  await pass();
  act(() => server.publish('/queue/a', 'first'));
  expect(host.textContent).toBe('connected joined first');
  expect(onRecoverableError).not.toHaveBeenCalled();
  expect(complaints).not.toHaveBeenCalled();
  act(() => root.unmount());
});

/** What {@link Sleeper} waits for. */
let sleep = Promise.resolve();
let wake = () => {};
const suspend = () => {
  sleep = new Promise((resolve) => {
    wake = resolve;
  });
};

function Sleeper() {
  use(sleep);
  return null;
}

test('what is taken over after the connection stands is no other than what was served', async () => {
  const tree = (isServer: boolean) => (
    <Provider>
      <Suspense>
        {!isServer && <Sleeper />}
        <Feed />
      </Suspense>
    </Provider>
  );
  const host = document.createElement('div');
  host.innerHTML = renderToString(tree(true));
  const onRecoverableError = vi.fn();
  suspend();
  const root = await act(async () => hydrateRoot(host, tree(false), { onRecoverableError }));
  await pass();
  expect(server.sockets).toHaveLength(1);
  expect(host.textContent).toBe('idle open');
  await act(async () => wake());
  await pass();
  expect(host.textContent).toBe('connected joined');
  expect(onRecoverableError).not.toHaveBeenCalled();
  act(() => root.unmount());
});

const trees = {
  inside: (round: number) => (
    <Provider>
      <Suspense fallback="…">
        <Feed>
          <Sleeper key={round} />
        </Feed>
      </Suspense>
    </Provider>
  ),
  outside: (round: number) => (
    <Suspense fallback="…">
      <Provider>
        <Feed />
      </Provider>
      <Sleeper key={round} />
    </Suspense>
  ),
};

test.each([
  ['inside', false],
  ['outside', false],
  ['inside', true],
  ['outside', true],
] as const)('suspended %s the provider, strict mode %j: one session, and no message is lost', async (where, strict) => {
  const tree = (round: number) => (strict ? <StrictMode>{trees[where](round)}</StrictMode> : trees[where](round));
  const text = () => screen.getByRole('paragraph', { hidden: true }).textContent;
  const open = () => server.sockets.filter(({ readyState }) => readyState === 1);
  const publish = (body: string) => act(async () => void server.publish('/queue/a', body));
  // Strict mode mounts twice when the time is over.
  const settle = async () => {
    await pass(1_000);
    await pass(1_000);
  };
  suspend();
  const { rerender } = await act(async () => render(tree(1)));
  await settle();
  expect(screen.getByText('…')).toBeTruthy();
  await act(async () => wake());
  await settle();
  expect(text()).toBe('connected joined');
  await publish('first');

  // It was there, and is hidden for a while: what comes meanwhile is shown then.
  const [session] = open();
  suspend();
  await act(async () => rerender(tree(2)));
  await settle();
  expect(screen.getByText('…')).toBeTruthy();
  await publish('meanwhile');
  await act(async () => wake());
  await settle();
  await publish('last');
  expect(text()).toBe('connected joined first meanwhile last');
  expect(open()).toHaveLength(1);
  expect(open()[0]?.subscriptions).toHaveLength(1);
  // Strict mode mounts again what is shown again.
  if (!strict) expect(open()).toEqual([session]);
});
