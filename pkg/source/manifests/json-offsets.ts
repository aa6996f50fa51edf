import type { FieldKey } from './field-path.ts';

/**
 * Where values stand in a JSON text that `JSON.parse` has accepted. It keeps no positions, and parsing 20 MB once more
 * as a syntax tree costs seconds; skipping through the text to one value costs milliseconds at most.
 */

/** Offset of the value under `keys`, or of the nearest thing above it that is there. */
export function jsonOffset(text: string, start: number, keys: readonly FieldKey[]): number {
  let offset = skipSpace(text, start);
  for (const key of keys) {
    const child = childOffset(text, offset, key);
    if (child === undefined) return offset;
    offset = child;
  }
  return offset;
}

/** Offsets of the elements of the list at `offset`. */
export function elementOffsets(text: string, offset: number): readonly number[] {
  const offsets: number[] = [];
  if (text[offset] !== '[') return offsets;
  let at = skipSpace(text, offset + 1);
  while (at < text.length && text[at] !== ']') {
    offsets.push(at);
    at = skipComma(text, skipValue(text, at));
  }
  return offsets;
}

function childOffset(text: string, offset: number, key: FieldKey): number | undefined {
  if (text[offset] === '[') return typeof key === 'number' ? elementOffsets(text, offset)[key] : undefined;
  if (text[offset] !== '{') return undefined;
  const wanted = String(key);
  let at = skipSpace(text, offset + 1);
  while (at < text.length && text[at] !== '}') {
    const keyEnd = skipValue(text, at);
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1);
    if (JSON.parse(text.slice(at, keyEnd)) === wanted) return value;
    at = skipComma(text, skipValue(text, value));
  }
  return undefined;
}

function skipComma(text: string, offset: number): number {
  const at = skipSpace(text, offset);
  return text[at] === ',' ? skipSpace(text, at + 1) : at;
}

function skipSpace(text: string, offset: number): number {
  let at = offset;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

function skipValue(text: string, offset: number): number {
  const first = text[offset];
  if (first === '"') return skipString(text, offset);
  if (first === '{' || first === '[') return skipBrackets(text, offset);
  let at = offset;
  while (at < text.length && !',]} \t\r\n'.includes(text.charAt(at))) at += 1;
  return at;
}

function skipString(text: string, offset: number): number {
  let at = offset + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function skipBrackets(text: string, offset: number): number {
  let depth = 0;
  let at = offset;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') {
      at = skipString(text, at);
      continue;
    }
    if (character === '{' || character === '[') depth += 1;
    if (character === '}' || character === ']') depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
  return at;
}
