import type { DestinationStream, Logger as PinoLogger } from 'pino';
import { pino } from 'pino';
import type { Clock } from '../runtime/index.ts';
import { errorLine, isWeirError, systemClock } from '../runtime/index.ts';
import { inShort, printable } from './printable.ts';
import { RepeatFilter } from './repeat-filter.ts';
import { textLine } from './text-line.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Named values of a line. An `error` may be anything that was thrown. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What the rest of the program knows of logging. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  /** Equal warnings and errors within half a minute are counted, not repeated; the next one says how many. */
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `text` is for people at a terminal, `json` for machines: one object a line, `time` in UTC. */
  readonly format: 'json' | 'text';
  /** Standard error unless told, as every Kubernetes component does; written before the call returns. */
  readonly destination?: { write(line: string): void };
  readonly clock?: Clock;
}

const repeatWindowMs = 30_000;

export function createLogger(options: LoggerOptions): Logger {
  const destination = options.destination ?? pino.destination({ fd: 2, sync: true });
  const inner = pino(
    {
      level: options.level,
      // No pid and no host name: a pod has one process, and its log is already filed under the node.
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      serializers: { error: serializeError },
    },
    printed(destination, options.format),
  );
  return wrap(inner, '', new RepeatFilter(options.clock ?? systemClock, repeatWindowMs));
}

function wrap(inner: PinoLogger, scope: string, filter: RepeatFilter): Logger {
  const limited = (level: 'warn' | 'error', text: string, fields: LogFields): void => {
    const message = inShort(text);
    const error = 'error' in fields ? errorLine(fields['error']) : '';
    const swallowed = filter.pass(`${scope}|${level}|${message}|${error}`);
    if (swallowed === undefined) return;
    inner[level](swallowed === 0 ? fields : { ...fields, repeated: swallowed }, message);
  };
  return {
    debug: (message, fields = {}) => inner.debug(fields, inShort(message)),
    info: (message, fields = {}) => inner.info(fields, inShort(message)),
    warn: (message, fields = {}) => limited('warn', message, fields),
    error: (message, fields = {}) => limited('error', message, fields),
    child: (fields) => wrap(inner.child(fields), `${scope}${JSON.stringify(fields)}`, filter),
  };
}

function printed(destination: DestinationStream, format: LoggerOptions['format']): DestinationStream {
  return { write: (json) => destination.write(printable(format === 'text' ? textLine(json) : json)) };
}

/** Ours are one line with a code; of a stranger the stack is worth its space. */
function serializeError(error: unknown): unknown {
  if (isWeirError(error) || !(error instanceof Error)) return inShort(errorLine(error));
  return inShort(error.stack ?? errorLine(error));
}
