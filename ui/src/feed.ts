/** What has been received and sent, newest first: bounded, and put on the page at most once a frame. */

import type { IMessage } from '@herald/react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { type Body, bodyOf } from './body';

/** One notification on the page. */
export interface Entry {
  key: number;
  destination: string;
  /** Unix ms: when Herald accepted it. */
  at: number;
  body: Body;
  traceId?: string;
  /** All of the MESSAGE, as they came. */
  headers: Record<string, string>;
}

export interface Feed {
  entries: Entry[];
  received: number;
  add: (message: IMessage) => void;
  clear: () => void;
}

const KEPT = 200;
let keys = 0;

/** What the page keeps of a MESSAGE. */
export function entryOf({ headers, binaryBody }: Pick<IMessage, 'headers' | 'binaryBody'>): Entry {
  keys += 1;
  return {
    key: keys,
    destination: headers.destination ?? '',
    at: Number(headers.timestamp) || Date.now(),
    body: bodyOf(binaryBody),
    traceId: headers.traceparent?.split('-')[1],
    headers: { ...headers },
  };
}

export function useFeed(): Feed {
  const [entries, setEntries] = useState<Entry[]>([]);
  const [received, setReceived] = useState(0);
  const waiting = useRef<Entry[]>([]);
  const count = useRef(0);
  const frame = useRef(0);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  const add = useCallback((message: IMessage) => {
    count.current += 1;
    waiting.current.unshift(entryOf(message));
    if (waiting.current.length > KEPT) waiting.current.pop();
    if (waiting.current.length > 1) return;
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      const arrived = waiting.current;
      waiting.current = [];
      setEntries((before) => [...arrived, ...before].slice(0, KEPT));
      setReceived(count.current);
    });
  }, []);
  const clear = useCallback(() => {
    waiting.current = [];
    count.current = 0;
    setEntries([]);
    setReceived(0);
  }, []);
  return { entries, received, add, clear };
}
