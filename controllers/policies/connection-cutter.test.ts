import { describe, expect, test } from 'vitest';
import type { NetworkPolicy, Pod } from '../../pkg/api/index.ts';
import type { Flow } from '../../pkg/apply/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { fakeCommandRunner } from '../../test/support/fake-command-runner.ts';
import { namespace, pod, policy } from '../../test/support/policy-world.ts';
import {
  type ChangedPods,
  type ConnectionWorld,
  createConnectionJudge,
  cutForbiddenConnections,
} from './connection-cutter.ts';

const addresses = {
  web: { IPv4: '10.1.0.1', IPv6: 'fd00::1' },
  api: { IPv4: '10.1.0.2', IPv6: 'fd00::2' },
  /** On the other node. */
  far: { IPv4: '10.2.0.1', IPv6: 'fd00:2::1' },
  node: { IPv4: '192.0.2.1', IPv6: '2001:db8::1' },
  otherNode: { IPv4: '192.0.2.2', IPv6: '2001:db8::2' },
  service: { IPv4: '10.96.0.1', IPv6: 'fd00:96::1' },
  outside: { IPv4: '203.0.113.1', IPv6: '2001:db8:f::1' },
} as const;
type Name = keyof typeof addresses;
const protocols = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58, esp: 50 } as const;

const both = (name: Name): readonly string[] => Object.values(addresses[name]);
const pods: readonly Pod[] = [
  pod('shop/web', both('web')),
  pod('shop/api', both('api')),
  pod('shop/far', both('far'), { nodeName: 'node-2' }),
  pod('shop/host', both('node'), { hostNetwork: true }),
];

function world(policies: readonly NetworkPolicy[], rest: Partial<ConnectionWorld> = {}): ConnectionWorld {
  return {
    policies,
    pods,
    namespaces: [namespace('shop')],
    nodeName: 'node-1',
    nodeAddresses: [...both('node'), '127.0.0.1', '::1'],
    ...rest,
  };
}

const closed = policy('shop/closed', { podSelector: {}, policyTypes: ['Ingress'] });
const locked = policy('shop/locked', { podSelector: {}, policyTypes: ['Egress'] });
const fromWeb = policy('shop/from-web', {
  podSelector: { matchLabels: { app: 'api' } },
  ingress: [
    {
      from: [{ podSelector: { matchLabels: { app: 'web' } } }],
      ports: [{ port: 8080 }, { port: 53, protocol: 'UDP' }],
    },
  ],
});
const pingsFromWeb = policy('shop/pings-from-web', {
  podSelector: { matchLabels: { app: 'api' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
});

/** `web to api tcp/8080`; through the Service where it says so: `web to service=api tcp/8080`. */
function flow(text: string, family: Family = 'IPv4', clientPort = 40_000): Flow {
  const [from = '', to = '', what = ''] = text.split(/ (?:to )?/);
  const [frontend = '', endpoint = frontend] = to.split('=');
  const [protocol = '', port] = what.split('/');
  const [source, destination, server] = [from, frontend, endpoint].map((name) => addressOf(name, family));
  const isService = frontend !== endpoint;
  const direction = (
    source: string,
    destination: string,
    sourcePort: number | undefined,
    destinationPort: number | undefined,
  ): Flow['original'] =>
    sourcePort === undefined || destinationPort === undefined
      ? { source, destination }
      : { source, destination, sourcePort, destinationPort };
  const serverPort = port === undefined ? undefined : Number(port);
  return {
    family,
    protocol: protocols[protocol as keyof typeof protocols],
    state: undefined,
    original: direction(source ?? '', destination ?? '', clientPort, isService ? 80 : serverPort),
    reply: direction(server ?? '', source ?? '', serverPort, clientPort),
  };
}

function addressOf(name: string, family: Family): string {
  return name in addresses ? addresses[name as Name][family] : name;
}

const families = ['IPv4', 'IPv6'] as const;

describe.each(families)('over %s', (family) => {
  const icmp = family === 'IPv4' ? 'icmp' : 'icmpv6';

  function isForbidden(text: string, policies: readonly NetworkPolicy[]): boolean {
    return createConnectionJudge(world(policies))(flow(text, family));
  }

  test.each([
    ['a pod that was closed', 'web to api tcp/8080', [closed]],
    ['a pod that was closed to the outside', 'outside to api tcp/8080', [closed]],
    ['a pod that was closed to another node', 'otherNode to api tcp/8080', [closed]],
    ['a pod that may no longer send', 'web to outside tcp/443', [locked]],
    ['a port that is not open', 'web to api tcp/9090', [closed, fromWeb]],
    ['a protocol that is not open', 'web to api udp/8080', [closed, fromWeb]],
    ['UDP', 'far to api udp/53', [closed, fromWeb]],
    ['SCTP', 'web to api sctp/8080', [closed, fromWeb]],
    ['ICMP, which no rule with ports means', `web to api ${icmp}`, [closed, fromWeb]],
    ['a protocol without ports', 'web to api esp', [closed, fromWeb]],
    ['the endpoint behind a Service', 'far to service=api tcp/8080', [closed, fromWeb]],
    ['the port behind a Service, not that of the Service', 'web to service=api tcp/9090', [closed, fromWeb]],
    ['a pod that reaches itself through a Service', 'api to service=api tcp/8080', [closed, fromWeb]],
    ['egress to a Service, by its endpoint', 'web to service=far tcp/8080', [locked]],
  ] as const)('forbids %s', (_case, text, policies) => {
    expect(isForbidden(text, policies)).toBe(true);
  });

  test.each([
    ['what no policy means', 'web to api tcp/8080', []],
    ['what a rule allows', 'web to api tcp/8080', [closed, fromWeb]],
    ['what a rule allows, through a Service', 'web to service=api tcp/8080', [closed, fromWeb]],
    ['UDP that a rule allows', 'web to api udp/53', [closed, fromWeb]],
    ['ICMP that a rule without ports allows', `web to api ${icmp}`, [closed, pingsFromWeb]],
    ['what a closed pod sends itself', 'api to outside tcp/443', [closed]],
    ['the half of another node: its pod receives', 'web to far tcp/8080', [closed]],
    ['the half of another node: its pod sends', 'far to web tcp/8080', [locked]],
    ['what passes by', 'outside to far tcp/8080', [closed, locked]],
    ['the node, its kubelet and its hostNetwork pods as clients', 'node to api tcp/8080', [closed]],
    ['the node as a client of a Service', 'node to service=api tcp/8080', [closed]],
    ['the node as a server', 'web to node tcp/10250', [locked]],
    ['a hostNetwork pod of the node behind a Service', 'web to service=node tcp/443', [locked]],
  ] as const)('leaves alone %s', (_case, text, policies) => {
    expect(isForbidden(text, policies)).toBe(false);
  });
});

test('leaves alone what a process of the node sends from loopback to a node port', () => {
  expect(createConnectionJudge(world([closed]))(flow('127.0.0.2 to 127.0.0.1=api tcp/8080'))).toBe(false);
});

test('judges a completed pod no more, and a terminating one still', () => {
  const judge = (rest: Partial<Pod>): boolean =>
    createConnectionJudge(world([closed], { pods: [pod('shop/api', both('api'), rest)] }))(
      flow('outside to api tcp/8080'),
    );
  expect(judge({ phase: 'Succeeded' })).toBe(false);
  expect(judge({ terminating: true })).toBe(true);
});

test('judges an address by the pod that lives here when another node still claims it', () => {
  const stale = pod('old/api', both('api'), { nodeName: 'node-2' });
  const here = pod('shop/api', both('api'));
  const staleClosed = policy('old/closed', { podSelector: {} });
  const judge = createConnectionJudge(world([staleClosed], { pods: [stale, here] }));
  expect(judge(flow('outside to api tcp/8080'))).toBe(false);
});

/** What is run to cut connections, and how many the kernel said there were. */
async function cut(options: {
  readonly world: ConnectionWorld;
  readonly flows: readonly Flow[];
  readonly changed?: ChangedPods;
}): Promise<{ readonly count: number; readonly lines: readonly string[] }> {
  const commands = fakeCommandRunner({
    conntrack: ({ args }) => {
      if (args[0] === '-D') return { stderr: '1 flow entries have been deleted.' };
      const family = args[2] === 'ipv4' ? 'IPv4' : 'IPv6';
      return {
        stdout: options.flows
          .filter((flow) => flow.family === family)
          .map(line)
          .join(''),
      };
    },
  });
  const count = await cutForbiddenConnections({
    commands,
    families,
    world: options.world,
    changed: options.changed ?? 'all',
  });
  return { count, lines: commands.lines.filter((text) => text.includes(' -D ')) };
}

function line({ protocol, original, reply }: Flow): string {
  const text = ({ source, destination, sourcePort, destinationPort }: Flow['original']): string =>
    `src=${source} dst=${destination}${sourcePort === undefined ? '' : ` sport=${sourcePort} dport=${destinationPort}`}`;
  return `unknown  ${protocol} 99 ${text(original)} ${text(reply)} mark=0 use=1\n`;
}

test('cuts exactly what is forbidden, in both families', async () => {
  const flows = families.flatMap((family) => [
    flow('web to api tcp/8080', family),
    flow('far to service=api tcp/8080', family),
    flow('node to api tcp/8080', family),
    flow(`far to api ${family === 'IPv4' ? 'icmp' : 'icmpv6'}`, family),
    flow('web to outside tcp/443', family),
  ]);
  const { count, lines } = await cut({ world: world([closed, fromWeb]), flows });
  expect(lines).toEqual([
    'conntrack -D -f ipv4 -p 1 --orig-src 10.2.0.1 --reply-src 10.1.0.2',
    'conntrack -D -f ipv4 -p 6 --orig-src 10.2.0.1 --reply-src 10.1.0.2 --reply-port-src 8080',
    'conntrack -D -f ipv6 -p 58 --orig-src fd00:2::1 --reply-src fd00::2',
    'conntrack -D -f ipv6 -p 6 --orig-src fd00:2::1 --reply-src fd00::2 --reply-port-src 8080',
  ]);
  expect(count).toBe(4);
});

test('cuts the connections of one client to one port together', async () => {
  const flows = Array.from({ length: 1200 }, (_, index) => flow('far to api tcp/8080', 'IPv4', 1024 + index));
  expect((await cut({ world: world([closed]), flows })).lines).toHaveLength(1);
});

test('looks only at pods whose verdicts may have changed, at either end', async () => {
  const flows = [flow('web to api tcp/8080'), flow('far to api tcp/8080'), flow('outside to web tcp/8080')];
  const changed = new Set([addresses.far.IPv4]);
  expect((await cut({ world: world([closed]), flows, changed })).lines).toEqual([
    'conntrack -D -f ipv4 -p 6 --orig-src 10.2.0.1 --reply-src 10.1.0.2 --reply-port-src 8080',
  ]);
});

test.each([
  ['there are no policies', world([]), 'all'],
  ['no policy means a pod of this node', world([policy('other/closed', { podSelector: {} })]), 'all'],
  ['a pod changed, and none of this node is isolated', world([]), new Set([addresses.far.IPv4])],
  ['no pod changed', world([closed]), new Set<string>()],
] as const)('does not even list connections when %s', async (_case, world, changed) => {
  const commands = fakeCommandRunner({});
  expect(await cutForbiddenConnections({ commands, families, world, changed })).toBe(0);
  expect(commands.lines).toEqual([]);
});
