/** A body for people: text where it is text, else bytes in hexadecimal. Knows no component. */

/** What the page keeps of a body. */
export interface Body {
  /** As it came; of bytes that are no text, a dump. */
  text: string;
  kind: 'text' | 'bytes' | 'empty';
  /** Its whole length. */
  size: number;
  /** It is longer than the page keeps. */
  cut: boolean;
}

const CHARACTERS = 65_536;
const BYTES = 4_096;
const BYTES_A_LINE = 16;
/** What no text has in it: controls, but for tabs and the ends of lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** Of the bytes of a body. */
export function bodyOf(bytes: Uint8Array): Body {
  const size = bytes.length;
  if (size === 0) return { text: '', kind: 'empty', size, cut: false };
  const text = textOf(bytes);
  if (text === undefined) return { text: dump(bytes.subarray(0, BYTES)), kind: 'bytes', size, cut: size > BYTES };
  return { text: text.slice(0, CHARACTERS), kind: 'text', size, cut: text.length > CHARACTERS };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return CONTROLS.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Lines of an offset, sixteen bytes, and the letters among them. */
export function dump(bytes: Uint8Array): string {
  const lines = [];
  for (let at = 0; at < bytes.length; at += BYTES_A_LINE) {
    const line = [...bytes.subarray(at, at + BYTES_A_LINE)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letters = line.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(3 * BYTES_A_LINE)} ${letters}`);
  }
  return lines.join('\n');
}

const FOLDED_LINES = 10;
const FOLDED_CHARACTERS = 1_500;

/** The beginning of a long text, and how much there is of it. `undefined`: it is short. */
export function fold(text: string): { start: string; lines: number } | undefined {
  const lines = text.split('\n');
  if (lines.length <= FOLDED_LINES && text.length <= FOLDED_CHARACTERS) return undefined;
  return { start: lines.slice(0, FOLDED_LINES).join('\n').slice(0, FOLDED_CHARACTERS), lines: lines.length };
}
