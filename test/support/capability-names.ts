/** What tests with a real kernel may need of the machine. `WEIR_REQUIRE` takes these names. */
export const capabilityNames = [
  'root',
  'netns',
  'iptables-legacy',
  'iptables-nft',
  'nft',
  'ipset',
  'conntrack',
  'ipv6',
  'bridge-netfilter',
  'perl-raw',
  'conformance',
] as const;

export type CapabilityName = (typeof capabilityNames)[number];

/** The capabilities that `WEIR_REQUIRE` asks for: a list with commas, or `all`. Throws on a name that does not exist. */
export function requiredCapabilities(text = process.env['WEIR_REQUIRE'] ?? ''): ReadonlySet<CapabilityName> {
  const words = text.split(',').map((word) => word.trim());
  const required = new Set<CapabilityName>();
  for (const word of words.filter((word) => word !== '')) {
    if (word === 'all') return new Set(capabilityNames);
    const name = capabilityNames.find((name) => name === word);
    if (name === undefined)
      throw new RangeError(`WEIR_REQUIRE: no capability ${word}; there are ${capabilityNames.join(', ')}`);
    required.add(name);
  }
  return required;
}
