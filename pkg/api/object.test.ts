import { describe, expect, it } from 'vitest';
import { decoded } from '../../test/support/wire-objects.ts';
import { equalObjects } from './object.ts';

function pod(labels: Readonly<Record<string, string>>, ips: readonly string[] = ['10.0.0.1']) {
  const podIPs = ips.map((ip) => ({ ip }));
  return decoded('Pod', { metadata: { name: 'web', labels }, status: { podIPs } }).object;
}

describe('equalObjects', () => {
  it.each([
    ['the same', pod({ a: '1' }), pod({ a: '1' }), true],
    ['labels in another order', pod({ a: '1', b: '2' }), pod({ b: '2', a: '1' }), true],
    ['another label value', pod({ a: '1' }), pod({ a: '2' }), false],
    ['another label key', pod({ a: '1' }), pod({ b: '1' }), false],
    ['a label more', pod({ a: '1' }), pod({ a: '1', b: '2' }), false],
    ['an address more', pod({}), pod({}, ['10.0.0.1', 'fd00::1']), false],
    ['addresses in another order', pod({}, ['fd00::1', '10.0.0.1']), pod({}, ['10.0.0.1', 'fd00::1']), false],
    ['another kind', pod({}), decoded('Namespace', { metadata: { name: 'web' } }).object, false],
  ])('compares what objects say: %s', (_case, a, b, equal) => {
    expect(equalObjects(a, b)).toBe(equal);
    expect(equalObjects(b, a)).toBe(equal);
  });
});
