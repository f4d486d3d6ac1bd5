/** A body as it came, its JSON in colours. Nothing is parsed and written again: a long number would show as another. */

import { memo, type ReactNode } from 'react';

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|\b(?:true|false|null)\b)/g;
/** Longer bodies stay plain: thousands of elements would make the page slow. */
const COLOURED = 4_000;
/** What turns the direction of the text after it. */
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

export const Json = memo(function Json({ text }: { text: string }) {
  return <pre>{jsonParts(text)}</pre>;
});

/**
 * The text in elements, if it looks like JSON: each string has its own, so that what it writes from right to left turns nothing but
 * itself. Of a long one, only the strings that need it have an element.
 */
export function jsonParts(text: string): ReactNode {
  const isLong = text.length > COLOURED;
  if (!/^\s*[[{]/.test(text) || (isLong && !TURNS.test(text))) return text;
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    if (isLong && !TURNS.test(whole)) continue;
    parts.push(text.slice(end, match.index));
    const name = string === undefined ? 'json-other' : colon === undefined ? 'json-text' : 'json-name';
    parts.push(
      <span key={match.index} className={name}>
        {string ?? whole}
      </span>,
    );
    end = match.index + (string === undefined ? whole.length : string.length);
  }
  return [...parts, text.slice(end)];
}
