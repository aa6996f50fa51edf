import { expect, test } from 'vitest';
import { errorLine, isWeirError, WeirError } from './errors.ts';

test('knows by its code whether trying again may help', () => {
  expect(new WeirError('WEIR_LOCK_HELD', 'busy').retryable).toBe(true);
  expect(new WeirError('WEIR_BAD_FLAG', 'no').retryable).toBe(false);
  expect(new WeirError('WEIR_RESTORE_FAILED', 'no', { retryable: false }).retryable).toBe(false);
});

test('keeps its cause', () => {
  const cause = new Error('below');
  expect(new WeirError('WEIR_BUG', 'above', { cause }).cause).toBe(cause);
  expect('cause' in new WeirError('WEIR_BUG', 'above')).toBe(false);
});

test('is recognised when it comes from another copy of the module', () => {
  const stranger = Object.assign(new Error('x'), { [Symbol.for('weir.error')]: true, code: 'WEIR_BUG' });
  expect(isWeirError(stranger)).toBe(true);
  expect(isWeirError(new Error('x'))).toBe(false);
  expect(isWeirError('WEIR_BUG')).toBe(false);
  expect(isWeirError(null)).toBe(false);
});

test('says any thrown value in one line', () => {
  expect(errorLine(new WeirError('WEIR_BAD_FLAG', 'no\n  such\nflag'))).toBe('WEIR_BAD_FLAG: no; such; flag');
  expect(errorLine(new TypeError('x is not a function'))).toBe('x is not a function');
  expect(errorLine('plain')).toBe('plain');
});
