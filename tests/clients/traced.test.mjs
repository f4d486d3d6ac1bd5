// The promise: with real stompjs, the published package `traced` and a real OpenTelemetry SDK in front of a running Herald, Jaeger
// shows one trace from the publisher to the browser: the browser's `process` span is a child of Herald's `send` span, and Herald's
// `ack` span is linked to it. Needs Jaeger; scripts/tools gets it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { fromSource } from './packages.mjs';
import { Browser, Herald, Inbox, post, startJaeger, until } from './support.mjs';

/** A page's SDK, which sends what it ends to `jaeger` at once. */
function sdk(t, jaeger) {
  const exporter = new OTLPTraceExporter({ url: `${jaeger.otlp}/v1/traces` });
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  t.after(() => provider.shutdown());
  return provider.getTracer('page');
}

test("the browser's span and Herald's are one trace, linked both ways", { timeout: 60_000 }, async (t) => {
  const jaeger = await startJaeger(t);
  const herald = await Herald.start(t, {
    HERALD_TRACING__ENDPOINT: jaeger.otlp,
    HERALD_TRACING__PROTOCOL: 'http/protobuf',
    HERALD_TRACING__INTERVAL: '50ms',
  });
  const [{ traced: wrap }, tracer] = [await fromSource(t, 'tracing'), sdk(t, jaeger)];
  const browser = await Browser.connect(t, herald.ws, { user: 'test2' });
  const handled = new Inbox('a handled MESSAGE');
  const answers = { ack: (message) => message.ack(), nack: (message) => message.nack() };
  const { id, done } = browser.receipt();
  browser.client.subscribe(
    '/user/queue/orders',
    wrap(
      async (message, span) => {
        const { answer } = JSON.parse(message.body);
        await new Promise((resolve) => setImmediate(resolve));
        answers[answer](message);
        handled.push(span.spanContext().spanId);
      },
      { tracer },
    ),
    { ack: 'client-individual', receipt: id },
  );
  await done;

  for (const [number, answer] of ['ack', 'nack'].entries()) {
    await t.test(`by ${answer.toUpperCase()}`, async () => {
      const trace = `${number}bf92f3577b34da6a3ce929d0e0e4736`;
      const body = { destination: '/queue/orders', user: 'test2', payload: { answer } };
      const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
      const published = await post(`${herald.http}/api/v1/notifications`, body, { traceparent });
      assert.equal(published.status, 202, published.text);
      const inBrowser = await handled.next();
      const names = ['POST /api/v1/notifications', 'publish /user/queue/orders', 'deliver /user/queue/orders'];
      names.push('send /user/queue/orders', 'process /user/queue/orders', 'ack');
      const spans = await until(`the whole trace ${trace}`, async () => {
        const found = await jaeger.trace(trace);
        return found.length >= names.length && found;
      });
      assert.deepEqual(spans.map((span) => span.name).toSorted(), names.toSorted());
      const of = (name) => spans.find((span) => span.name.startsWith(name));
      const [send, page, ack] = ['send', 'process', 'ack'].map(of);
      assert.equal(page.id, inBrowser);
      assert.equal(page.parent, send.id, "the browser's span is below Herald's send");
      assert.equal(ack.parent, send.id);
      assert.deepEqual(ack.links, [page.id], "Herald's ack is linked to the browser's span");
      assert.equal(ack.tags['error.type'], answer === 'nack' ? 'nack' : undefined);
      assert.equal(page.tags['messaging.message.id'], send.tags['messaging.message.id']);
      assert.ok(page.service !== 'herald' && ack.service === 'herald');
    });
  }
  browser.assertUnharmed();
});
