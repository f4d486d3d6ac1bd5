/** A body as it came, its JSON in colours. Nothing is parsed and written again: a long number would show as another. */

import { memo } from 'react';

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|\b(?:true|false|null)\b)/g;
/** Longer bodies stay plain: thousands of elements would make the page slow. */
const COLOURED = 4_000;

export const Json = memo(function Json({ text }: { text: string }) {
  if (!/^\s*[[{]/.test(text) || text.length > COLOURED) return <pre>{text}</pre>;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    parts.push(text.slice(end, match.index));
    const name = string === undefined ? 'json-other' : colon === undefined ? 'json-text' : 'json-name';
    parts.push(
      <span key={match.index} className={name}>
        {string ?? whole}
      </span>,
    );
    end = match.index + (string === undefined ? whole.length : string.length);
  }
  return (
    <pre>
      {parts}
      {text.slice(end)}
    </pre>
  );
});
