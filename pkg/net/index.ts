export type { Address, Family } from './address.ts';
export { canonicalAddress, formatAddress, parseAddress } from './address.ts';
export type { Cidr } from './cidr.ts';
export { canonicalCidr, cidrContains, cidrCovers, familyOf, formatCidr, parseCidr } from './cidr.ts';
export { mergeCidrs } from './merge-cidrs.ts';
export type { PortRange } from './port-range.ts';
export { mergePortRanges } from './port-range.ts';
export { subtractCidrs } from './subtract-cidrs.ts';
