const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Value of a dotted quad, 0 to 2³²−1; `undefined` for anything else. Leading zeros and short forms are refused because
 * readers disagree about them (RFC 6943 §3.1.1): '010.0.0.1' is 8.0.0.1 to some and 10.0.0.1 to others.
 * Written over char codes because it runs for every address of every object when the agent starts.
 */
export function parseIPv4(text: string): number | undefined {
  const end = text.length;
  if (end < 7 || end > 15) return undefined;
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || dots === 3) return undefined;
      value = value * 256 + octet;
      dots += 1;
      octet = 0;
      digits = 0;
    } else {
      if (code < ZERO || code > NINE) return undefined;
      if (digits > 0 && octet === 0) return undefined;
      octet = octet * 10 + (code - ZERO);
      digits += 1;
      if (octet > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : undefined;
}

/** Dotted quad of a value from 0 to 2³²−1. */
export function formatIPv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}
