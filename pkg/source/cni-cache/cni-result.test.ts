import { describe, expect, it } from 'vitest';
import { readCniResult } from './cni-result.ts';

type Json = Readonly<Record<string, unknown>>;

const args = [
  ['IgnoreUnknown', '1'],
  ['K8S_POD_NAMESPACE', 'shop'],
  ['K8S_POD_NAME', 'web-0'],
  ['K8S_POD_INFRA_CONTAINER_ID', 'c1'],
  ['K8S_POD_UID', '6f1c2c1e-8d3a-4b58-9a3e-0d6d2a0f5a11'],
];

/** As containerd has it written, with the bridge plugin. */
function cached(changes: Json = {}): Json {
  return {
    kind: 'cniCacheV1',
    containerId: 'c1',
    config: 'e30=',
    ifName: 'eth0',
    networkName: 'cbr0',
    netns: '/var/run/netns/cni-1',
    cniArgs: args,
    capabilityArgs: { dns: {} },
    result: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'cni0' }, { name: 'veth1' }, { name: 'eth0', sandbox: '/var/run/netns/cni-1' }],
      ips: [
        { address: '10.1.2.3/24', gateway: '10.1.2.1', interface: 2 },
        { address: 'fd00::3/64', interface: 2 },
      ],
    },
    ...changes,
  };
}

function read(changes: Json = {}) {
  return readCniResult(JSON.stringify(cached(changes)), 7n);
}

function argsWithout(key: string): unknown {
  return args.filter(([name]) => name !== key);
}

describe('readCniResult', () => {
  it('reads pod, uid, sandbox and addresses', () => {
    expect(read()).toEqual({
      namespace: 'shop',
      name: 'web-0',
      uid: '6f1c2c1e-8d3a-4b58-9a3e-0d6d2a0f5a11',
      containerId: 'c1',
      addresses: ['10.1.2.3', 'fd00::3'],
      addedNs: 7n,
    });
  });

  it.each<[string, Json, readonly string[]]>([
    ['CNI 0.2', { ip4: { ip: '10.1.2.3/24' }, ip6: { ip: 'fd00::3/64' } }, ['10.1.2.3', 'fd00::3']],
    ['CNI 0.2, one family', { ip6: { ip: 'fd00::3/64' } }, ['fd00::3']],
    ['CNI 0.3, with versions', { ips: [{ version: '4', address: '10.1.2.3/24' }] }, ['10.1.2.3']],
    ['CNI 0.4, without interfaces', { ips: [{ address: '10.1.2.3/32', interface: 0 }] }, ['10.1.2.3']],
    [
      "addresses of the node's end",
      {
        interfaces: [{ name: 'cni0' }, { name: 'eth0', sandbox: '/n' }],
        ips: [
          { address: '10.1.2.1/24', interface: 0 },
          { address: '10.1.2.3/24', interface: 1 },
        ],
      },
      ['10.1.2.3'],
    ],
    ['no prefix length', { ips: [{ address: '10.1.2.3' }] }, ['10.1.2.3']],
  ])('reads the addresses of a result of %s', (_case, result, addresses) => {
    expect(read({ result })?.addresses).toEqual(addresses);
  });

  it.each([
    ['the runtime gives none', argsWithout('K8S_POD_UID')],
    [
      "it is a static pod's hash",
      [...(argsWithout('K8S_POD_UID') as []), ['K8S_POD_UID', 'd41d8cd98f00b204e9800998ecf8427e']],
    ],
  ])('has no uid where %s', (_case, cniArgs) => {
    expect(read({ cniArgs })).toMatchObject({ name: 'web-0', uid: '' });
  });

  it.each<[string, Json]>([
    ['another kind', { kind: 'cniCacheV2' }],
    ['no kind', { kind: undefined }],
    ['the loopback interface', { ifName: 'lo', networkName: 'cni-loopback' }],
    ['a second interface', { ifName: 'net1' }],
    ['no arguments', { cniArgs: undefined }],
    ['arguments of another shape', { cniArgs: { K8S_POD_NAMESPACE: 'shop' } }],
    ['no namespace', { cniArgs: argsWithout('K8S_POD_NAMESPACE') }],
    ['no pod name', { cniArgs: argsWithout('K8S_POD_NAME') }],
    ['no container', { containerId: undefined }],
    ['no result', { result: undefined }],
    ['a result without addresses', { result: { ips: [] } }],
    ['a result of another shape', { result: { ips: [null, 5, { address: 6 }] } }],
  ])('ignores %s', (_case, changes) => {
    expect(read(changes)).toBeUndefined();
  });

  it('ignores every beginning of a file', () => {
    const text = JSON.stringify(cached());
    for (let length = 0; length < text.length; length++) {
      expect(readCniResult(text.slice(0, length), 7n)).toBeUndefined();
    }
    expect(readCniResult(text, 7n)).toBeDefined();
  });

  it.each(['null', '5', '[]', '"text"', '\u0000'])('ignores %j', (text) => {
    expect(readCniResult(text, 7n)).toBeUndefined();
  });
});
