import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { NetworkNamespace, OpenFlow } from '../support/network-namespace.ts';
import { contact, silenceMs } from '../support/service-contact.ts';
import { endpointSlices, frontendsOf, type Manifest, serviceManifest } from '../support/service-manifests.ts';
import {
  clusterCidrs,
  createServiceWorld,
  families,
  type PodName,
  podNodes,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';

const ranges = '172.19.0.0/16,fd00:172:19::/48';
const flags = ['--cluster-cidr', clusterCidrs, `--nodeport-addresses=${ranges}`];
const number = 50;
const { nodePort } = frontendsOf(number, 'IPv4');

/** Each with an address of its own in both families, below the ranges. */
const links = {
  down: { id: 1, lines: ['link add wdown type bridge', ...addressLines(1, 'wdown')] },
  'set down': {
    id: 2,
    lines: [
      'link add woff type bridge',
      'link set woff up',
      ...addressLines(2, 'woff'),
      'link set woff down',
    ],
  },
  'without carrier': {
    id: 3,
    lines: ['link add wcable type veth peer wend', ...addressLines(3, 'wcable'), 'link set wcable up'],
  },
  'up, a second address': {
    id: 4,
    lines: [
      'address add 172.19.4.1/24 dev eth0 label eth0:alias',
      'address add fd00:172:19:4::1/64 dev eth0 nodad',
    ],
  },
  'point to point': {
    id: 5,
    lines: [
      'link add wpeer type veth peer wfar',
      'link set wfar up',
      'link set wpeer up',
      'address add 172.19.5.1 peer 172.19.5.2/32 dev wpeer',
      'address add fd00:172:19:5::1 peer fd00:172:19:5::2 dev wpeer nodad',
    ],
  },
  loopback: {
    id: 6,
    lines: ['address add 172.19.6.1/32 dev lo', 'address add fd00:172:19:6::1/128 dev lo'],
  },
} as const;
type LinkName = keyof typeof links;

function addressLines(id: number, device: string): readonly string[] {
  return families.map((family) => addressLine(id, family, device));
}

function addressLine(id: number, family: Family, device: string): string {
  const [length, more] = family === 'IPv4' ? [24, ''] : [64, ' nodad'];
  return `address add ${addressOf(id, family)}/${length} dev ${device}${more}`;
}

function addressOf(id: number, family: Family): string {
  return family === 'IPv4' ? `172.19.${id}.1` : `fd00:172:19:${id}::1`;
}

/** The kernel takes IPv6 addresses away from a link that is set down, and does not answer on those of one that never was up. */
const withoutIPv6: ReadonlySet<LinkName> = new Set(['down', 'set down']);
const cases = families.flatMap((family) =>
  (Object.keys(links) as LinkName[])
    .filter((link) => family === 'IPv4' || !withoutIPv6.has(link))
    .map((link) => ({ family, link })),
);

describe.skipIf(!usable).each(worlds.filter(({ mode }) => mode === 'routed'))(
  'node ports on the addresses of all kinds of links, on $backend',
  ({ backend, mode }) => {
    let world: ServiceWorld;
    let outside: NetworkNamespace;
    const open: OpenFlow[] = [];

    beforeAll(async () => {
      world = await createServiceWorld(backend, mode);
      outside = world.client('outside');
      await ip(Object.values(links).flatMap(({ lines }) => [...lines]));
      await world.run(manifests('a'), flags);
    });
    afterEach(async () => {
      await Promise.all(open.splice(0).map((flow) => flow.close()));
    });
    afterAll(() => world.dispose());

    function manifests(pod: PodName): readonly Manifest[] {
      const endpoints = [{ pod: world.pod(pod), node: podNodes[pod] }];
      return [
        world.nodeObject(),
        serviceManifest({ name: 'web', number }),
        ...endpointSlices('web', endpoints),
      ];
    }

    async function ip(lines: readonly string[]): Promise<void> {
      await world.node.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
    }

    async function attempt(from: NetworkNamespace, address: string, family: Family): Promise<string> {
      const timeoutMs = silenceMs('tcp', family);
      const seen = await contact(from, { protocol: 'tcp', address, port: nodePort, timeoutMs });
      return seen.kind === 'reply' ? seen.name : seen.kind;
    }

    test.each(cases)('answer over $family on a link that is $link', async ({ family, link }) => {
      const address = addressOf(links[link].id, family);
      expect(await attempt(world.node, address, family)).toBe('a');
      expect(await attempt(outside, address, family)).toBe('a');
    });

    test.each(families)('answer over %s at an address that is added later, at once', async (family) => {
      const id = family === 'IPv4' ? 7 : 8;
      const line = addressLine(id, family, 'eth0');
      await world.afterSync(() => ip([line]));
      expect(await attempt(outside, addressOf(id, family), family)).toBe('a');
      await world.afterSync(() => ip([line.replace(/^address add/, 'address delete').replace(' nodad', '')]));
      expect(await world.iptables(family, '-save', ['-t', 'nat'])).not.toContain(addressOf(id, family));
      // Nobody takes it for somebody else's doing.
      expect(world.lines.filter((text) => text.includes('WARN'))).toEqual([]);
    });

    test('lead UDP flows elsewhere when their endpoint goes, on a link without carrier, too', async () => {
      const request = { protocol: 'udp', address: addressOf(3, 'IPv4'), port: nodePort } as const;
      const flow = await outside.openFlow(request);
      open.push(flow);
      expect(flow.outcome).toMatchObject({ kind: 'reply', name: 'a' });
      await world.update(manifests('b'));
      await expect.poll(() => flow.exchange('x', 500)).toMatchObject({ kind: 'reply', name: 'b' });
      await world.update(manifests('a'));
    });

    describe('Weir', () => {
      const module = fileURLToPath(new URL('../../controllers/node/interface-addresses.ts', import.meta.url));
      const script = `import { interfaceAddresses } from ${JSON.stringify(module)}; console.log(JSON.stringify(interfaceAddresses()));`;

      async function seen(): Promise<readonly string[]> {
        const args = ['--input-type=module', '--eval', script];
        return JSON.parse((await world.node.run(process.execPath, args)).stdout) as readonly string[];
      }

      /** What `ip` shows, which asks the kernel as kube-proxy does. */
      async function shown(): Promise<readonly string[]> {
        const { stdout } = await world.node.run('ip', ['-json', 'address']);
        const list = JSON.parse(stdout) as readonly {
          readonly addr_info: readonly { readonly local: string }[];
        }[];
        return [...new Set(list.flatMap(({ addr_info }) => addr_info.map(({ local }) => local)))].toSorted();
      }

      test('sees the addresses that ip shows', async () => {
        expect(await seen()).toEqual(await shown());
        expect(await seen()).toEqual(
          expect.arrayContaining([1, 2, 3, 4, 5, 6].map((id) => addressOf(id, 'IPv4'))),
        );
      });

      test('sees the same addresses while a link loses its carrier and finds it again', async () => {
        const ofRanges = async (): Promise<readonly string[]> =>
          (await seen()).filter((address) => /^(172\.19|fd00:172:19):?/.test(address));
        const before = await ofRanges();
        await ip(['link set wfar down']);
        expect(await ofRanges()).toEqual(before);
        await ip(['link set wfar up']);
        expect(await ofRanges()).toEqual(before);
      });
    });
  },
);
