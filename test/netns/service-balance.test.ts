import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../pkg/net/index.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { contact, silenceMs, summary } from '../support/service-contact.ts';
import {
  type EndpointSpec,
  endpointSlices,
  frontendsOf,
  type Manifest,
  serviceManifest,
  servicePort,
  targetPort,
} from '../support/service-manifests.ts';
import {
  backends,
  clusterCidrs,
  createServiceWorld,
  families,
  type PodName,
  podNodes,
  protocols,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';

const flags = ['--cluster-cidr', clusterCidrs];

function endpoint(world: ServiceWorld, pod: PodName, more: Partial<EndpointSpec> = {}): EndpointSpec {
  return { pod: world.pod(pod), node: podNodes[pod], ...more };
}

/** Chi-square by degrees of freedom; a fair choice goes beyond it once in a million runs. */
const bounds = { 2: 27.7, 4: 33.5, 69: 141 } as const;

function chiSquare(counts: readonly number[]): number {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
}

describe.skipIf(!usable).each(backends)('sharing out on %s', (backend) => {
  const three: readonly PodName[] = ['a', 'b', 'd'];
  const five: readonly PodName[] = ['a', 'b', 'c', 'd', 'e'];
  const manyPorts = Array.from({ length: 14 }, (_, index) => 9001 + index);
  const manyService = 12;
  let world: ServiceWorld;

  function services(): readonly Manifest[] {
    return [
      world.nodeObject(),
      serviceManifest({ name: 'three', number: 10 }),
      ...endpointSlices(
        'three',
        three.map((pod) => endpoint(world, pod)),
      ),
      serviceManifest({ name: 'five', number: 11 }),
      ...endpointSlices(
        'five',
        five.map((pod) => endpoint(world, pod)),
      ),
      serviceManifest({ name: 'seventy', number: manyService, frontends: 'cluster-ip', tcpPorts: ['http'] }),
      ...manyPorts.flatMap((port, part) =>
        endpointSlices(
          'seventy',
          five.map((pod) => endpoint(world, pod)),
          [{ name: 'http', protocol: 'TCP', port }],
          part,
        ),
      ),
    ];
  }

  beforeAll(async () => {
    world = await createServiceWorld(backend, 'routed');
    const listeners = manyPorts.map((port) => ({ protocol: 'tcp', port }) as const);
    await Promise.all(five.map((pod) => world.pod(pod).listen(...listeners)));
    await world.run(services(), flags);
  });
  afterAll(() => world.dispose());

  describe.each(families)('over %s', (family) => {
    test.each([
      { protocol: 'tcp', number: 10, pods: three, bound: bounds[2] },
      { protocol: 'udp', number: 10, pods: three, bound: bounds[2] },
      { protocol: 'tcp', number: 11, pods: five, bound: bounds[4] },
      { protocol: 'udp', number: 11, pods: five, bound: bounds[4] },
    ] as const)('is fair over $pods with $protocol', async ({ protocol, number, pods, bound }) => {
      const request = { protocol, address: frontendsOf(number, family).clusterIP, port: servicePort };
      const { replies, failures } = await world.client('outside').burst({ ...request, count: 900 });
      expect(failures).toEqual({});
      expect(Object.keys(replies)).toEqual(pods);
      expect(chiSquare(Object.values(replies))).toBeLessThan(bound);
    });

    test('is fair over 70 endpoints, which are chosen in two steps', async () => {
      const request = { address: frontendsOf(manyService, family).clusterIP, port: servicePort } as const;
      const result = await world.client('outside').burst({ ...request, protocol: 'tcp', count: 1400 });
      expect(result.failures).toEqual({});
      // Who answers names the pod only; the kernel counts what each rule has sent to its port.
      const saved = await world.iptables(family, '-save', ['-c', '-t', 'nat']);
      const lines = saved.matchAll(/^\[(\d+):\d+\] -A KUBE-SVC-.*--to-destination \S+:(90\d\d)$/gm);
      const counts = [...lines].map((line) => Number(line[1]));
      expect(counts).toHaveLength(70);
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1400);
      expect(chiSquare(counts)).toBeLessThan(bounds[69]);
    });
  });
});

describe.skipIf(!usable).each(backends)('affinity on %s', (backend) => {
  /** Each port remembers its clients for itself, so that sixteen of them don't all change or stay by chance. */
  const ports = Array.from({ length: 16 }, (_, index) => `p${index}`);
  const timeoutSeconds = 5;
  const number = 20;
  let world: ServiceWorld;

  function services(pods: readonly PodName[], withOther = false): readonly Manifest[] {
    const slicePorts = ports.map((name) => ({ name, protocol: 'TCP', port: targetPort }));
    const spec = { name: 'sticky', number, tcpPorts: ports, frontends: 'cluster-ip' } as const;
    return [
      world.nodeObject(),
      serviceManifest({ ...spec, affinitySeconds: timeoutSeconds }),
      ...endpointSlices(
        'sticky',
        pods.map((pod) => endpoint(world, pod)),
        slicePorts,
      ),
      ...(withOther ? [serviceManifest({ name: 'other', number: 21 })] : []),
    ];
  }

  async function answers(): Promise<readonly string[]> {
    const tries = [world.client('outside'), world.pod('c'), world.node].flatMap((client) =>
      families.flatMap((family) => ports.map((_, index) => ({ client, family, port: servicePort + index }))),
    );
    return Promise.all(
      tries.map(async ({ client, family, port }) => {
        const address = frontendsOf(number, family).clusterIP;
        const seen = await contact(client, { protocol: 'tcp', address, port });
        return `${client.name} ${family} ${port}: ${seen.kind === 'reply' ? seen.name : seen.kind}`;
      }),
    );
  }

  beforeAll(async () => {
    world = await createServiceWorld(backend, 'routed');
    await world.run(services(['a', 'b', 'd']), flags);
  });
  afterAll(() => world.dispose());

  test('keeps a client at its endpoint until it has been quiet for long enough', async () => {
    const first = await answers();
    for (const pod of ['a', 'b', 'd']) expect(first.some((line) => line.endsWith(pod))).toBe(true);
    expect(await answers()).toEqual(first);

    await world.update(services(['a', 'b', 'd'], true));
    expect(await answers(), 'after another Service came').toEqual(first);
    await sleep(3000);
    expect(await answers(), 'before the time-out').toEqual(first);
    await sleep(3000);
    expect(await answers(), 'the time-out counts from the last connection').toEqual(first);
    await world.update(services(['a', 'b', 'd', 'e'], true));
    expect(await answers(), 'after an endpoint came').toEqual(first);

    await sleep(1000 * (timeoutSeconds + 1));
    expect(await answers(), 'after the time-out').not.toEqual(first);
  });

  test('moves a client only when its endpoint goes', async () => {
    await world.update(services(['a', 'b', 'd', 'e'], true));
    const before = await answers();
    await world.update(services(['a', 'b', 'd'], true));
    const after = await answers();
    const stayed = before.filter((line) => !line.endsWith('e'));
    expect(after).toEqual(expect.arrayContaining(stayed));
    expect(after.filter((line) => /: [abd]$/.test(line))).toHaveLength(before.length);
  });
});

describe.skipIf(!usable).each(worlds)('$mode pods on $backend', ({ backend, mode }) => {
  let world: ServiceWorld;
  let outside: NetworkNamespace;
  const number = 30;

  beforeAll(async () => {
    world = await createServiceWorld(backend, mode);
    outside = world.client('outside');
    await world.run(services({ name: 'svc' }, [endpoint(world, 'a')]), flags);
  });
  afterAll(() => world.dispose());

  function services(
    spec: Partial<Parameters<typeof serviceManifest>[0]>,
    endpoints: readonly EndpointSpec[],
  ): readonly Manifest[] {
    const service = serviceManifest({ name: 'svc', number, ...spec });
    return [world.nodeObject('z1'), service, ...endpointSlices('svc', endpoints)];
  }

  /** The same over both families. */
  async function everyFamily(look: (family: Family) => Promise<string>): Promise<string> {
    const seen = new Set(await Promise.all(families.map(look)));
    return [...seen].join(' / ');
  }

  function fromOutside(several = 1): Promise<string> {
    return everyFamily((family) =>
      summary(
        outside,
        { protocol: 'tcp', address: world.node.address(family), port: frontendsOf(number, family).nodePort },
        several,
      ),
    );
  }

  function inside(several = 1): Promise<string> {
    return everyFamily((family) =>
      summary(
        world.pod('c'),
        { protocol: 'udp', address: frontendsOf(number, family).clusterIP, port: servicePort },
        several,
      ),
    );
  }

  describe.each(['Cluster', 'Local'] as const)('with policies %s', (policy) => {
    beforeAll(async () => {
      const policies = { externalTrafficPolicy: policy, internalTrafficPolicy: policy };
      await world.update(
        services({ ...policies, affinitySeconds: 60 + policy.length }, [endpoint(world, 'a')]),
      );
    });

    test.each(protocols.flatMap((protocol) => families.map((family) => ({ protocol, family }))))(
      'a pod reaches itself through its Service with $protocol over $family',
      async ({ protocol, family }) => {
        const frontends = frontendsOf(number, family);
        const targets = [
          { address: frontends.clusterIP, port: servicePort },
          { address: frontends.loadBalancerIP, port: servicePort },
          { address: frontends.externalIP, port: servicePort },
          { address: world.node.address(family), port: frontends.nodePort },
        ];
        const seen = await Promise.all(
          targets.map((target) => summary(world.pod('a'), { protocol, ...target })),
        );
        expect(seen).toEqual(targets.map(() => 'a masqueraded'));
      },
    );
  });

  test('terminating endpoints serve only where none is ready', async () => {
    const ending = { ready: false, serving: true, terminating: true };
    const notReady = { ready: false, serving: false, terminating: false };
    await world.update(services({}, [endpoint(world, 'a'), endpoint(world, 'b', { conditions: ending })]));
    expect(await inside()).toBe('a unchanged');
    expect(await fromOutside()).toBe('a masqueraded');

    await world.update(
      services({}, [
        endpoint(world, 'a', { conditions: notReady }),
        endpoint(world, 'b', { conditions: ending }),
      ]),
    );
    expect(await inside()).toBe('b unchanged');
    expect(await fromOutside()).toBe('b masqueraded');

    await world.update(
      services({ externalTrafficPolicy: 'Local' }, [
        endpoint(world, 'a', { conditions: ending }),
        endpoint(world, 'd'),
      ]),
    );
    expect(await inside()).toBe('d unchanged');
    expect(await fromOutside()).toBe('a unchanged');

    const closed = { ...ending, serving: false };
    await world.update(
      services({}, [
        endpoint(world, 'a', { conditions: notReady }),
        endpoint(world, 'b', { conditions: closed }),
      ]),
    );
    expect(await inside()).toBe('refused');
  });

  test('hints keep traffic in the zone or on the node where all ready endpoints carry them', async () => {
    await world.update(
      services({}, [endpoint(world, 'a', { zones: ['z1'] }), endpoint(world, 'd', { zones: ['z2'] })]),
    );
    expect(await inside()).toBe('a unchanged');

    await world.update(
      services({}, [
        endpoint(world, 'a', { zones: ['z1'] }),
        endpoint(world, 'd', { zones: ['z2'] }),
        endpoint(world, 'e'),
      ]),
    );
    expect(await inside(3)).toBe('a d e unchanged');

    await world.update(
      services({}, [endpoint(world, 'a', { zones: ['z2'] }), endpoint(world, 'd', { zones: ['z2', 'z3'] })]),
    );
    expect(await inside(2)).toBe('a d unchanged');

    await world.update(
      services({}, [
        endpoint(world, 'a', { zones: ['z1'], nodes: ['node-b'] }),
        endpoint(world, 'd', { zones: ['z1'], nodes: ['node-a'] }),
      ]),
    );
    expect(await inside()).toBe('d unchanged');

    await world.update(
      services({ externalTrafficPolicy: 'Local' }, [
        endpoint(world, 'a', { zones: ['z2'] }),
        endpoint(world, 'd', { zones: ['z1'] }),
      ]),
    );
    expect(await inside()).toBe('d unchanged');
    expect(await fromOutside(), 'policy Local does not look at hints').toBe('a unchanged');
  });

  test('a refusal is over as soon as there is an endpoint', async () => {
    await world.update(services({}, []));
    const address = frontendsOf(number, 'IPv4').clusterIP;
    const request = {
      protocol: 'tcp',
      address,
      port: servicePort,
      timeoutMs: silenceMs('tcp', 'IPv4'),
    } as const;
    expect(await contact(outside, request)).toEqual({ kind: 'refused' });
    await world.update(services({}, [endpoint(world, 'd')]));
    expect(await contact(outside, request)).toEqual({ kind: 'reply', name: 'd', masqueraded: true });
  });
});
