import { expect, test } from 'vitest';
import type { Diagnostic } from '../pkg/api/index.ts';
import { recordedLog } from '../test/support/recorded-log.ts';
import { DiagnosticLog, diagnosticLine } from './diagnostic-log.ts';

const diagnostic: Diagnostic = {
  severity: 'error',
  kind: 'Service',
  namespace: 'shop',
  name: 'web',
  field: 'spec.ports[0].port',
  message: 'must be from 1 to 65535',
  location: { file: 'a.yaml', line: 7, column: 13 },
};

test.each<[Partial<Diagnostic>, string]>([
  [{}, 'a.yaml:7:13: Service shop/web: spec.ports[0].port: must be from 1 to 65535'],
  [{ field: '' }, 'a.yaml:7:13: Service shop/web: must be from 1 to 65535'],
  [{ kind: 'Node', namespace: '' }, 'a.yaml:7:13: Node web: spec.ports[0].port: must be from 1 to 65535'],
  [{ kind: '', namespace: '', name: '', field: '' }, 'a.yaml:7:13: must be from 1 to 65535'],
])('a diagnostic with %o reads %s', (changes, line) => {
  expect(diagnosticLine({ ...diagnostic, ...changes })).toBe(line);
});

test('needs no place', () => {
  const { location: _, ...rest } = diagnostic;
  expect(diagnosticLine(rest)).toBe('Service shop/web: spec.ports[0].port: must be from 1 to 65535');
});

test('logs each once while it holds, and again when it comes back', () => {
  const log = recordedLog();
  const diagnostics = new DiagnosticLog(log);
  diagnostics.replace('a.yaml', [diagnostic]);
  diagnostics.replace('a.yaml', [diagnostic, { ...diagnostic, field: 'spec.type' }]);
  expect(log.lines).toHaveLength(2);
  diagnostics.replace('a.yaml', []);
  diagnostics.replace('a.yaml', [diagnostic]);
  expect(log.lines).toHaveLength(3);
});

test('keeps origins apart', () => {
  const log = recordedLog();
  const diagnostics = new DiagnosticLog(log);
  diagnostics.replace('a.yaml', [diagnostic]);
  diagnostics.replace('b.yaml', []);
  diagnostics.replace('a.yaml', [diagnostic]);
  expect(log.lines).toHaveLength(1);
});

test('logs as serious as it is', () => {
  const log = recordedLog();
  const all = (['error', 'warning', 'hint'] as const).map((severity) => ({
    ...diagnostic,
    severity,
    field: severity,
  }));
  new DiagnosticLog(log).replace('a.yaml', all);
  expect(log.lines.map((line) => line.split(' ')[0])).toEqual(['ERROR', 'WARN', 'WARN']);
});
