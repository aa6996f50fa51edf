import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../pkg/apply/index.ts';
import { KernelWriter, listFlows, readKernel, readSetSizes } from '../../pkg/apply/index.ts';
import {
  chainName,
  isEmptyPlan,
  printRule,
  type Rule,
  RuleState,
  type SetSpec,
  type SetType,
  setName,
} from '../../pkg/kernel/index.ts';
import { type Cidr, type Family, formatAddress, formatCidr } from '../../pkg/net/index.ts';
import { createCommandRunner, systemClock } from '../../pkg/runtime/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { inNamespace } from '../support/in-namespace.ts';

const backends = ['legacy', 'nft'] as const satisfies readonly Backend[];
const families: readonly Family[] = ['IPv4', 'IPv6'];
const namespace = 'weir-text';
const outside = createCommandRunner();
const commands = inNamespace(outside, namespace);
const able =
  capabilities.netns && capabilities.ipset && capabilities['iptables-legacy'] && capabilities['iptables-nft'];

async function run(file: string, args: readonly string[], runner = outside): Promise<string> {
  const result = await runner.run({ file, args, captureOutput: true, timeoutMs: 10_000 });
  if (result.exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

beforeEach(() => run('ip', ['netns', 'add', namespace]));
afterEach(() => run('ip', ['netns', 'del', namespace]));

// Zeros and small groups often: there libraries differ in what they shorten and what they take for IPv4.
const group = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(1, 0xffff) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
);
const bits: Readonly<Record<Family, fc.Arbitrary<bigint>>> = {
  IPv4: fc.bigInt({ min: 1n, max: 0xffff_ffffn }),
  IPv6: fc
    .array(group, { minLength: 8, maxLength: 8 })
    .map((groups) => groups.reduce((value, next) => (value << 16n) | BigInt(next), 0n))
    .filter((value) => value !== 0n),
};

function block(family: Family): fc.Arbitrary<Cidr> {
  const width = family === 'IPv4' ? 32 : 128;
  const length = fc.oneof(fc.integer({ min: 1, max: width }), fc.integer({ min: width - 32, max: width }));
  return fc
    .tuple(
      bits[family],
      length.map((value) => Math.max(1, value)),
    )
    .map(([value, length]) => {
      const host = BigInt(width - length);
      return { family, bits: (value >> host) << host, length };
    });
}

/** What one run writes: blocks for everything that takes one, and addresses for the rest. */
interface Content {
  readonly blocks: readonly Cidr[];
  readonly addresses: readonly string[];
}

function content(family: Family): fc.Arbitrary<Content> {
  const address = bits[family].map((value) => formatAddress({ family, bits: value }));
  return fc.record({
    blocks: fc.uniqueArray(block(family), { minLength: 50, maxLength: 150, selector: formatCidr }),
    addresses: fc.uniqueArray(address, { minLength: 50, maxLength: 150 }),
  });
}

function netMember(cidr: Cidr): string {
  const whole = cidr.family === 'IPv4' ? 32 : 128;
  return cidr.length === whole ? formatAddress(cidr) : formatCidr(cidr);
}

const members: Readonly<Record<SetType, (content: Content) => readonly string[]>> = {
  'hash:ip': ({ addresses }) => addresses,
  'hash:net': ({ blocks }) => blocks.map(netMember),
  'hash:ip,port': ({ addresses }) => addresses.map((address) => `${address},tcp:80`),
  'hash:net,port': ({ blocks }) => blocks.map((cidr) => `${netMember(cidr)},udp:53`),
  'hash:ip,port,ip': ({ addresses }) => addresses.map((address) => `${address},sctp:9,${address}`),
  'hash:ip,port,net': ({ addresses, blocks }) =>
    blocks.map((cidr, index) => `${addresses[index % addresses.length]},tcp:443,${netMember(cidr)}`),
};

function filterRules(blocks: readonly Cidr[]): readonly Rule[] {
  return blocks.map((cidr, index) => ({
    matches: [
      {
        kind: index % 2 === 0 ? 'source' : 'destination',
        cidr: formatCidr(cidr),
        ...(index % 3 === 0 ? { negated: true } : {}),
      },
    ],
    target: { kind: 'return' },
  }));
}

function natRules(addresses: readonly string[]): readonly Rule[] {
  return addresses.map((address) => ({
    matches: [{ kind: 'protocol', protocol: 'tcp' }],
    target: { kind: 'dnat', to: address.includes(':') ? `[${address}]:80` : `${address}:80` },
  }));
}

function stateOf(family: Family, wanted: Content): RuleState {
  const state = new RuleState(family, {
    chain: (_, name) => (name.startsWith('WEIR-') ? 'own' : 'foreign'),
    jump: () => false,
    set: (name) => name.startsWith('WEIR-'),
  });
  for (const [type, membersOf] of Object.entries(members)) {
    const spec: SetSpec = {
      name: setName(`WEIR-${type}`),
      type: type as SetType,
      family,
      maxElements: 10_000,
    };
    state.defineSet(spec);
    for (const member of membersOf(wanted)) state.addMember(spec.name, member);
  }
  const text = (rules: readonly Rule[]): string => rules.map((rule) => printRule(rule, family)).join('\n');
  state.setChain('filter', chainName('WEIR-TEXT'), text(filterRules(wanted.blocks)), 100);
  state.setChain('nat', chainName('WEIR-TEXT'), text(natRules(wanted.addresses)), 100);
  return state;
}

describe.skipIf(!able).each(backends)('on %s', (backend) => {
  describe.each(families)('%s', (family) => {
    const list = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${backend}`;
    const tools = { family, backend, list, save: `${list}-save`, restore: `${list}-restore` };
    const writer = new KernelWriter({ tools, commands, clock: systemClock, onContention: () => undefined });

    test('whatever addresses and blocks were written, the kernel holds just these', async () => {
      await fc.assert(
        fc.asyncProperty(content(family), async (wanted) => {
          const state = stateOf(family, wanted);
          const before = await readKernel(commands, tools, ['filter', 'nat']);
          state.replaceApplied(before);
          await writer.apply(state.plan());
          const kernel = await readKernel(commands, tools, ['filter', 'nat']);
          state.replaceApplied(kernel);
          expect(state.plan()).toSatisfy(isEmptyPlan);
          expect(state.setsOfOtherSize(await readSetSizes(commands))).toEqual([]);
          const held = Object.keys(members).map((type) => kernel.sets.get(setName(`WEIR-${type}`))?.members);
          expect(held).toEqual(Object.values(members).map((membersOf) => new Set(membersOf(wanted))));
        }),
        { numRuns: 4, endOnFailure: true },
      );
    });

    test('what others write in odd ways is known for what it is', async () => {
      const state = stateOf(family, { blocks: [], addresses: [] });
      const [written, meant] = oddRules[family];
      const lines = written.map((rule) => `-A WEIR-ODD ${rule}\n`);
      const input = `*filter\n:WEIR-ODD - [0:0]\n${lines.join('')}COMMIT\n`;
      const { exitCode, stderr } = await commands.run({
        file: tools.restore,
        args: ['--noflush'],
        input,
        timeoutMs: 10_000,
      });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      state.setChain('filter', chainName('WEIR-ODD'), meant.join('\n'), 100);
      state.replaceApplied(await readKernel(commands, tools, ['filter', 'nat']));
      const odd = state.plan().writeChains.filter(({ name }) => name === 'WEIR-ODD');
      expect(odd).toEqual([]);
    });
  });
});

/** As people write rules, and as Weir does. */
const oddRules: Readonly<Record<Family, readonly [readonly string[], readonly string[]]>> = {
  IPv4: [
    [
      '-s 10.1.2.3/255.255.0.0 -j RETURN',
      '-d 10.0.0.1/32 -p 6 --dport 80 -j RETURN',
      '-p UDP --dport domain -j RETURN',
      '-p tcp --tcp-flags syn,ack syn -j RETURN',
      '-m conntrack --ctstate new,dnat -j RETURN',
    ],
    [
      '-s 10.1.0.0/16 -j RETURN',
      '-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j RETURN',
      '-p udp -m udp --dport 53 -j RETURN',
      '-p tcp -m tcp --tcp-flags SYN,ACK SYN -j RETURN',
      '-m conntrack --ctstate NEW,DNAT -j RETURN',
    ],
  ],
  IPv6: [
    [
      '-s FD00:0:0::A/ffff:ffff:: -j RETURN',
      '-d ::0.1.0.0/112 -p 6 --dport 80 -j RETURN',
      '-s ::ffff:10.0.0.0/104 -j RETURN',
      '-s 1::2:3:4:5:6:7 -j RETURN',
      '-p UDP --dport domain -j RETURN',
      '-m addrtype --dst-type local -j RETURN',
    ],
    [
      '-s fd00::/32 -j RETURN',
      '-d ::1:0/112 -p tcp -m tcp --dport 80 -j RETURN',
      '-s ::ffff:10.0.0.0/104 -j RETURN',
      '-s 1:0:2:3:4:5:6:7/128 -j RETURN',
      '-p udp -m udp --dport 53 -j RETURN',
      '-m addrtype --dst-type LOCAL -j RETURN',
    ],
  ],
};

describe.skipIf(!able || !capabilities.conntrack)('tracked connections', () => {
  test.each([
    ['IPv4', '10.9.8.7'],
    ['IPv6', '::1:5'],
    ['IPv6', '::102:304'],
    ['IPv6', '1:0:2:3:4:5:6:7'],
  ] as const)('of %s are found by the canonical form of an address: %s', async (family, address) => {
    const other = family === 'IPv4' ? '10.0.0.1' : 'fd00::1';
    const flow = ['-p', 'udp', '-s', address, '-d', other, '--sport', '1', '--dport', '53', '-t', '60'];
    await run('conntrack', ['-I', ...flow], commands);
    const flows = await listFlows(commands, family, new Set([address]));
    expect(flows.map(({ original }) => original.source)).toEqual([address]);
  });
});
