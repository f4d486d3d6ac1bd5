/** What has been received and sent, newest first: bounded, and put on the page at most once a frame. */

import type { IMessage } from '@herald/react';
import { useCallback, useEffect, useRef, useState } from 'react';

/** One notification on the page. */
export interface Entry {
  key: number;
  destination: string;
  /** Unix ms: when Herald accepted it. */
  at: number;
  body: string;
  /** The body was longer than the page keeps. */
  cut: boolean;
  traceId?: string;
  id?: string;
}

export interface Feed {
  entries: Entry[];
  received: number;
  add: (message: IMessage) => void;
  clear: () => void;
}

const KEPT = 200;
const BODY_CHARACTERS = 65_536;
let keys = 0;

/** What the page keeps of a MESSAGE. */
export function entryOf(message: Pick<IMessage, 'headers' | 'body'>): Entry {
  const { headers, body } = message;
  keys += 1;
  return {
    key: keys,
    destination: headers.destination ?? '',
    at: Number(headers.timestamp) || Date.now(),
    body: body.slice(0, BODY_CHARACTERS),
    cut: body.length > BODY_CHARACTERS,
    traceId: headers.traceparent?.split('-')[1],
    id: headers['message-id'],
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
    frame.current = requestAnimationFrame(() => {
      const arrived = waiting.current;
      waiting.current = [];
      setEntries((before) => [...arrived, ...before].slice(0, KEPT));
      setReceived(count.current);
    });
  }, []);
  const clear = useCallback(() => setEntries([]), []);
  return { entries, received, add, clear };
}
