// The promise: the hooks follow the connection and the component: subscribed while mounted, told of every change, and one
// connection however often React mounts.

import { act, render, screen } from '@testing-library/react';
import { StrictMode, useState } from 'react';
import { expect, test, vi } from 'vitest';
import { server } from '../../client/test/server.js';
import { HeraldProvider, useHerald, useSubscription } from '../src/index.js';

const pass = (ms = 5) => act(() => vi.advanceTimersByTimeAsync(ms));

function Feed({ destination }: { destination: string | null }) {
  const { status, instance } = useHerald();
  const [bodies, setBodies] = useState<string[]>([]);
  const { joined, refused } = useSubscription(destination, (message) => setBodies([...bodies, message.body]));
  return <p>{[status, instance, joined ? 'joined' : 'open', refused, ...bodies].filter(Boolean).join(' ')}</p>;
}

function page(destination: string | null, password = 'test') {
  return (
    <StrictMode>
      <HeraldProvider url="ws://h/ws" user="test1" password={password}>
        <Feed destination={destination} />
      </HeraldProvider>
    </StrictMode>
  );
}

const text = () => screen.getByRole('paragraph').textContent;

test('a message shows, through a loss and in the newest handler', async () => {
  render(page('/queue/a'));
  expect(text()).toBe('connecting open');
  await pass();
  expect(text()).toBe('connected one joined');
  act(() => server.publish('/queue/a', 'first'));
  act(() => server.publish('/queue/a', 'second'));
  expect(text()).toBe('connected one joined first second');
  await act(async () => server.last.end(1006));
  expect(text()).toBe('reconnecting one open first second');
  await pass(1_000);
  act(() => server.publish('/queue/a', 'third'));
  expect(text()).toBe('connected one joined first second third');
});

test('another destination takes the place of the old one; null is none', async () => {
  const { rerender } = render(page('/queue/a'));
  await pass();
  rerender(page('/queue/b'));
  expect(server.last.frames.slice(-2).map((frame) => frame.command)).toEqual(['UNSUBSCRIBE', 'SUBSCRIBE']);
  await pass();
  expect(text()).toBe('connected one joined');
  rerender(page(null));
  expect(server.last.frames.at(-1)?.command).toBe('UNSUBSCRIBE');
  expect(text()).toBe('connected one open');
});

test('a refusal is told where it was asked for', async () => {
  server.refuses = '/elsewhere/x';
  render(page('/elsewhere/x'));
  await pass(2_000);
  expect(text()).toBe('connected one open /elsewhere/x: no such prefix');
});

test('in strict mode there is one session in the end, and none after unmount', async () => {
  const { unmount } = render(page('/queue/a'));
  await pass();
  expect(server.sockets.filter((socket) => socket.readyState === 1)).toHaveLength(1);
  unmount();
  await pass(60_000);
  expect(server.sockets.filter((socket) => socket.readyState === 1)).toHaveLength(0);
});

test('other credentials are another connection', async () => {
  const { rerender } = render(page('/queue/a', 'wrong'));
  await pass();
  expect(text()).toBe('ended open');
  rerender(page('/queue/a'));
  await pass();
  expect(text()).toBe('connected one joined');
});

test('the browser back online means: try now', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
  render(page('/queue/a'));
  await pass();
  await act(async () => server.last.end(1006));
  await pass();
  expect(text()).toContain('reconnecting');
  act(() => void window.dispatchEvent(new Event('online')));
  await pass();
  expect(text()).toContain('connected');
});

test('outside a provider the hooks say what is missing', () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  expect(() => render(<Feed destination="/queue/a" />)).toThrow('HeraldProvider');
});

function Bell({ tell }: { tell: (words: string) => void }) {
  useSubscription('/queue/a', () => {}, { onGap: ({ reason }) => tell(`bell: ${reason}`) });
  return null;
}

test('components that listen to one destination share its SUBSCRIBE; a gap is told to the newest functions', async () => {
  const told: string[] = [];
  const tree = (round: number) => {
    const tell = (words: string) => void told.push(`${round} ${words}`);
    const getToken = () => {
      tell('token');
      return 'token';
    };
    return (
      <HeraldProvider
        url="ws://h/ws"
        getToken={getToken}
        onGap={({ destination }) => tell(`page: ${destination}`)}
        onReconnect={({ gaps }) => tell(`back: ${gaps.length}`)}
      >
        <Bell tell={tell} />
        <Feed destination="/queue/a" />
      </HeraldProvider>
    );
  };
  const { rerender } = render(tree(1));
  await pass();
  expect(server.last.subscribed).toEqual(['/queue/a']);
  rerender(tree(2));
  await act(async () => server.restart());
  await pass(1_000);
  expect(told).toEqual(['1 token', '2 token', '2 bell: epoch-changed', '2 page: /queue/a', '2 back: 1']);
});

function Say() {
  const { send } = useHerald();
  return <button type="button" onClick={() => send('/app/x', 'waited', { away: 'wait' })} />;
}

test('a send may wait for the connection', async () => {
  render(
    <HeraldProvider url="ws://h/ws" user="test1" password="test">
      <Say />
    </HeraldProvider>,
  );
  await pass();
  await act(async () => server.drop());
  act(() => screen.getByRole('button').click());
  await pass(1_000);
  expect(server.sent.map(({ body }) => body)).toEqual(['waited']);
});

test('in strict mode, too, a page that is loaded anew resumes', async () => {
  const load = () =>
    render(
      <StrictMode>
        <HeraldProvider url="ws://h/ws" user="test1" password="test" resume="session">
          <Feed destination="/queue/a" />
        </HeraldProvider>
      </StrictMode>,
    );
  const { unmount } = load();
  await pass();
  window.dispatchEvent(new Event('pagehide'));
  const saved = sessionStorage.getItem('herald ws://h/ws test1') ?? '';
  unmount();
  sessionStorage.setItem('herald ws://h/ws test1', saved);
  server.publish('/queue/a', 'missed');
  load();
  await pass();
  expect(text()).toBe('connected one joined missed');
  sessionStorage.clear();
});
