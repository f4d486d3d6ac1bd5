// The promise: a handler wrapped by `traced` runs in a span whose parent is the one that MESSAGE names, its ACK carries that
// span, and nothing of it can harm the handler or happens where nobody traces.

import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { IMessage, StompHeaders } from '@stomp/stompjs';
import { afterEach, expect, test, vi } from 'vitest';
import { traced } from '../src/index.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SEND = '00f067aa0ba902b7';
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('test');
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
afterEach(() => exporter.reset());

function message(headers: StompHeaders = { traceparent: `00-${TRACE}-${SEND}-01` }) {
  const ack = vi.fn();
  const nack = vi.fn();
  const message = {
    headers: { destination: '/user/queue/orders', 'message-id': '01JD', subscription: 'sub-1', ...headers },
    binaryBody: new TextEncoder().encode('héllo'),
    ack,
    nack,
  } as unknown as IMessage;
  return { message, ack, nack };
}

test('the span is a child of the one that MESSAGE names, and says what it is about', () => {
  traced(() => {}, { tracer })(message().message);
  const [span] = exporter.getFinishedSpans();
  expect(span).toMatchObject({
    name: 'process /user/queue/orders',
    kind: SpanKind.CONSUMER,
    parentSpanContext: { traceId: TRACE, spanId: SEND, isRemote: true },
    attributes: {
      'messaging.system': 'herald',
      'messaging.operation.type': 'process',
      'messaging.destination.name': '/user/queue/orders',
      'messaging.message.id': '01JD',
      'messaging.message.body.size': 6,
    },
  });
  expect(span?.spanContext().traceId).toBe(TRACE);
});

test('ACK and NACK carry the span, with the headers of the page, even after its end', async () => {
  const { message: given, ack, nack } = message({ traceparent: `00-${TRACE}-${SEND}-01`, tracestate: 'a=b' });
  traced(() => {}, { tracer })(given);
  given.ack({ receipt: 'r' });
  given.nack();
  const id = exporter.getFinishedSpans()[0]?.spanContext().spanId;
  const carried = { traceparent: `00-${TRACE}-${id}-01`, tracestate: 'a=b' };
  expect(ack).toHaveBeenCalledWith({ ...carried, receipt: 'r' });
  expect(nack).toHaveBeenCalledWith(carried);
});

test('the span is the active one inside the handler, also after an await, and ends with its promise', async () => {
  const open: boolean[] = [];
  const handled = traced(
    async (_, span) => {
      expect(trace.getActiveSpan()).toBe(span);
      await Promise.resolve();
      expect(trace.getActiveSpan()).toBe(span);
      open.push(span?.isRecording() ?? false);
      return 7;
    },
    { tracer },
  )(message().message);
  expect(exporter.getFinishedSpans()).toHaveLength(0);
  expect(await handled).toBe(7);
  expect(open).toEqual([true]);
  expect(exporter.getFinishedSpans()).toHaveLength(1);
});

test('what the handler throws is recorded and thrown on', async () => {
  const boom = new Error('boom');
  const thrower = traced(
    () => {
      throw boom;
    },
    { tracer },
  );
  expect(() => thrower(message().message)).toThrow(boom);
  await expect(traced(() => Promise.reject(boom), { tracer })(message().message)).rejects.toBe(boom);
  const spans = exporter.getFinishedSpans();
  expect(spans.map((span) => span.status.code)).toEqual([SpanStatusCode.ERROR, SpanStatusCode.ERROR]);
  expect(spans.map((span) => span.events[0]?.name)).toEqual(['exception', 'exception']);
});

test.each([undefined, '', 'nonsense', `00-${'0'.repeat(32)}-${SEND}-01`, `ff-${TRACE}-${SEND}-01`])(
  'without a usable traceparent (%s) there is no span, and the ACK is bare',
  (traceparent) => {
    const { message: given, ack } = message(traceparent === undefined ? {} : { traceparent });
    const seen = vi.fn();
    traced(
      (given, span) => {
        seen(span);
        given.ack();
      },
      { tracer },
    )(given);
    expect(seen).toHaveBeenCalledWith(undefined);
    expect(ack).toHaveBeenCalledWith();
    expect(exporter.getFinishedSpans()).toHaveLength(0);
  },
);

test("without an SDK the handler runs, and the ACK passes MESSAGE's own context on", () => {
  const { message: given, ack } = message();
  const handled = traced((given) => {
    given.ack();
    return 'done';
  })(given);
  expect(handled).toBe('done');
  expect(ack).toHaveBeenCalledWith({ traceparent: `00-${TRACE}-${SEND}-01` });
});
