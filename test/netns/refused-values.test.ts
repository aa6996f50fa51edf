import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { Outcome } from '../support/agent/protocol.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  type PodName,
} from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { rotating } from '../support/rotating.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const shop = { name: 'shop', number: 1, pods: ['a', 'b'] } as const;
const newcomer = { name: 'newcomer', number: 5, pods: ['c'] } as const;
const patience = { timeout: 40_000, interval: 200 };

/** Waits that are over early where an answer comes, and short where none may. */
const [long, short] = [5000, 700];

interface Refusal {
  readonly what: string;
  readonly tool: 'ipset' | 'restore';
  /** Of the lines that nobody takes. */
  readonly text: string;
  /** Beside `shop`. */
  readonly objects: readonly Manifest[];
  /** The line that must be logged: object, field, value. */
  readonly named: RegExp;
}

const balanced = (name: string, spec: Manifest, endpoints: readonly string[] = []): readonly Manifest[] => [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.60',
      clusterIPs: ['10.96.0.60'],
      ipFamilies: ['IPv4'],
      ports: [{ port: servicePort, nodePort: 30_060 }],
      ...spec,
    },
    status: { loadBalancer: { ingress: [{ ip: '203.0.113.60' }] } },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port: targetPort }],
    endpoints: endpoints.map((address) => ({ addresses: [address] })),
  },
];

const serviceRefusals: readonly Refusal[] = [
  {
    what: "an endpoint's rule",
    tool: 'restore',
    text: '--to-destination 10.244.77.7:',
    objects: balanced('odd', {}, ['10.244.77.7', '10.244.77.8']),
    named: /EndpointSlice default\/odd-1: endpoints\.addresses: the kernel refuses 10\.244\.77\.7 /,
  },
  {
    what: 'the affinity of clients',
    tool: 'restore',
    text: '--seconds 4711',
    objects: balanced(
      'odd',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 4711 } } },
      ['10.244.77.7'],
    ),
    named:
      /Service default\/odd: spec\.sessionAffinity: the kernel refuses what spec\.sessionAffinity asks for/,
  },
  {
    what: 'a rule for an external IP',
    tool: 'restore',
    text: '-d 198.51.100.60/32 ',
    objects: balanced('odd', { externalIPs: ['198.51.100.60'] }, ['10.244.77.7']),
    named: /Service default\/odd: spec\.externalIPs: the kernel refuses 198\.51\.100\.60 /,
  },
  {
    what: 'a rule for a node port',
    tool: 'restore',
    text: '--dport 30060 ',
    objects: balanced('odd', {}, ['10.244.77.7']),
    named: /Service default\/odd: spec\.ports\.nodePort: the kernel refuses 30060 /,
  },
  {
    what: 'a member for an address without endpoints',
    tool: 'ipset',
    text: ' 203.0.113.60,tcp:80',
    objects: balanced('odd', {}),
    named: /Service default\/odd: status\.loadBalancer\.ingress: the kernel refuses 203\.0\.113\.60 /,
  },
  {
    what: 'a source range',
    tool: 'ipset',
    text: ',192.0.2.0/24',
    objects: balanced('odd', { loadBalancerSourceRanges: ['192.0.2.0/24'] }, ['10.244.77.7']),
    named: /Service default\/odd: spec\.loadBalancerSourceRanges: the kernel refuses 192\.0\.2\.0\/24 /,
  },
];

const policy = (name: string, spec: Manifest): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'default' },
  spec,
});
const podOf = (name: string, ips: readonly string[], node = 'node-a'): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: name } },
  spec: { nodeName: node, containers: [] },
  status: { phase: 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
});

for (const backend of rotating('refused-values', backends)) {
  describe.skipIf(!canRunFaults(backend))(
    `a value that the kernel refuses, on the ${backend} backend`,
    () => {
      let faults: FaultWorld;
      let tools: FaultyTools;
      const programs = {
        ipset: ['ipset'],
        restore: [`iptables-${backend}-restore`, `ip6tables-${backend}-restore`],
      } as const;

      beforeAll(async () => {
        tools = await FaultyTools.mount([...programs.ipset, ...programs.restore]);
        faults = await createFaultWorld(backend);
      });
      afterAll(async () => {
        await faults.dispose();
        await tools.unmount();
      });
      beforeEach(() => faults.setServices([shop]));
      afterEach(async () => {
        await refuse('ipset', undefined);
        await refuse('restore', undefined);
        await faults.wipe();
      });

      async function refuse(tool: Refusal['tool'], text: string | undefined): Promise<void> {
        await Promise.all(programs[tool].map((program) => tools.refuseLines(program, text)));
      }

      const notWritten = (weir: WeirProcess): readonly string[] =>
        weir.lines.filter((line) => /not written|sync failed/.test(line));

      async function connect(
        from: PodName,
        address: string,
        port: number,
        timeoutMs: number,
      ): Promise<Outcome['kind']> {
        return (await faults.pod(from).connect({ protocol: 'tcp', address, port, timeoutMs })).kind;
      }
      const clusterIP = ({ number }: { readonly number: number }, family: Family = 'IPv4'): string =>
        frontendsOf(number, family).clusterIP;

      test.each(serviceRefusals)(
        '$what is left out and named; everything else is written',
        async (refusal) => {
          const { tool, text, objects, named } = refusal;
          const weir = await faults.start();
          await refuse(tool, text);
          await faults.setServices([shop, newcomer], objects);
          await weir.waitForLine(named, { timeoutMs: 40_000 });
          await expect
            .poll(() => connect('b', clusterIP(newcomer), servicePort, long), patience)
            .toBe('reply');
          expect(await connect('c', clusterIP(shop), servicePort, long)).toBe('reply');
          expect(notWritten(weir)).toEqual([]);
          // Nobody is let in whom a range would have kept out.
          const balancer = { protocol: 'tcp', address: '203.0.113.60', port: servicePort } as const;
          const { kind } = await faults.outside.connect({ ...balancer, timeoutMs: short });
          expect(kind).not.toBe('reply');
          // A start begins with all of it, and comes to the same.
          await faults.killAll();
          await faults.wipe();
          const again = await faults.start();
          await again.waitForLine(named);
          expect(await connect('b', clusterIP(newcomer), servicePort, long)).toBe('reply');
          expect(notWritten(again)).toEqual([]);
        },
      );

      test('many values of many objects are left out in one go', async () => {
        await refuse('ipset', ' 203.0.113.60,');
        await refuse('restore', '10.244.77.');
        const odd = Array.from({ length: 12 }, (_, index) =>
          balanced(
            `odd-${index}`,
            { clusterIP: `10.96.1.${index}`, clusterIPs: [`10.96.1.${index}`], ports: [{ port: 80 }] },
            index % 3 === 0 ? [] : [`10.244.77.${index}`],
          ),
        );
        await faults.setServices([shop, newcomer], odd.flat());
        const weir = await faults.start();
        for (let index = 0; index < odd.length; index += 1) {
          const named =
            index % 3 === 0
              ? `Service default/odd-${index}: status`
              : `EndpointSlice default/odd-${index}-1: endpoints`;
          await weir.waitForLine(new RegExp(named), { timeoutMs: 40_000 });
        }
        expect(await connect('b', clusterIP(newcomer), servicePort, long)).toBe('reply');
        expect(notWritten(weir)).toEqual([]);
      });

      test('an object that changes is tried again', async () => {
        const named = /Service default\/odd: spec\.externalIPs: the kernel refuses 198\.51\.100\.60 /;
        const objects = (externalIPs: readonly string[]): readonly Manifest[] =>
          balanced('odd', { externalIPs }, faults.pod('a').addresses.slice(0, 1));
        await refuse('restore', '-d 198.51.100.60/32 ');
        await faults.setServices([shop], objects(['198.51.100.60']));
        const weir = await faults.start();
        await weir.waitForLine(named);
        const from = weir.lines.length;
        await faults.setServices([shop], objects(['198.51.100.60', '198.51.100.61']));
        // What is known already is not reported again.
        await weir.waitForLine(/DEBUG the kernel refuses .* -d 198\.51\.100\.60\/32 /, { from });
        expect(weir.lines.slice(from).filter((line) => named.test(line))).toEqual([]);
        await expect.poll(() => connect('c', '198.51.100.61', servicePort, long), patience).toBe('reply');
        await refuse('restore', undefined);
        await faults.setServices([shop], objects(['198.51.100.60']));
        await expect.poll(() => connect('c', '198.51.100.60', servicePort, long), patience).toBe('reply');
      });

      describe('in policies', () => {
        const addresses = (name: PodName): readonly string[] => faults.pod(name).addresses;
        const pods = (): readonly Manifest[] =>
          (['a', 'b', 'c'] as const).map((name) => podOf(name, addresses(name)));
        const direct = (from: PodName, to: PodName, timeoutMs: number) =>
          connect(from, faults.pod(to).address('IPv4'), targetPort, timeoutMs);
        const onlyB = policy('only-b', {
          podSelector: { matchLabels: { app: 'a' } },
          ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
        });

        test('a rule closes what its policy selects, and nothing else', async () => {
          await faults.setServices([shop], [...pods(), onlyB]);
          const weir = await faults.start();
          expect(await direct('b', 'a', long)).toBe('reply');
          await refuse('restore', '--dport 4711 ');
          const odd = policy('odd', {
            podSelector: { matchLabels: { app: 'c' } },
            policyTypes: ['Ingress'],
            ingress: [
              { ports: [{ port: 4711 }] },
              { from: [{ podSelector: { matchLabels: { app: 'b' } } }] },
            ],
          });
          const late = policy('late', {
            podSelector: { matchLabels: { app: 'b' } },
            policyTypes: ['Ingress'],
          });
          await faults.setServices([shop, newcomer], [...pods(), onlyB, odd, late]);
          await weir.waitForLine(
            /NetworkPolicy default\/odd: spec\.ingress: the kernel refuses .*the policy allows nothing until it changes/,
            { timeoutMs: 40_000 },
          );
          await expect.poll(() => direct('a', 'b', short), patience).toBe('timeout');
          expect(await direct('b', 'c', short)).toBe('timeout');
          expect(await direct('b', 'a', long)).toBe('reply');
          expect(await direct('c', 'a', short)).toBe('timeout');
          // Egress is no direction of the policy.
          expect(await connect('c', clusterIP(shop), servicePort, long)).toMatch(/reply|timeout/);
          expect(notWritten(weir)).toEqual([]);
          // Without what was refused the policy is what it says.
          await faults.setServices(
            [shop, newcomer],
            [
              ...pods(),
              onlyB,
              {
                ...odd,
                spec: {
                  ...(odd['spec'] as Manifest),
                  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
                },
              },
            ],
          );
          await expect.poll(() => direct('b', 'c', long), patience).toBe('reply');
        });

        test('a block closes what its policy selects', async () => {
          await refuse('ipset', ' 192.0.2.0/24');
          const odd = policy('odd', {
            podSelector: { matchLabels: { app: 'a' } },
            ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }, { podSelector: {} }] }],
          });
          await faults.setServices([shop, newcomer], [...pods(), odd]);
          const weir = await faults.start();
          await weir.waitForLine(
            /NetworkPolicy default\/odd: spec\.ingress: the kernel refuses 192\.0\.2\.0\/24 .*the policy allows nothing/,
          );
          expect(await direct('b', 'a', short)).toBe('timeout');
          expect(await direct('a', 'b', long)).toBe('reply');
          expect(notWritten(weir)).toEqual([]);
        });

        test("a peer's address closes nobody else", async () => {
          await refuse('ipset', ' 10.244.2.99');
          const peers = policy('peers', {
            podSelector: { matchLabels: { app: 'a' } },
            ingress: [{ from: [{ podSelector: {} }] }],
          });
          const far = podOf('far', ['10.244.2.99', 'fd00:10:244:2::99'], 'node-b');
          await faults.setServices([shop, newcomer], [...pods(), far, peers]);
          const weir = await faults.start();
          await weir.waitForLine(
            /Pod default\/far: status\.podIPs: the kernel refuses 10\.244\.2\.99 .*policies do without the address/,
          );
          expect(await direct('b', 'a', long)).toBe('reply');
          expect(
            (
              await faults.outside.connect({
                protocol: 'tcp',
                address: faults.pod('a').address('IPv4'),
                port: targetPort,
                timeoutMs: short,
              })
            ).kind,
          ).not.toBe('reply');
          expect(await connect('b', clusterIP(newcomer), servicePort, long)).toBe('reply');
          expect(notWritten(weir)).toEqual([]);
          const sets = (await faults.node.run('ipset', ['save'])).stdout;
          expect(sets).toMatch(/add WEIR-6-PODS-\S+ fd00:10:244:2::99/);
        });
      });

      test('an address of a pod that its policies would not close is not left out, and Services do not wait for it', async () => {
        const addressOf = (name: PodName): string => faults.pod(name).address('IPv4');
        const pods = (['a', 'b', 'c'] as const).map((name) => podOf(name, faults.pod(name).addresses));
        const direct = (from: PodName, to: PodName, timeoutMs: number) =>
          connect(from, addressOf(to), targetPort, timeoutMs);
        const onlyFromB = [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }];
        const onlyB = (app: string): Manifest =>
          policy(`only-b-${app}`, { podSelector: { matchLabels: { app } }, ingress: onlyFromB });
        await faults.setServices([shop], [...pods, onlyB('a')]);
        const weir = await faults.start();
        await expect.poll(() => direct('c', 'a', short), patience).toBe('timeout');
        await refuse('ipset', ` ${addressOf('c')}`);
        await faults.setServices([shop, { ...newcomer, pods: ['b'] }], [...pods, onlyB('a'), onlyB('c')]);
        await weir.waitForLine(
          new RegExp(`ERROR the kernel refuses a member ${addressOf('c')} of set .* cannot be left out`),
          { timeoutMs: 40_000 },
        );
        await expect.poll(() => connect('a', clusterIP(newcomer), servicePort, long), patience).toBe('reply');
        expect(await direct('b', 'a', long)).toBe('reply');
        expect(await direct('c', 'a', short)).toBe('timeout');
        expect(notWritten(weir)).toContainEqual(expect.stringMatching(/IPv4 policy.* rules not written/));
        await refuse('ipset', undefined);
        await expect.poll(() => direct('a', 'c', short), patience).toBe('timeout');
        expect(await direct('b', 'c', long)).toBe('reply');
      });

      test('what no object says is left out by itself', async () => {
        await refuse('restore', '! -s 10.244.0.0/16 ');
        const weir = await faults.start('--cluster-cidr', '10.244.0.0/16,fd00:10:244::/48');
        await faults.setServices([shop, newcomer]);
        await expect.poll(() => connect('b', clusterIP(newcomer), servicePort, long), patience).toBe('reply');
        expect(await connect('b', clusterIP(newcomer, 'IPv6'), servicePort, long)).toBe('reply');
        const named = weir.lines.filter((line) =>
          /ERROR the kernel refuses a rule of nat chain KUBE-SERVICES: /.test(line),
        );
        expect(named).toHaveLength(1);
        expect(notWritten(weir)).toEqual([]);
      });
    },
  );
}
