/** A word of a rule: what it says, and how it was written. */
export interface RuleToken {
  readonly text: string;
  readonly raw: string;
}

/** Splits a rule body at spaces, as iptables-restore does: double quotes hold words together, a backslash inside them escapes. */
export function tokenizeRule(body: string): readonly RuleToken[] {
  const tokens: RuleToken[] = [];
  let position = 0;
  while (position < body.length) {
    const space = body.indexOf(' ', position);
    const end = body[position] === '"' ? endOfQuoted(body, position) : space === -1 ? body.length : space;
    if (end > position) {
      const raw = body.slice(position, end);
      tokens.push({ text: raw.startsWith('"') ? unquote(raw) : raw, raw });
    }
    position = end + 1;
  }
  return tokens;
}

function endOfQuoted(body: string, start: number): number {
  for (let index = start + 1; index < body.length; index += 1) {
    if (body[index] === '\\') index += 1;
    else if (body[index] === '"') return index + 1;
  }
  return body.length;
}

function unquote(raw: string): string {
  const inner = raw.length > 1 && raw.endsWith('"') ? raw.slice(1, -1) : raw.slice(1);
  return inner.replaceAll(/\\(.)/gsu, '$1');
}

/** A word as iptables-save writes it: letters, digits, `_` and `-` stand bare, everything else is quoted. */
export function quoteWord(text: string): string {
  if (/^[\w-]+$/u.test(text)) return text;
  return `"${text.replaceAll(/["'\\]/gu, String.raw`\$&`)}"`;
}
