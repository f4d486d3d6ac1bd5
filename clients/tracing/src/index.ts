/**
 * The browser's part of a notification's trace: the `process` span, child of the span that MESSAGE's `traceparent` names, and
 * its own `traceparent` on the ACK, by which Herald's `ack` span finds it. Knows OpenTelemetry's API and stompjs's messages; the
 * page brings the SDK and the exporter, and without them all of this does nothing.
 */

import {
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { IMessage, StompHeaders } from '@stomp/stompjs';

export interface TracedOptions {
  /** Default: the global provider's tracer `@herald/tracing`. */
  tracer?: Tracer;
}

/** The page's own format may be another; between it and Herald it is always the W3C's. */
const propagator = new W3CTraceContextPropagator();

/**
 * Wraps a handler for stompjs's `subscribe`. The span lasts until the handler has returned, or its promise is settled; what the
 * handler throws is recorded and thrown on. `message.ack()` and `message.nack()` carry the span's `traceparent`, whenever they
 * are called. A MESSAGE without `traceparent` (its notification is not sampled) makes no span.
 */
export function traced<R>(
  handler: (message: IMessage, span?: Span) => R,
  { tracer }: TracedOptions = {},
): (message: IMessage) => R {
  return (message) => {
    const parent = propagator.extract(ROOT_CONTEXT, message.headers, defaultTextMapGetter);
    if (!trace.getSpanContext(parent)) return handler(message);
    const { destination } = message.headers;
    const span = (tracer ?? trace.getTracer('@herald/tracing')).startSpan(
      `process ${destination}`,
      {
        kind: SpanKind.CONSUMER,
        attributes: {
          'messaging.system': 'herald',
          'messaging.operation.name': 'process',
          'messaging.operation.type': 'process',
          'messaging.destination.name': destination,
          'messaging.message.id': message.headers['message-id'],
          'messaging.message.body.size': message.binaryBody.length,
        },
      },
      parent,
    );
    const within = trace.setSpan(parent, span);
    acknowledgeWithin(message, (headers) => {
      const carried: StompHeaders = {};
      propagator.inject(within, carried, defaultTextMapSetter);
      return { ...carried, ...headers };
    });
    return run(span, () => context.with(within, () => handler(message, span)));
  };
}

/** Lets what acknowledges this message add headers. */
function acknowledgeWithin(message: IMessage, add: (headers?: StompHeaders) => StompHeaders): void {
  const { ack, nack } = message;
  message.ack = (headers) => ack.call(message, add(headers));
  message.nack = (headers) => nack.call(message, add(headers));
}

function run<R>(span: Span, body: () => R): R {
  const failed = (error: unknown) => {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  };
  let result: R;
  try {
    result = body();
  } catch (error) {
    failed(error);
    throw error;
  }
  if (!(result instanceof Promise)) {
    span.end();
    return result;
  }
  return result.then(
    (value: unknown) => {
      span.end();
      return value;
    },
    (error: unknown) => {
      failed(error);
      throw error;
    },
  ) as R;
}
