// The promise: the page says where it stands: before the login, after a wrong password, while it comes back, and after an
// operator's word; and a loss that heals by itself is no error. The operator's view is there for who may, and for nobody else.

import { MantineProvider } from '@mantine/core';
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { server } from '../../clients/client/test/server';
import { App } from '../src/App';
import type { Provider, SignIn } from '../src/oidc';
import { readSettings } from '../src/settings';

/** What Herald says the user may do: scopes, or a status. */
let rights: string[] | number;
const asked = vi.fn();
/** What it answers to the rest, by path. */
const answers = new Map<string, unknown>();
beforeEach(() => {
  rights = ['publish'];
  asked.mockClear();
  answers.clear();
  answers.set('/api/v1/notifications', { id: '7' });
  vi.stubGlobal('fetch', async (url: URL) => {
    asked(url.pathname);
    if (typeof rights === 'number') return new Response('{}', { status: rights });
    if (answers.has(url.pathname)) return Response.json(answers.get(url.pathname));
    if (url.pathname !== '/api/v1/me') return new Response('{}', { status: 503 });
    return Response.json({ kind: 'user', name: 'test1', scopes: rights });
  });
});
afterEach(() => vi.unstubAllGlobals());

const pass = (ms = 5) => act(() => vi.advanceTimersByTimeAsync(ms));

/** Somebody who comes back from a provider. */
class Arrived {
  user = undefined;
  host = 'id.example';
  isConnected = false;
  onEnd: (end: 'soon' | 'over') => void = () => {};
  getToken = async () => server.token;
  authorization = async () => 'Bearer x';
  again = vi.fn(async () => {});
  signOut = vi.fn(async () => {});
}

async function arrive(arrival: Promise<Arrived>) {
  const settings = readSettings({}, { href: 'http://h/', protocol: 'http:' });
  const provider = { host: 'id.example', begin: async () => {} };
  render(
    <MantineProvider env="test">
      <App
        settings={settings}
        provider={provider as unknown as Provider}
        arrival={arrival as unknown as Promise<SignIn>}
      />
    </MantineProvider>,
  );
  await pass();
}

async function enter(password = 'test') {
  const settings = readSettings({}, { href: 'http://h/', protocol: 'http:' });
  render(
    <MantineProvider env="test">
      <App settings={settings} />
    </MantineProvider>,
  );
  const set = (label: string, value: string) => {
    screen.getByLabelText<HTMLInputElement>(label).value = value;
  };
  set('User', 'test1');
  set('Password', password);
  act(() => screen.getByRole('button', { name: 'Connect' }).click());
  await pass();
}

const state = () => document.querySelector('#state')?.textContent;

test('a login leads to the feed; it shows what arrives, once', async () => {
  await enter();
  expect(state()).toBe('test1 on one');
  act(() => server.publish('/queue/message', '{"hello":1}'));
  await pass(50);
  expect(document.querySelector('#stream')?.textContent).toContain('{"hello":1}');
  expect(screen.getByText(/^1 received/)).toBeTruthy();
});

test('who comes back from a provider is whom Herald takes them for, is warned before the end, and signs out there', async () => {
  const arrived = new Arrived();
  await arrive(Promise.resolve(arrived));
  expect(state()).toBe('somebody on one');
  expect(arrived.isConnected).toBe(true);
  act(() => arrived.onEnd('soon'));
  expect(screen.getByRole('alert').textContent).toMatch(/^Your sign-in ends soon/);
  act(() => screen.getByRole('button', { name: 'Sign in again' }).click());
  expect(arrived.again).toHaveBeenCalled();
  act(() => screen.getByRole('button', { name: 'Log out' }).click());
  expect(arrived.signOut).toHaveBeenCalled();
  expect(screen.getByRole('button', { name: 'Sign in with id.example' })).toBeTruthy();
});

test('a sign-in that is over, or that failed, leads to where people sign in, with the words', async () => {
  const arrived = new Arrived();
  await arrive(Promise.resolve(arrived));
  act(() => arrived.onEnd('over'));
  expect(screen.getByRole('alert').textContent).toBe('Your sign-in with id.example is over. Sign in again.');
  cleanup();
  // Herald's clock is ahead of the page's: it says so twice, and the page does not ask a third time.
  const late = new Arrived();
  await arrive(Promise.resolve(late));
  await act(async () => server.expireTokens());
  server.answer = (_, { command }) => {
    if (command === 'CONNECT') server.expireTokens();
  };
  await pass(5_000);
  expect(screen.getByRole('alert').textContent).toBe('Your sign-in with id.example is over. Sign in again.');
  cleanup();
  await arrive(Promise.reject(new Error('id.example refused: no')));
  expect(screen.getByRole('alert').textContent).toBe('id.example refused: no');
  expect(screen.getByRole('button', { name: 'Sign in with id.example' })).toBeTruthy();
});

test('a wrong password leads back to the form', async () => {
  await enter('wrong');
  expect(screen.getByRole('alert').textContent).toBe('Wrong user or password.');
  expect(screen.getByRole('button', { name: 'Connect' })).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>('User').value, 'the name stays').toBe('test1');
  expect(document.activeElement?.getAttribute('name')).toBe('password');
  expect(sessionStorage).toHaveLength(0);
});

test('a restart is no error: the bar counts down, the feed stays, the page comes back', async () => {
  await enter();
  act(() => server.publish('/queue/message', 'before'));
  await pass(50);
  await act(async () => server.last.end(1001));
  await pass();
  expect(state()).toMatch(/^Connection lost, trying again in \d\.\d s$/);
  expect(screen.queryByRole('alert')).toBeNull();
  expect(document.querySelector('#stream')?.textContent).toContain('before');
  await pass(1_000);
  expect(state()).toBe('test1 on one');
  expect(screen.queryByRole('alert')).toBeNull();
});

test('disconnected by an operator: back at the form, and not connected again', async () => {
  await enter();
  await act(async () => server.last.end(4403));
  await pass(120_000);
  expect(screen.getByRole('alert').textContent).toBe('An operator has disconnected this user.');
  expect(server.sockets).toHaveLength(1);
});

const away = () => document.querySelector('#away')?.textContent;

test('what came while the connection was away shows, and the line says that it is all here', async () => {
  await enter();
  expect(away()).toBe('');
  server.drop();
  for (let n = 0; n < 12; n += 1) server.publish('/queue/message', `missed ${n}`);
  await pass(1_000);
  expect(away()).toMatch(/^12 missed while away \(0\.\d s\), all here\.$/);
  expect(document.querySelector('#stream')?.textContent).toContain('missed 11');
  expect(screen.getByText(/^12 received/)).toBeTruthy();
  server.drop();
  await pass();
  expect(away()).toBe('');
  await pass(1_000);
  expect(away()).toMatch(/^Nothing missed while away/);
});

test('a gap is said, with the destinations of the feed and why', async () => {
  await enter();
  server.restart();
  await pass(1_000);
  expect(away()).toMatch(
    /^Gap: reload what depends on \/queue\/message, \/topic\/news, \/user\/queue\/orders\. .* Herald has restarted, and its history with it\.$/,
  );
});

const items = () => [...document.querySelectorAll('#stream li')].map((item) => item.querySelector('pre')?.textContent);
const press = async (name: string | RegExp) => {
  act(() => screen.getByRole('button', { name }).click());
  await pass(50);
};

test('paused, the list stands still and says how many more have come; cleared, it begins at nothing', async () => {
  await enter();
  act(() => server.publish('/queue/message', 'first'));
  await pass(50);
  await press('Pause');
  act(() => server.publish('/queue/message', 'second'));
  await pass(50);
  expect(items()).toEqual(['first']);
  expect(screen.getByText('Paused: 1 more have come.')).toBeTruthy();
  await press('Go on');
  expect(items()).toEqual(['second', 'first']);
  await press('Clear');
  expect(items()).toEqual([]);
  expect(screen.getByText(/^0 received/)).toBeTruthy();
  act(() => server.publish('/queue/message', 'third'));
  await pass(50);
  expect(screen.getByText(/^1 received/)).toBeTruthy();
});

test('a notification has its headers, its size and its type on demand; a long body is folded', async () => {
  await enter();
  act(() => server.publish('/queue/message', 'line\n'.repeat(20)));
  await pass(50);
  const item = document.querySelector('#stream li');
  expect(item?.querySelector('summary')?.textContent).toMatch(/^100 B/);
  expect(item?.querySelector('.headers')?.textContent).toContain('message-id');
  expect(items()[0]?.split('\n')).toHaveLength(10);
  await press('Show all 21 lines');
  expect(items()[0]?.split('\n')).toHaveLength(21);
});

test('whoever unsubscribes by the keyboard stays among the subscriptions', async () => {
  await enter();
  const focused = () => document.activeElement?.getAttribute('aria-label');
  await press('Unsubscribe from /queue/message');
  expect(focused()).toBe('Unsubscribe from /topic/news');
  await press('Unsubscribe from /topic/news');
  expect(focused()).toBe('Unsubscribe from /user/queue/orders');
  await press('Unsubscribe from /user/queue/orders');
  expect(focused()).toBe('Destination to subscribe to');
});

const fill = async (label: string, value: string) => {
  const field = screen.getByLabelText<HTMLInputElement>(label);
  await act(async () => fireEvent.change(field, { target: { value } }));
};

test("a subscription with a user's name in it says that nothing of that user's will come, for as long as it stands", async () => {
  await enter();
  const hint = () => document.querySelector('.hint')?.textContent;
  await fill('Destination to subscribe to', '/user/test1/queue/orders');
  expect(hint()).toMatch(/^Your own notifications come on \/user\/queue\/orders:/);
  await fill('Destination to subscribe to', '/user/bob/queue/orders');
  const words = /^Nothing that is sent to bob comes on \/user\/bob\/queue\/orders:/;
  expect(hint()).toMatch(words);
  await press('Subscribe');
  expect(hint()).toMatch(words);
  await press('Unsubscribe from /user/bob/queue/orders');
  expect(hint()).toBeUndefined();
});

test('an operator is told that nobody listens to what was published; nobody else is told what Herald does not say', async () => {
  const explanation = { reached_count: 0, reached: [], missed_count: 0, missed: [], silent: [] as string[] };
  const publish = async () => {
    await press('Publish');
    await pass(1_000);
    return document.querySelector('#publish-result')?.textContent;
  };
  await enter();
  expect(await publish()).toBe('202, id 7');
  expect(asked.mock.calls.flat()).not.toContain('/api/v1/explain');
  cleanup();
  rights = ['publish', 'admin'];
  answers.set('/api/v1/explain', explanation);
  await enter();
  expect(await publish()).toBe('202, id 7. Nobody listens to this now.');
  answers.set('/api/v1/explain', { ...explanation, silent: ['two'] });
  expect(await publish()).toBe('202, id 7');
  answers.set('/api/v1/explain', { ...explanation, reached_count: 1 });
  expect(await publish()).toBe('202, id 7');
  answers.delete('/api/v1/explain');
  expect(await publish()).toBe('202, id 7');
});

const tabs = () => screen.queryAllByRole('tab').map((tab) => tab.textContent);

test("the operator's view has a tab for who may see it, once Herald has said so", async () => {
  await enter();
  expect(tabs()).toEqual([]);
  expect(asked.mock.calls).toEqual([['/api/v1/me']]);
  expect(document.querySelector('#desk')?.getAttribute('role')).toBeNull();
  cleanup();
  rights = ['publish', 'read', 'metrics', 'admin'];
  await enter();
  expect(tabs()).toEqual(['Live', 'Operator']);
  expect(document.querySelector('#desk')?.getAttribute('role')).toBe('tabpanel');
});

test('an answer that fails is asked for again', async () => {
  rights = 503;
  await enter();
  expect(tabs()).toEqual([]);
  rights = ['admin'];
  await pass(5_000);
  expect(tabs()).toEqual(['Live', 'Operator']);
});

test.each([
  ['a refusal', 403],
  ['an instance that does not know the question', 404],
])('%s is not asked again until the next session', async (_, status) => {
  rights = status;
  await enter();
  await pass(60_000);
  expect(tabs()).toEqual([]);
  expect(asked).toHaveBeenCalledTimes(1);
  rights = ['admin'];
  server.drop();
  await pass(1_000);
  expect(tabs()).toEqual(['Live', 'Operator']);
});

test('a role that is gone after a reconnect takes the view with it', async () => {
  rights = ['admin'];
  await enter();
  act(() => screen.getByRole('tab', { name: 'Operator' }).click());
  await pass();
  expect(document.querySelector('#operator')).toBeTruthy();
  server.drop();
  await pass();
  expect(tabs(), 'as long as nobody says otherwise').toEqual(['Live', 'Operator']);
  rights = ['publish'];
  await pass(1_000);
  expect(tabs()).toEqual([]);
  expect(document.querySelector('#operator')).toBeNull();
  expect(document.querySelector<HTMLElement>('#desk')?.hidden).toBe(false);
});
