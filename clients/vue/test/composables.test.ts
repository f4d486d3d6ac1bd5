// The promise: the composables follow the connection and the component: subscribed while mounted, told of every change, and
// gone with the component that provides the connection.

import { afterEach, expect, test, vi } from 'vitest';
import { createApp, createSSRApp, defineComponent, h, nextTick, ref, shallowRef } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { server } from '../../client/test/server.js';
import { provideHerald, useHerald, useSubscription } from '../src/index.js';

const pass = async (ms = 5) => {
  await vi.advanceTimersByTimeAsync(ms);
  await nextTick();
};

const apps: { unmount: () => void }[] = [];
afterEach(() => {
  vi.unstubAllGlobals();
  for (const app of apps.splice(0)) app.unmount();
});

const destination = ref<string | null>('/queue/a');
const gaps: string[] = [];

const Feed = defineComponent({
  setup() {
    const { state, send } = useHerald();
    const bodies = shallowRef<string[]>([]);
    const { joined, refused } = useSubscription(
      destination,
      ({ body }) => {
        bodies.value = [...bodies.value, body];
      },
      { onGap: ({ reason }) => gaps.push(reason) },
    );
    const say = () => send('/app/x', 'waited', { away: 'wait' });
    return () => [
      h('p', [state.value.status, joined.value ? 'joined' : 'open', refused.value, ...bodies.value].join(' ')),
      h('button', { onClick: say }),
    ];
  },
});

const page = (password = 'test') =>
  defineComponent({
    setup() {
      provideHerald({ url: 'ws://h/ws', user: 'test1', password });
      return () => h(Feed);
    },
  });

function mount(password?: string) {
  destination.value = '/queue/a';
  gaps.length = 0;
  const host = document.createElement('div');
  const app = createApp(page(password));
  app.mount(host);
  apps.push(app);
  return { app, text: () => host.querySelector('p')?.textContent, button: () => host.querySelector('button') };
}

test('a message shows, through a loss, and a gap is told', async () => {
  const { text } = mount();
  await pass();
  expect(text()).toBe('connected joined ');
  server.publish('/queue/a', 'first');
  server.drop();
  await pass();
  expect(text()).toBe('reconnecting open  first');
  server.publish('/queue/a', 'missed');
  await pass(1_000);
  expect(text()).toBe('connected joined  first missed');
  expect(gaps).toEqual([]);
  server.restart();
  await pass(1_000);
  expect(gaps).toEqual(['epoch-changed']);
});

test('another destination takes the place of the old one; null is none', async () => {
  const { text } = mount();
  await pass();
  destination.value = '/queue/b';
  await pass();
  expect(server.last.subscriptions.map((headers) => headers.destination)).toEqual(['/queue/b']);
  expect(text()).toBe('connected joined ');
  destination.value = null;
  await pass();
  expect(server.last.subscriptions).toEqual([]);
  expect(text()).toBe('connected open ');
});

test('a refusal is told where it was asked for', async () => {
  server.refuses = '/queue/a';
  const { text } = mount();
  await pass(2_000);
  expect(text()).toBe('connected open /queue/a: no such prefix');
});

test('a send may wait for the connection', async () => {
  const { button } = mount();
  await pass();
  server.drop();
  button()?.click();
  await pass(1_000);
  expect(server.sent.map(({ body }) => body)).toEqual(['waited']);
});

test('what is unmounted leaves nothing behind', async () => {
  const { app } = mount();
  await pass();
  app.unmount();
  apps.length = 0;
  await pass(60_000);
  expect(server.sockets.filter(({ readyState }) => readyState === 1)).toHaveLength(0);
  expect(server.sockets).toHaveLength(1);
});

test('a server renders it without a connection, and the browser takes it over without a complaint', async () => {
  destination.value = '/queue/a';
  const complaints = vi.spyOn(console, 'warn');
  for (const name of ['window', 'document', 'sessionStorage', 'WebSocket']) vi.stubGlobal(name, undefined);
  const html = await renderToString(createSSRApp(page()));
  vi.unstubAllGlobals();
  expect(html).toContain('<p>idle open </p>');
  expect(server.sockets).toHaveLength(0);
  const host = document.createElement('div');
  host.innerHTML = html;
  const app = createSSRApp(page());
  app.mount(host);
  apps.push(app);
  await pass();
  expect(host.querySelector('p')?.textContent).toBe('connected joined ');
  expect(complaints).not.toHaveBeenCalled();
});

test('without a connection above them the composables say what is missing', () => {
  const app = createApp(Feed);
  app.config.warnHandler = () => {};
  expect(() => app.mount(document.createElement('div'))).toThrow('provideHerald');
});
