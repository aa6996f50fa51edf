import { hash } from 'node:crypto';

/** An iptables chain: at most 28 characters. */
export type ChainName = string & { readonly __brand: 'ChainName' };
/** An ipset set: at most 31 characters, one name space for both families. */
export type SetName = string & { readonly __brand: 'SetName' };

export type TableName = 'filter' | 'nat' | 'mangle' | 'raw';

const maxChainName = 28;
const maxSetName = 31;

/** Brands a chain name; throws a RangeError where the kernel would refuse it. */
export function chainName(text: string): ChainName {
  if (text.length === 0 || text.length > maxChainName)
    throw new RangeError(`chain name of ${text.length} characters: ${text}`);
  return text as ChainName;
}

/** Brands a set name; throws a RangeError where the kernel would refuse it. */
export function setName(text: string): SetName {
  if (text.length === 0 || text.length > maxSetName)
    throw new RangeError(`set name of ${text.length} characters: ${text}`);
  return text as SetName;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * The first 16 characters of the base32 text (RFC 4648) of the SHA-256 of `text`: kube-proxy's way to name chains,
 * so that both agree on them.
 */
export function nameHash(text: string): string {
  // As text: a Buffer for each of tens of thousands of names costs four times as much.
  const digest = hash('sha256', text, 'binary');
  let result = '';
  let bits = 0;
  let value = 0;
  for (let index = 0; result.length < 16; index += 1) {
    value = ((value << 8) | digest.charCodeAt(index)) & 0xffff;
    bits += 8;
    while (bits >= 5 && result.length < 16) {
      bits -= 5;
      result += alphabet[(value >> bits) & 31];
    }
  }
  return result;
}
