import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ApiObject,
  decodeObject,
  type EndpointSlice,
  type NetworkPolicy,
  type Pod,
  type Service,
} from '../../pkg/api/index.ts';
import { type Packet, PacketTracer, parseIpsetSave, parseIptablesSave } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import { evaluate, type PolicyWorld } from '../../pkg/policy/decide/index.ts';
import { decideService } from '../../pkg/service/decide/index.ts';
import {
  backends,
  canRunFaults,
  createFaultWorld,
  type FaultWorld,
  families,
} from '../support/fault-world.ts';
import { FaultyTools } from '../support/faulty-tools.ts';
import { type MutatedObject, mutatedNamespace, mutatedObjects } from '../support/mutated-objects.ts';
import { firstPacket } from '../support/policy-node.ts';
import { seededRandom, worldSeed } from '../support/random.ts';
import { patient, ServiceLoad } from '../support/service-load.ts';
import { frontendsOf, type Manifest, servicePort, targetPort } from '../support/service-manifests.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const rounds = 4;
const objectsOfEachRound = 154;
const policyPacketsOfEachRound = 200;
const patience = { timeout: 30_000, interval: 100 };
const seed = worldSeed();

/** A Service of every kind of address, whose endpoints answer, and a pod that only one other may reach. */
const services = [
  { name: 'shop', number: 1, pods: ['a', 'b'] },
  { name: 'guarded', number: 2, pods: ['a'], loadBalancerSourceRanges: ['0.0.0.0/0', '::/0'] },
] as const;
const shop = frontendsOf(1, 'IPv4');
/** They keep their addresses, whoever claims them as well. */
const standing: ReadonlySet<string> = new Set(
  services.flatMap(({ number }) => families.map((family) => frontendsOf(number, family).clusterIP)),
);
const topology = { nodeName: 'node-a', zone: undefined };

for (const backend of backends) {
  describe.skipIf(!canRunFaults(backend))(
    `objects with anything in any field, on the ${backend} backend`,
    () => {
      let faults: FaultWorld;
      let weir: WeirProcess;
      let tools: FaultyTools;
      const programs = ['ipset', `iptables-${backend}-restore`, `ip6tables-${backend}-restore`];
      const told: (readonly string[])[] = [];

      beforeAll(async () => {
        process.stderr.write(`WEIR_SEED=${seed} repeats the mutated objects\n`);
        tools = await FaultyTools.mount(programs);
        faults = await createFaultWorld(backend);
        await faults.setServices(services, guardedPods(faults));
        weir = await faults.start();
      }, 60_000);
      afterAll(async () => {
        await faults.dispose();
        await tools.unmount();
      });

      test('the right ones work, the wrong ones are named, and nothing stops the others', async () => {
        const pods = ['a', 'b', 'c'].flatMap((name) => faults.pod(name as 'a').addresses);
        const taken = [
          ...pods,
          ...faults.node.addresses,
          ...families.flatMap((family) => frontendsOf(1, family).clusterIP),
        ];
        const load = await ServiceLoad.start(
          [
            {
              title: 'cluster IP',
              from: faults.pod('c'),
              to: patient('tcp', shop.clusterIP, servicePort),
              everyMs: 50,
            },
            {
              title: 'load balancer',
              from: faults.outside,
              to: patient('tcp', shop.loadBalancerIP, servicePort),
              everyMs: 50,
            },
            {
              title: 'node port',
              from: faults.outside,
              to: patient('tcp', faults.node.address('IPv4'), shop.nodePort),
              everyMs: 50,
            },
          ],
          [],
        );
        for (let round = 0; round < rounds; round += 1) {
          const objects = mutatedObjects({ seed, count: objectsOfEachRound, round, node: 'node-a', taken });
          const from = weir.lines.length;
          // What stood in a file whose objects cannot all be named stays: a file of its own for each round.
          if (round > 0) await faults.setFile(`round-${round - 1}`, undefined);
          await faults.setFile(
            `round-${round}`,
            objects.map(({ manifest }) => manifest),
          );
          await expect.poll(() => planned(faults), patience).toEqual([]);
          const decoded = decodeAll(objects);
          await expect.poll(() => unnamed(decoded.complaints, weir.lines.slice(from)), patience).toEqual([]);
          told.push(weir.lines.slice(from));
          expect(await wrongServices(faults, decoded.objects)).toEqual([]);
          expect(await wrongPackets(faults, decoded.objects, round)).toEqual([]);
          const closed = {
            protocol: 'tcp',
            address: faults.pod('b').address('IPv4'),
            port: targetPort,
            timeoutMs: 500,
          } as const;
          expect(await faults.pod('a').connect({ ...closed, timeoutMs: 5000 })).toMatchObject({
            kind: 'reply',
          });
          expect(await faults.pod('c').connect(closed)).toMatchObject({ kind: 'timeout' });
        }
        await faults.setFile(`round-${rounds - 1}`, undefined);
        await expect.poll(() => planned(faults), patience).toEqual([]);
        expect(await load.stop()).toMatchObject({ failures: {} });
      }, 120_000);

      test('values that the kernel refuses among all of that are left out and named', async () => {
        const round = rounds;
        const refused = [`198.18.${round}.1`, `2001:db8:18:${round.toString(16)}::1`, '10.98.128.0/17'];
        for (const program of programs) await tools.refuseLines(program, refused.join('\n'));
        const isRefused = (text: string): boolean => refused.some((part) => text.includes(part));
        const objects = mutatedObjects({ seed, count: objectsOfEachRound, round, node: 'node-a', taken: [] });
        const from = weir.lines.length;
        await faults.setFile(
          `round-${round}`,
          objects.map(({ manifest }) => manifest),
        );
        const decoded = decodeAll(objects).objects.filter(
          (object) => object.kind !== 'Service' || !Object.values(object.clusterIPs).some(isRefused),
        );
        await expect.poll(() => wrongServices(faults, decoded), patience).toEqual([]);
        const refusals = (): readonly string[] =>
          weir.lines.slice(from).filter((line) => / ERROR .*: the kernel refuses /.test(line));
        const named = (field: RegExp): boolean => refusals().some((line) => field.test(line));
        await expect
          .poll(
            () => [named(/ Service fuzz\/zz\S+: spec\.externalIPs: /), named(/ NetworkPolicy fuzz\/zz/)],
            patience,
          )
          .toEqual([true, true]);
        expect(refusals().filter((line) => !isRefused(line))).toEqual([]);
        expect(JSON.stringify(await faults.rules())).not.toMatch(new RegExp(refused.join('|')));
        told.push(weir.lines.slice(from));
        for (const program of programs) await tools.refuseLines(program, undefined);
        await faults.setFile(`round-${round}`, undefined);
        await expect.poll(() => planned(faults), patience).toEqual([]);
      }, 120_000);

      test('no write fails, and nothing that somebody wrote reaches a terminal', () => {
        const lines = told.flat();
        expect(lines.length).toBeGreaterThan(rounds * 20);
        expect(
          lines.filter((line) => /not written|sync failed|TypeError|WEIR_BUG|^\s+at /.test(line)),
        ).toEqual([]);
        expect(lines.filter((line) => /[\p{Cc}\u2028\u202e]/u.test(line))).toEqual([]);
        expect(lines.filter((line) => line.length > 5000)).toEqual([]);
      });

      test('all of it goes away again', async () => {
        const text = JSON.stringify(await faults.rules());
        const left = text.match(
          /198\.18\.|198\.19\.|10\.97\.|10\.241\.|10\.98\.|2001:db8:1[89]|TRIAL|-TEMP-/g,
        );
        expect([...new Set(left)]).toEqual([]);
        expect(await weir.stop()).toEqual({ code: 0, signal: null });
      });
    },
  );
}

/** Pods a and c, and b, which takes connections from a only. */
function guardedPods(faults: FaultWorld): readonly Manifest[] {
  const pods = (['a', 'b', 'c'] as const).map((name) => {
    const podIPs = faults.pod(name).addresses.map((ip) => ({ ip }));
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', labels: { app: name } },
      spec: { nodeName: 'node-a', containers: [] },
      status: { phase: 'Running', podIP: podIPs[0]?.ip, podIPs },
    };
  });
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'only-a', namespace: 'default' },
    spec: {
      podSelector: { matchLabels: { app: 'b' } },
      // Whoever comes from outside comes by way of a Service.
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'a' } } }] }, { ports: [{ port: 1 }] }],
    },
  };
  return [...pods, policy];
}

/** What is left to be written. */
async function planned(faults: FaultWorld): Promise<readonly string[]> {
  const { code, lines } = await faults.plan();
  return code === 0 ? [] : lines.filter((line) => !/ (?:ERROR|WARN) /.test(line)).slice(-20);
}

interface DecodedRound {
  /** Of several that have one name the first counts. */
  readonly objects: readonly ApiObject[];
  /** Who must be named with what: kind, name, field. */
  readonly complaints: readonly (readonly string[])[];
}

function decodeAll(mutated: readonly MutatedObject[]): DecodedRound {
  const objects = new Map<string, ApiObject>();
  const complaints: (readonly string[])[] = [];
  for (const { manifest } of mutated) {
    const result = decodeObject(manifest);
    if (result.outcome === 'ignored') continue;
    for (const { severity, kind, namespace, name, field } of result.diagnostics) {
      if (severity !== 'error') continue;
      complaints.push(
        [kind, namespace === '' ? name : `${namespace}/${name}`, field].filter((part) => part !== ''),
      );
    }
    if (result.outcome === 'invalid') continue;
    const { object } = result;
    const key = `${object.kind} ${object.namespace}/${object.name}`;
    if (!objects.has(key)) objects.set(key, object);
  }
  return { objects: [...objects.values()], complaints };
}

function unnamed(complaints: DecodedRound['complaints'], lines: readonly string[]): readonly string[] {
  const errors = lines.filter((line) => line.includes(' ERROR ')).map(plain);
  return complaints
    .filter((words) => !errors.some((line) => words.every((word) => line.includes(plain(word)))))
    .map((words) => words.join(' '));
}

/** Without what a log shows in another way than it is. */
const plain = (text: string): string => text.replaceAll(/\\u[0-9a-f]{4}|[^\x20-\x7e]/g, '');

async function tracersOf(faults: FaultWorld): Promise<ReadonlyMap<Family, PacketTracer>> {
  const sets = parseIpsetSave((await faults.node.run('ipset', ['save'])).stdout);
  const entries = families.map(async (family) => {
    const kernel = { tables: parseIptablesSave(await faults.save(family)), sets };
    return [
      family,
      new PacketTracer({ family, kernel, localAddresses: [faults.node.address(family)] }),
    ] as const;
  });
  return new Map(await Promise.all(entries));
}

const isKind =
  <Kind extends ApiObject['kind']>(kind: Kind) =>
  (object: ApiObject): object is Extract<ApiObject, { kind: Kind }> =>
    object.kind === kind;

/** Services whose addresses do not lead where they should; those that claim what another has, or that have pods derived for them, aside. */
async function wrongServices(faults: FaultWorld, objects: readonly ApiObject[]): Promise<readonly string[]> {
  const tracers = await tracersOf(faults);
  const slices = objects.filter(isKind('EndpointSlice'));
  const candidates = objects.filter(isKind('Service'));
  const claims = new Map<string, number>();
  for (const service of candidates)
    for (const claim of new Set(claimsOf(service))) claims.set(claim, (claims.get(claim) ?? 0) + 1);
  const wrong: string[] = [];
  let traced = 0;
  for (const service of candidates.filter(({ selector }) => selector === undefined)) {
    const own = slices.filter(
      (slice) => slice.namespace === service.namespace && slice.serviceName === service.name,
    );
    for (const family of families) {
      const tracer = tracers.get(family);
      for (const { port, endpoints, internalRefusal } of decideService(service, own, family, topology)) {
        if (
          tracer === undefined ||
          isLoopback(port.clusterIP) ||
          // Such a packet is the node's own: kube-proxy rejects for cluster IPs on the way through and out only, and so does Weir.
          (internalRefusal !== undefined && faults.node.addresses.includes(port.clusterIP)) ||
          // A policy drops what comes to the guarded pod, also where a Service has its address.
          (internalRefusal !== undefined && faults.pod('b').addresses.includes(port.clusterIP)) ||
          claims.get(`${port.clusterIP} ${port.protocol} ${port.port}`) !== 1 ||
          (port.port === servicePort && standing.has(port.clusterIP))
        )
          continue;
        const packet = servicePacket(family, port.clusterIP, port.protocol, port.port);
        const seen = [...new Set(tracer.trace(packet).map((outcome) => whereTo(packet, outcome)))].toSorted();
        const chosen = port.internalPolicyLocal ? endpoints.local : endpoints.cluster;
        const wanted =
          internalRefusal === undefined ? chosen.map(({ address }) => address).toSorted() : [internalRefusal];
        traced += 1;
        if (seen.join() !== wanted.join())
          wrong.push(`${port.id} ${port.clusterIP}: ${seen.join()}, not ${wanted.join()}`);
      }
    }
  }
  if (traced < 20) wrong.push(`only ${traced} Service addresses were tried`);
  return wrong;
}

/** A packet to such an address does not come by the node's rules for Services alone. */
const isLoopback = (ip: string): boolean => ip.startsWith('127.') || ip === '::1';

function claimsOf({ clusterIPs, externalIPs, loadBalancerIPs, ports, headless }: Service): readonly string[] {
  const ips = headless ? [] : [...Object.values(clusterIPs), ...externalIPs, ...loadBalancerIPs];
  return ips.flatMap((ip) => ports.map(({ protocol, port }) => `${ip} ${protocol} ${port}`));
}

const strangers = { IPv4: '10.244.0.77', IPv6: 'fd00:10:244::77' } as const;

function servicePacket(
  family: Family,
  destination: string,
  protocol: string,
  destinationPort: number,
): Packet {
  return {
    from: 'outside',
    inInterface: 'veth-none',
    protocol: protocol.toLowerCase() as 'tcp',
    source: strangers[family],
    sourcePort: 40_000,
    destination,
    destinationPort,
  };
}

/** An endpoint, also one that a policy closes, or what happens to a packet that gets to none. */
function whereTo(
  { destination: clusterIP }: Packet,
  { verdict, destination, destinationPort }: ReturnType<PacketTracer['trace']>[number],
): string {
  if (verdict !== 'accept' && destination === clusterIP) return verdict;
  return destination.includes(':')
    ? `[${destination}]:${destinationPort}`
    : `${destination}:${destinationPort}`;
}

/** Packets between pods that policies judge otherwise than the evaluator. */
async function wrongPackets(
  faults: FaultWorld,
  objects: readonly ApiObject[],
  round: number,
): Promise<readonly string[]> {
  const tracers = await tracersOf(faults);
  const world: PolicyWorld = {
    policies: objects.filter(isKind('NetworkPolicy')).filter(inFuzz),
    pods: objects.filter(isKind('Pod')),
    namespaces: objects.filter(isKind('Namespace')),
  };
  // Two pods with one address, Services at pods' addresses, addresses of the node and pods of other nodes are another matter.
  const owners = Map.groupBy(
    world.pods.flatMap((pod) => pod.addresses.map((address) => ({ pod, ...address }))),
    ({ ip }) => ip,
  );
  const frontends = new Set(
    objects
      .filter(isKind('Service'))
      .flatMap((service) => claimsOf(service).map((claim) => claim.split(' ')[0])),
  );
  const ends = [...owners.values()].flatMap(([one, ...others]) =>
    one === undefined ||
    others.length > 0 ||
    frontends.has(one.ip) ||
    one.pod.nodeName !== 'node-a' ||
    !isPodAddress.test(one.ip)
      ? []
      : [one],
  );
  const random = seededRandom(seed + round);
  const anyEnd = () => ends[Math.floor(random() * ends.length)];
  const wrong: string[] = [];
  let denied = 0;
  for (let index = 0; index < policyPacketsOfEachRound; index += 1) {
    const to = anyEnd();
    // A pod that its own policy selects is asked by itself, which its policy allows, as often as by others.
    const from =
      index % 4 === 0
        ? ends.find(({ pod, family, ip }) => pod === to?.pod && family === to.family && ip !== to.ip)
        : anyEnd();
    if (to === undefined) break;
    const source =
      from !== to && from?.family === to.family
        ? from.ip
        : to.family === 'IPv4'
          ? '10.98.77.77'
          : '2001:db8:98::77:77';
    const protocol = index % 3 === 0 ? 'UDP' : 'TCP';
    const destinationPort = [80, 81, 1500, 8080][Math.floor(random() * 4)] ?? 80;
    const packet = { source, destination: to.ip, protocol, destinationPort } as const;
    const outcome = tracers.get(to.family)?.trace(firstPacket(packet, to.family));
    const isAllowed = evaluate(world, packet).allowed;
    if (!isAllowed) denied += 1;
    if (outcome?.some(({ verdict }) => (verdict === 'accept') !== isAllowed) !== false)
      wrong.push(
        `${JSON.stringify(packet)}: ${outcome?.map(({ verdict }) => verdict).join()}, not ${isAllowed}`,
      );
  }
  if (denied < 10) wrong.push(`only ${denied} packets were to be denied`);
  return wrong;
}

const isPodAddress = /^(?:10\.98\.|2001:db8:98:)/;

const inFuzz = ({ namespace }: NetworkPolicy | EndpointSlice | Pod): boolean =>
  namespace === mutatedNamespace;
