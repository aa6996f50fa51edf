import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Packet, PacketTracer, parseIpsetSave, parseIptablesSave } from '../../pkg/kernel/index.ts';
import { capabilities } from '../support/capabilities.ts';
import { type CliNode, createCliNode } from '../support/cli-node.ts';
import type { WeirProcess } from '../support/weir-process.ts';

const usable = capabilities.netns && capabilities.ipv6 && capabilities.ipset && capabilities['iptables-nft'];

/** `line` is where the diagnostic must point, counted in the document. */
interface Broken {
  readonly what: string;
  readonly text: (name: string) => string;
  readonly line: number;
}

const service = (name: string, spec: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n${spec}`;
const slice = (name: string, rest: string): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: ${name}\n  labels: {kubernetes.io/service-name: ${name}}\n${rest}`;

const kinds: readonly Broken[] = [
  {
    what: 'a bracket that never closes',
    text: (name) => `kind: Service\nmetadata: {name: ${name}\n`,
    line: 3,
  },
  {
    what: 'bad indentation',
    text: (name) => `kind: Service\nmetadata:\n  name: ${name}\n bad: x\n`,
    line: 4,
  },
  { what: 'a tab', text: () => 'kind: Service\nmetadata:\n\tname: x\n', line: 3 },
  { what: 'plain words', text: () => 'just some words\n', line: 1 },
  { what: 'no kind', text: (name) => `apiVersion: v1\nmetadata: {name: ${name}}\n`, line: 1 },
  {
    what: 'a name of 254 characters',
    text: () => service('x'.repeat(254), '  clusterIP: 10.0.0.1\n'),
    line: 4,
  },
  { what: 'a spec that is a list', text: (name) => service(name, '  - a\n'), line: 5 },
  { what: 'a spec that is a number', text: (name) => service(name, '').replace('spec:', 'spec: 7'), line: 5 },
  {
    what: 'an impossible port',
    text: (name) => service(name, '  clusterIP: 10.0.0.1\n  ports:\n    - port: 99999\n'),
    line: 8,
  },
  {
    what: 'a negative port',
    text: (name) => service(name, '  clusterIP: 10.0.0.1\n  ports:\n    - port: -1\n'),
    line: 8,
  },
  {
    what: 'a port in quotes',
    text: (name) => service(name, '  clusterIP: 10.0.0.1\n  ports:\n    - port: "80"\n'),
    line: 8,
  },
  {
    what: 'the same port name twice',
    text: (name) =>
      service(
        name,
        '  clusterIP: 10.0.0.1\n  ports:\n    - {name: a, port: 80}\n    - {name: a, port: 81}\n',
      ),
    line: 9,
  },
  {
    what: 'an address with leading zeros',
    text: (name) => service(name, '  clusterIP: 10.0.0.010\n'),
    line: 6,
  },
  { what: 'words for an address', text: (name) => service(name, '  clusterIP: somewhere\n'), line: 6 },
  {
    what: 'an endpoint with leading zeros',
    text: (name) => slice(name, 'addressType: IPv4\nendpoints:\n  - addresses: [10.0.0.01]\n'),
    line: 8,
  },
  { what: 'an address type that is none', text: (name) => slice(name, 'addressType: ip\n'), line: 6 },
  {
    what: 'a Service that is defined twice',
    text: () => service('good-0', '  clusterIP: 10.9.9.9\n  ports: [{port: 80}]\n'),
    line: 1,
  },
  {
    what: 'an unknown protocol',
    text: (name) => service(name, '  clusterIP: 10.0.0.1\n  ports:\n    - {port: 80, protocol: ICMP}\n'),
    line: 8,
  },
  {
    what: 'a node port that is text',
    text: (name) =>
      service(name, '  type: NodePort\n  clusterIP: 10.0.0.1\n  ports:\n    - {port: 80, nodePort: http}\n'),
    line: 9,
  },
  {
    what: 'a pod with an impossible address',
    text: (name) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nstatus:\n  podIP: 300.0.0.1\n`,
    line: 5,
  },
];

const brokenCount = 200;
const documentsPerFile = 10;
const manyEndpoints = 10_000;
/** The longest name that a Service may have (RFC 1035), and the longest that a slice may have. */
const longestServiceName = 's'.repeat(63);
const longestSliceName = `${'e'.repeat(126)}.${'e'.repeat(126)}`;

function goodDocuments(name: string, clusterIP: string, endpoint: string, sliceName = name): string {
  return [
    service(name, `  clusterIP: ${clusterIP}\n  ports: [{port: 80, targetPort: 8080}]\n`),
    slice(
      name,
      `addressType: IPv4\nports: [{port: 8080, protocol: TCP}]\nendpoints:\n  - {addresses: [${endpoint}], conditions: {ready: true}}\n`,
    ).replace(`  name: ${name}\n`, `  name: ${sliceName}\n`),
  ].join('---\n');
}

/** 10,000 endpoints, a hundred in each of a hundred slices, as the API server would cut them. */
function crowd(): string {
  const addresses = Array.from(
    { length: manyEndpoints },
    (_, index) => `10.200.${index >> 8}.${index & 255}`,
  );
  const slices = Array.from({ length: 100 }, (_, part) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `crowd-${part}`, labels: { 'kubernetes.io/service-name': 'crowd' } },
    addressType: 'IPv4',
    ports: [{ port: 8080, protocol: 'TCP' }],
    endpoints: addresses
      .slice(part * 100, part * 100 + 100)
      .map((address) => ({ addresses: [address], conditions: { ready: true } })),
  }));
  const crowdService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'crowd' },
    spec: { clusterIP: '10.3.0.1', ports: [{ port: 80, targetPort: 8080 }] },
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [crowdService, ...slices] });
}

/** Every file holds broken documents and good ones in turn. A file that can't be parsed must not take its neighbours along. */
function brokenFolder(): { readonly files: ReadonlyMap<string, string>; readonly wanted: readonly string[] } {
  const files = new Map<string, string>();
  const wanted: string[] = [];
  for (let index = 0; index < brokenCount; index += 1) {
    const kind = kinds[index % kinds.length];
    if (kind === undefined) throw new Error('no kinds');
    const file = `file-${String(Math.floor(index / documentsPerFile)).padStart(2, '0')}.yaml`;
    const good = goodDocuments(`good-${index}`, `10.1.0.${index}`, `10.2.0.${index}`);
    const before = `${files.get(file) ?? ''}${good}---\n`;
    wanted.push(`${file}:${before.split('\n').length - 1 + kind.line} ${kind.what}`);
    files.set(file, `${before}${kind.text(`bad-${index}`)}---\n`);
  }
  return { files, wanted };
}

describe.skipIf(!usable)('a folder with 200 broken documents', () => {
  const { files, wanted } = brokenFolder();
  let cli: CliNode;
  let weir: WeirProcess;
  let tracer: PacketTracer;

  beforeAll(async () => {
    cli = await createCliNode('nft');
    for (const [file, text] of files) await writeFile(cli.path(file), text);
    await cli.write('long.yaml', goodDocuments(longestServiceName, '10.3.0.2', '10.2.1.2', longestSliceName));
    await cli.write('crowd.json', crowd());
    weir = await cli.start();
    tracer = await traceKernel(cli);
  });
  afterAll(async () => {
    await weir.kill();
    await cli.dispose();
  });

  test('names every one of them with its file and line', () => {
    const places = new Set(
      weir.lines.flatMap(
        (line) => / (?:ERROR|WARN) +(?:\S*\/)?(file-\d\d\.yaml:\d+):\d+: \S/.exec(line)?.[1] ?? [],
      ),
    );
    expect(wanted.filter((place) => !places.has(place.split(' ')[0] ?? ''))).toEqual([]);
  });

  test('says nothing of the objects that are right', () => {
    const complaints = weir.lines.filter((line) => /good-[1-9]|crowd|ssssss|eeeeee/.test(line));
    expect(complaints).toEqual([]);
  });

  test('routes every Service that is right', () => {
    const lost: string[] = [];
    for (let index = 0; index < brokenCount; index += 1) {
      const [outcome, ...others] = destinations(tracer, `10.1.0.${index}`);
      if (outcome !== `10.2.0.${index}:8080` || others.length > 0)
        lost.push(`good-${index}: ${outcome ?? 'nothing'}`);
    }
    expect(lost).toEqual([]);
    expect(destinations(tracer, '10.3.0.2')).toEqual(['10.2.1.2:8080']);
  });

  test('routes the Service with 10,000 endpoints to all of them', () => {
    const reached = destinations(tracer, '10.3.0.1');
    expect(reached).toHaveLength(manyEndpoints);
    expect(new Set(reached).size).toBe(manyEndpoints);
  });

  test('lives on, and follows the next change', async () => {
    const from = weir.lines.length;
    await cli.write('late.yaml', goodDocuments('late', '10.3.0.9', '10.2.1.9'));
    await weir.waitForLine(/IPv4 service rules written/, { from });
    expect(destinations(await traceKernel(cli), '10.3.0.9')).toEqual(['10.2.1.9:8080']);
    expect(await weir.stop()).toEqual({ code: 0, signal: null });
    expect(weir.lines.filter((line) => /TypeError|WEIR_BUG|^\s+at /.test(line))).toEqual([]);
  });
});

async function traceKernel(cli: CliNode): Promise<PacketTracer> {
  const rules = await cli.node.run('iptables-nft-save');
  const sets = await cli.node.run('ipset', ['save']);
  const kernel = { tables: parseIptablesSave(rules.stdout), sets: parseIpsetSave(sets.stdout) };
  return new PacketTracer({ family: 'IPv4', kernel, localAddresses: [cli.node.address('IPv4')] });
}

/** Where packets of a pod to port 80 of a cluster IP end, sorted; the verdict where it is not to let them through. */
function destinations(tracer: PacketTracer, clusterIP: string): readonly string[] {
  const packet: Packet = {
    from: 'outside',
    inInterface: 'veth0',
    protocol: 'tcp',
    source: '10.244.1.77',
    sourcePort: 40_000,
    destination: clusterIP,
    destinationPort: 80,
  };
  return tracer
    .trace(packet)
    .map(({ verdict, destination, destinationPort }) =>
      verdict === 'accept' ? `${destination}:${destinationPort ?? ''}` : verdict,
    )
    .toSorted();
}
