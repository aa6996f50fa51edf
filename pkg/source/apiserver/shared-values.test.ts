import { expect, test } from 'vitest';
import { SharedValues } from './shared-values.ts';

test('gives the first of equal values', () => {
  const shared = new SharedValues();
  const labels = { app: 'web' };
  expect(shared.value(labels)).toBe(labels);
  expect(shared.value({ app: 'web' })).toBe(labels);
  expect(shared.value({ app: 'api' })).toEqual({ app: 'api' });
  expect(shared.text('node-1')).toBe('node-1');
});

test('does not grow without end, and keeps what is asked for', () => {
  const shared = new SharedValues(10);
  const often = { zone: 'a' };
  shared.value(often);
  for (let index = 0; index < 1000; index++) {
    shared.text(`pod-${index}`);
    expect(shared.value({ zone: 'a' })).toBe(often);
  }
  expect(shared.size).toBeLessThanOrEqual(20);
});
