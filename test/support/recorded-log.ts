import type { Logger } from '../../pkg/log/index.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A logger that keeps `LEVEL message`, without fields, and the fields beside it. */
export interface RecordedLog extends Logger {
  readonly lines: readonly string[];
  readonly fields: readonly Fields[];
}

export function recordedLog(): RecordedLog {
  const lines: string[] = [];
  const allFields: Fields[] = [];
  const at =
    (level: string) =>
    (message: string, fields: Fields = {}): void => {
      lines.push(`${level} ${message}`);
      allFields.push(fields);
    };
  const log: RecordedLog = {
    lines,
    fields: allFields,
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    child: () => log,
  };
  return log;
}
