import type { Diagnostic } from '../pkg/api/index.ts';
import type { Logger } from '../pkg/log/index.ts';

/** One line for people: where, what object, which field, what is wrong. */
export function diagnosticLine({ location, kind, namespace, name, field, message }: Diagnostic): string {
  const where = location === undefined ? '' : `${location.file}:${location.line}:${location.column}: `;
  const object = [kind, namespace === '' ? name : `${namespace}/${name}`]
    .filter((part) => part !== '')
    .join(' ');
  return `${where}${[object, field].filter((part) => part !== '').join(': ')}${object + field === '' ? '' : ': '}${message}`;
}

/** Logs each diagnostic once for as long as it holds, and again should it come back. */
export class DiagnosticLog {
  readonly #log: Logger;
  readonly #onReplace: ((origin: string, diagnostics: readonly Diagnostic[]) => void) | undefined;
  readonly #current = new Map<string, ReadonlySet<string>>();

  /** `onReplace` is told everything that `replace` is. */
  constructor(log: Logger, onReplace?: (origin: string, diagnostics: readonly Diagnostic[]) => void) {
    this.#log = log;
    this.#onReplace = onReplace;
  }

  /** All that is wrong with `origin` now. */
  replace(origin: string, diagnostics: readonly Diagnostic[]): void {
    this.#onReplace?.(origin, diagnostics);
    const before = this.#current.get(origin) ?? new Set();
    const now = new Set<string>();
    for (const diagnostic of diagnostics) {
      const line = diagnosticLine(diagnostic);
      now.add(line);
      if (before.has(line)) continue;
      this.#write(diagnostic.severity, line);
    }
    if (now.size > 0) this.#current.set(origin, now);
    else this.#current.delete(origin);
  }

  #write(severity: Diagnostic['severity'], line: string): void {
    switch (severity) {
      case 'error':
        this.#log.error(line);
        break;
      case 'warning':
      case 'hint':
        this.#log.warn(line);
        break;
    }
  }
}
