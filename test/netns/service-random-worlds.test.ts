import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../pkg/apply/index.ts';
import { type KernelSnapshot, type Outcome, type Packet, PacketTracer } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import type { ConnectRequest, Transport } from '../support/agent/protocol.ts';
import type { NetworkNamespace } from '../support/network-namespace.ts';
import { worldSeed } from '../support/random.ts';
import {
  flagsOf,
  manifestsOf,
  mostTargets,
  numberOf,
  type RandomServiceWorld,
  type RandomWorldMachines,
  randomServiceWorld,
  sharedNumber,
} from '../support/random-service-world.ts';
import { type Contact, contacts } from '../support/service-contact.ts';
import { openServiceKernel, type ServiceKernel } from '../support/service-kernel.ts';
import { frontendsOf, servicePort, targetPort } from '../support/service-manifests.ts';
import {
  createServiceWorld,
  families,
  type PodName,
  podNodes,
  protocols,
  type ServiceWorld,
  usable,
  worlds,
} from '../support/service-world.ts';
import type { PodNetworkMode } from '../support/world-layout.ts';

/** Each is rendered for both families. */
const worldsOfEachKind = 40;
const packetsOfEachWorld = 60;
const contactsOfEachPacket = 2;
/** Enough for a machine at rest; who stays silent though an answer is due is asked again with more patience. */
const briefMs = 400;
const patientMs = 4000;
/** A refusal of TCP over IPv6 is seen only after the first SYN retry. */
const retryMs = 1600;
const timeLimitMs = 200_000;

const seed = worldSeed();

interface Probe {
  readonly from: NetworkNamespace;
  readonly family: Family;
  readonly request: ConnectRequest;
  readonly packet: Packet;
}

describe.skipIf(!usable)('random worlds', () => {
  process.stderr.write(`WEIR_SEED=${seed} repeats the random worlds\n`);

  test.concurrent.each(worlds)(
    'the tracer and the kernel agree about every packet: $mode pods on $backend',
    { timeout: timeLimitMs + 30_000 },
    async ({ backend, mode }) => {
      const lab = await createLab(backend, mode);
      let told = false;
      try {
        const property = fc.asyncProperty(randomServiceWorld, async (world) => {
          try {
            expect(await disagreements(lab, world)).toEqual([]);
          } catch (error) {
            // Smaller worlds may fail for another reason than the one that was found.
            if (!told) process.stderr.write(`${mode} pods on ${backend}, found: ${String(error)}\n`);
            told = true;
            throw error;
          }
        });
        await fc.assert(property, {
          seed,
          numRuns: worldsOfEachKind,
          interruptAfterTimeLimit: timeLimitMs,
          markInterruptAsFailure: true,
        });
      } finally {
        await lab.services.dispose();
      }
    },
  );
});

interface Lab {
  readonly services: ServiceWorld;
  readonly kernel: ServiceKernel;
  readonly mode: PodNetworkMode;
  readonly machines: RandomWorldMachines;
  /** Of the node. */
  readonly localAddresses: readonly string[];
}

let lastBuilt: Promise<unknown> = Promise.resolve();

/** One after the other: several worlds in the making slow each other down until links seem dead. */
function createLab(backend: Backend, mode: PodNetworkMode): Promise<Lab> {
  const lab = lastBuilt.then(() => buildLab(backend, mode));
  lastBuilt = lab.catch(() => undefined);
  return lab;
}

async function buildLab(backend: Backend, mode: PodNetworkMode): Promise<Lab> {
  const services = await createServiceWorld(backend, mode);
  try {
    const { world, node } = services;
    const ports = Array.from({ length: mostTargets - 1 }, (_, index) => targetPort + 1 + index);
    const requests = ports.flatMap((port) => protocols.map((protocol) => ({ protocol, port })));
    await Promise.all(Object.keys(podNodes).map((pod) => world.pod(pod).listen(...requests)));
    // The node itself answers SCTP on ports that nobody uses as the kernel does for TCP.
    if (protocols.includes('sctp')) await node.listen({ protocol: 'sctp', port: 9 });
    await node.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet']);
    const { stdout } = await node.run('ip', ['-brief', 'address', 'show']);
    const localAddresses = [...stdout.matchAll(/([0-9a-f.:]+)\/\d+/g)].map((match) => match[1] ?? '');
    return {
      services,
      kernel: await openServiceKernel(node, backend, localAddresses),
      mode,
      machines: {
        node,
        outside: services.client('outside'),
        podCidrs: world.podCidrs(),
        pod: (name) => services.pod(name),
      },
      localAddresses,
    };
  } catch (error) {
    await services.dispose();
    throw error;
  }
}

async function disagreements(lab: Lab, world: RandomServiceWorld): Promise<readonly string[]> {
  const kernels = await lab.kernel.replace(manifestsOf(world, lab.machines), flagsOf(world, lab.mode));
  const chosen = shuffled(probesOf(lab, world), world.packets).slice(0, packetsOfEachWorld);
  const tracers = new Map(
    [...kernels].map(([family, kernel]) => [family, tracerOf(lab, family, kernel)] as const),
  );
  const found = await Promise.all(
    chosen.map(async (probe) => {
      const tracer = tracers.get(probe.family);
      return tracer === undefined ? [] : disagreement(lab, tracer.trace(probe.packet), probe);
    }),
  );
  return found.flat();
}

function tracerOf({ localAddresses }: Lab, family: Family, kernel: KernelSnapshot): PacketTracer {
  const ofFamily = (address: string): boolean => address.includes(':') === (family === 'IPv6');
  return new PacketTracer({ family, kernel, localAddresses: localAddresses.filter(ofFamily) });
}

async function disagreement(
  lab: Lab,
  outcomes: readonly Outcome[],
  probe: Probe,
): Promise<readonly string[]> {
  const { from, family, request } = probe;
  const allowed = new Set(outcomes.flatMap((outcome) => predicted(lab, outcome)));
  const mayAnswer = [...allowed].some((word) => word !== 'timeout');
  const isSlow =
    request.protocol === 'tcp' && family === 'IPv6' && !outcomes.some((one) => one.verdict === 'accept');
  const brief = { ...request, timeoutMs: isSlow ? retryMs : briefMs };
  let seen = (await contacts(from, brief, contactsOfEachPacket)).map(observed);
  if (mayAnswer && seen.includes('timeout') && !allowed.has('timeout')) {
    seen = (await contacts(from, { ...request, timeoutMs: patientMs }, contactsOfEachPacket)).map(observed);
  }
  return seen
    .filter((word) => !allowed.has(word))
    .map((word) => {
      const path = `${from.name} to ${request.protocol} ${request.address} port ${request.port}`;
      const reasons = outcomes.flatMap((one) =>
        one.steps.map((step) => `${step.hook} ${step.chain}: ${step.text}`),
      );
      return `${path}: seen "${word}", but traced "${[...allowed].join('" or "')}" because of\n${[...new Set(reasons)].join('\n')}`;
    });
}

function observed(seen: Contact): string {
  if (seen.kind !== 'reply') return seen.kind;
  return `${seen.name} ${seen.masqueraded ? 'masqueraded' : 'unchanged'}`;
}

/** What a client may see of an outcome. */
function predicted(lab: Lab, outcome: Outcome): readonly string[] {
  if (outcome.undecided)
    throw new Error(`the tracer does not know Weir's own rules: ${JSON.stringify(outcome.steps)}`);
  if (outcome.verdict === 'reject') return ['refused'];
  if (outcome.verdict === 'drop') return ['timeout'];
  const pod = (Object.keys(podNodes) as PodName[]).find((name) =>
    lab.machines.pod(name).addresses.includes(outcome.destination),
  );
  if (pod !== undefined) return [`${pod} ${outcome.masqueraded ? 'masqueraded' : 'unchanged'}`];
  const isLocal = outcome.destination.startsWith('127.') || lab.localAddresses.includes(outcome.destination);
  // Nobody listens on the node's own ports; what leaves the node is lost, and the gateway may say so.
  return isLocal ? ['refused'] : ['timeout', 'unreachable'];
}

/** Every source, address and protocol of the world that could meet a rule. */
function probesOf(lab: Lab, world: RandomServiceWorld): readonly Probe[] {
  const { services, machines, mode } = lab;
  const nodeSide = (pod: string): string => (mode === 'bridged' ? 'cni0' : services.world.nodeInterface(pod));
  const sources = [
    { from: services.pod('a'), inInterface: nodeSide('a') },
    { from: services.pod('c'), inInterface: nodeSide('c') },
    { from: services.client('outside'), inInterface: 'eth0' },
    { from: services.client('stranger'), inInterface: 'eth0' },
    { from: machines.node, inInterface: undefined },
  ];
  const numbers = [sharedNumber, ...world.services.map((_, index) => numberOf(index))];
  return families
    .flatMap((family) =>
      numbers.flatMap((number) =>
        protocols.flatMap((protocol) =>
          targetsOf(number, family, machines.node).flatMap(({ address, port }) =>
            sources.map(({ from, inInterface }) => {
              const request = { protocol, address, port };
              return { from, family, request, packet: packetOf(from, inInterface, family, request) };
            }),
          ),
        ),
      ),
    )
    .filter(({ from, request }) => from === machines.node || request.address !== '127.0.0.1');
}

function targetsOf(number: number, family: Family, node: NetworkNamespace) {
  const { clusterIP, loadBalancerIP, externalIP, nodePort } = frontendsOf(number, family);
  const nodes = [node.address(family), ...(family === 'IPv4' ? ['127.0.0.1'] : [])];
  return [
    ...[clusterIP, loadBalancerIP, externalIP].map((address) => ({ address, port: servicePort })),
    ...nodes.map((address) => ({ address, port: nodePort })),
  ];
}

function packetOf(
  from: NetworkNamespace,
  inInterface: string | undefined,
  family: Family,
  {
    protocol,
    address,
    port,
  }: { readonly protocol: Transport; readonly address: string; readonly port: number },
): Packet {
  const source = address === '127.0.0.1' ? address : from.address(family);
  const packet = { protocol, source, destination: address, destinationPort: port };
  return inInterface === undefined
    ? { from: 'local', ...packet }
    : { from: 'outside', inInterface, ...packet };
}

/** Fisher and Yates, with xorshift32. */
function shuffled<T>(items: readonly T[], start: number): readonly T[] {
  const result = [...items];
  let state = (start ^ 0x9e37_79b9) | 1;
  for (let index = result.length - 1; index > 0; index -= 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (index + 1);
    const [one, two] = [result[index], result[other]];
    if (one !== undefined && two !== undefined) [result[index], result[other]] = [two, one];
  }
  return result;
}
