import { describe, expect, test } from 'vitest';
import { chainName, nameHash, setName } from './names.ts';

describe('nameHash', () => {
  test.each([
    ['default/kubernetes:httpstcp', 'NPX46M4PTMTKRN6Y'],
    ['kube-system/kube-dns:dnsudp', 'TCOU7JCQXEZGVUNU'],
    ['kube-system/kube-dns:dns-tcptcp', 'ERIFXISQEP7F7OF4'],
    ['ns1/svc1:p80tcp', 'XPGD46QRK7WJZT7O'],
    ['ns1/svc1tcp', 'AQI2S6QIMU7PVVRP'],
    ['ns5/svc5:p80tcp', 'NUKIZ6OKUXPJNT4C'],
    ['ns1/svc1:p80tcp10.180.0.1:80', 'SXIVWICOYRO3J4NJ'],
    ['ns4/svc4:p80tcp10.180.0.5:80', 'C6EBXVWJJZMIWKLZ'],
    ['ns1/svc1:p80tcp[fd00:10:180::1]:80', 'OGYCNMB4EMRUSJ6N'],
  ])('agrees with kube-proxy on %s', (text, hash) => {
    expect(nameHash(text)).toBe(hash);
  });

  test('gives 16 characters of base32 for any text', () => {
    for (const text of ['', 'a', 'é', 'x'.repeat(1000)]) expect(nameHash(text)).toMatch(/^[A-Z2-7]{16}$/u);
  });
});

describe('chainName and setName', () => {
  test('take what the kernel takes', () => {
    expect(chainName('A'.repeat(28))).toBe('A'.repeat(28));
    expect(setName('A'.repeat(31))).toBe('A'.repeat(31));
  });

  test('refuse what the kernel would refuse', () => {
    expect(() => chainName('A'.repeat(29))).toThrow(RangeError);
    expect(() => chainName('')).toThrow(RangeError);
    expect(() => setName('A'.repeat(32))).toThrow(RangeError);
    expect(() => setName('')).toThrow(RangeError);
  });
});
