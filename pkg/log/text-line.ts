/** Fields of a record that have a place of their own in a line. */
const placed: ReadonlySet<string> = new Set(['time', 'level', 'msg']);

/**
 * One JSON record of pino as a line for a terminal: `12:03:01.123 WARN  rules are gone table=nat chains=3`.
 * Anything that is not such a record comes back as it is.
 */
export function textLine(json: string): string {
  const record = parseRecord(json);
  if (record === undefined) return json;
  const { time, level, msg } = record;
  const clockTime = typeof time === 'string' ? time.slice(11, 23) : '';
  const fields = Object.entries(record)
    .filter(([key]) => !placed.has(key))
    .map(([key, value]) => ` ${key}=${fieldText(value)}`);
  return `${clockTime} ${String(level).toUpperCase().padEnd(5)} ${oneLine(String(msg))}${fields.join('')}\n`;
}

function parseRecord(json: string): Readonly<Record<'time' | 'level' | 'msg', unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' &&
      value !== null &&
      'msg' in value &&
      'level' in value &&
      'time' in value
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, '; ');
}
