import { beforeEach, describe, expect, test } from 'vitest';
import { type EndpointSlice, type Node, namespacedName } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { parseRuleConfig } from '../../pkg/config/index.ts';
import { type ChainName, RuleState } from '../../pkg/kernel/index.ts';
import { endpointPort, endpointSlice, service, servicePort } from '../../test/support/service-objects.ts';
import { partOwnership } from '../sync/part-ownership.ts';
import { ServiceController } from './service-controller.ts';

const node: Node = {
  kind: 'Node',
  namespace: '',
  uid: '',
  name: 'node',
  addresses: ['192.168.0.2'],
  podCIDRs: [],
  zone: undefined,
  beingDeleted: false,
  toBeDeletedTaint: false,
};

describe('ServiceController', () => {
  let store: Store;
  let states: readonly RuleState[];
  let interfaces: readonly string[];
  let controller: ServiceController;

  beforeEach(() => {
    store = new Store();
    interfaces = ['192.168.0.2'];
    states = (['IPv4', 'IPv6'] as const).map(
      (family) => new RuleState(family, partOwnership('services', family)),
    );
    controller = createController({});
    store.upsert(node);
    for (const name of ['svc1', 'svc2', 'svc3']) {
      store.upsert(service({ name, clusterIPs: { IPv4: `10.96.0.1${name.at(-1) ?? ''}` } }));
      store.upsert(endpointSlice(['10.0.0.1'], { name, serviceName: name }));
    }
  });

  function createController(flags: Readonly<Record<string, string>>): ServiceController {
    const parsed = parseRuleConfig({ manifests: 'x', nodeName: 'node', ...flags });
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    return new ServiceController({
      store,
      config: parsed.config,
      tcpBeLiberal: false,
      states,
      interfaceAddresses: () => interfaces,
    });
  }

  /** Chains of a service port, as they should be. */
  function chainsOf(owner: string): readonly string[] {
    return [...controller.chainOwners()].flatMap(([name, one]) =>
      one === owner ? [states[0]?.desiredChain('nat', name as ChainName) ?? ''] : [],
    );
  }

  test('decides all Services at first', () => {
    expect(controller.update(store.takeDirty())).toBe(3);
    expect(chainsOf('ns1/svc2:p80')).toEqual(['-p tcp -j DNAT --to-destination 10.0.0.1:8080']);
  });

  test('looks only at the Services that changed', () => {
    controller.update(store.takeDirty());
    expect(controller.update(store.takeDirty())).toBe(0);
    store.upsert(endpointSlice(['10.0.0.9'], { name: 'svc2', serviceName: 'svc2' }));
    expect(controller.update(store.takeDirty())).toBe(1);
    expect(chainsOf('ns1/svc2:p80')).toEqual(['-p tcp -j DNAT --to-destination 10.0.0.9:8080']);
  });

  test('does not decide again what was changed and changed back', () => {
    controller.update(store.takeDirty());
    const [slice] = store.slicesOf(namespacedName('ns1', 'svc2'));
    store.remove('EndpointSlice', 'ns1', 'svc2');
    if (slice !== undefined) store.upsert(slice);
    const dirty = store.takeDirty();
    expect(dirty.services).toEqual(new Set(['ns1/svc2']));
    expect(controller.update(dirty)).toBe(0);
  });

  test('forgets a Service that is gone', () => {
    controller.update(store.takeDirty());
    store.remove('Service', 'ns1', 'svc2');
    expect(controller.update(store.takeDirty())).toBe(1);
    expect(chainsOf('ns1/svc2:p80')).toEqual([]);
  });

  test('decides all Services again when the node changes', () => {
    controller.update(store.takeDirty());
    store.upsert({ ...node, zone: 'a' });
    expect(controller.update(store.takeDirty())).toBe(3);
  });

  test('decides none again when another Node or an address of an interface changes', () => {
    controller.update(store.takeDirty());
    store.upsert({ ...node, name: 'other', zone: 'b' });
    interfaces = ['192.168.0.2', '192.168.0.3'];
    expect(controller.update(store.takeDirty())).toBe(0);
  });

  test.each([
    ['address', { addresses: ['192.168.0.9'] }],
    ['pod range', { podCIDRs: ['10.244.7.0/24'] }],
  ])('decides all Services again, instead of ending, when the node has another %s', (_case, change) => {
    controller = createController({ detectLocalMode: 'NodeCIDR' });
    controller.update(store.takeDirty());
    store.upsert({ ...node, ...change });
    expect(controller.update(store.takeDirty())).toBe(3);
  });

  test('masquerades what comes from outside the pod range that the node has now', () => {
    controller = createController({ detectLocalMode: 'NodeCIDR' });
    const entry = (): string => states[0]?.desiredChain('nat', 'KUBE-SERVICES' as ChainName) ?? '';
    store.upsert({ ...node, podCIDRs: ['10.244.1.0/24'] });
    controller.update(store.takeDirty());
    expect(entry()).toContain('! -s 10.244.1.0/24');
    store.upsert({ ...node, podCIDRs: ['10.244.7.0/24'] });
    controller.update(store.takeDirty());
    expect(entry()).toContain('! -s 10.244.7.0/24');
    expect(entry()).not.toContain('10.244.1.0/24');
  });

  test('decides none again when the node only begins to go away', () => {
    controller.update(store.takeDirty());
    store.upsert({ ...node, beingDeleted: true, toBeDeletedTaint: true });
    expect(controller.update(store.takeDirty())).toBe(0);
  });

  test('has node ports on the bind address, where they are to be on the primary one', () => {
    interfaces = ['192.168.0.2', '192.168.0.3'];
    controller = createController({ nodeportAddresses: 'primary', bindAddress: '192.168.0.3' });
    controller.update(store.takeDirty());
    const entry = states[0]?.desiredChain('nat', 'KUBE-SERVICES' as ChainName) ?? '';
    expect(entry).toContain('-d 192.168.0.3/32');
    expect(entry).not.toContain('-d 192.168.0.2/32');
  });

  describe('for the UDP flows', () => {
    const dns = service({
      name: 'dns',
      type: 'NodePort',
      clusterIPs: { IPv4: '10.96.0.53' },
      ports: [servicePort({ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 })],
    });

    function backedBy(...addresses: readonly string[]): EndpointSlice {
      const ports = [endpointPort({ name: 'dns', protocol: 'UDP', port: 5353 })];
      return endpointSlice(addresses, { name: 'dns', serviceName: 'dns', ports });
    }

    function changedEndpoints(): readonly string[] | undefined {
      controller.update(store.takeDirty());
      const endpoints = controller.takeChangedUdp('IPv4')?.frontends.nodePorts.get(30_053);
      return endpoints && [...endpoints];
    }

    test('has nothing to say without a UDP port', () => {
      controller.update(store.takeDirty());
      expect(controller.takeChangedUdp('IPv4')).toBeUndefined();
    });

    test('says where they lead, once for each change and family', () => {
      store.upsert(dns);
      store.upsert(backedBy('10.0.0.1'));
      expect(changedEndpoints()).toEqual(['10.0.0.1 5353']);
      expect(changedEndpoints()).toBeUndefined();
      expect(controller.takeChangedUdp('IPv6')).toBeUndefined();
      store.upsert(backedBy('10.0.0.2'));
      expect(changedEndpoints()).toEqual(['10.0.0.2 5353']);
      store.upsert(backedBy());
      expect(changedEndpoints()).toEqual([]);
    });

    test('says that they lead nowhere once the Service is gone', () => {
      store.upsert(dns);
      changedEndpoints();
      store.remove('Service', 'ns1', 'dns');
      controller.update(store.takeDirty());
      expect(controller.takeChangedUdp('IPv4')?.frontends.sockets.size).toBe(0);
    });

    test('says nothing of TCP, of the node, or of what leads to the same', () => {
      store.upsert(dns);
      store.upsert(backedBy('10.0.0.1', '10.0.0.2'));
      changedEndpoints();
      store.upsert(endpointSlice(['10.0.0.9'], { name: 'svc2', serviceName: 'svc2' }));
      store.upsert(backedBy('10.0.0.2', '10.0.0.1'));
      store.upsert({ ...node, zone: 'a' });
      expect(changedEndpoints()).toBeUndefined();
    });

    test.each([
      [{}, '192.168.0.2', true],
      [{}, '127.0.0.2', true],
      [{ iptablesLocalhostNodeports: 'false' }, '127.0.0.2', false],
      [{}, '192.168.0.77', false],
      [{ nodeportAddresses: '192.168.0.3/32' }, '192.168.0.2', false],
      [{ nodeportAddresses: '192.168.0.3/32' }, '192.168.0.3', true],
      [{ nodeportAddresses: 'localhost,192.168.0.3/32' }, '127.0.0.1', true],
      [{ nodeportAddresses: 'localhost,192.168.0.3/32' }, '192.168.0.3', true],
      [{ nodeportAddresses: 'localhost,192.168.0.3/32' }, '192.168.0.2', false],
      [{ nodeportAddresses: 'localhost,all' }, '192.168.0.2', true],
    ])('knows with %o whether node ports answer on %s: %s', (flags, address, expected) => {
      interfaces = ['127.0.0.1', '192.168.0.2', '192.168.0.3'];
      controller = createController(flags);
      store.upsert(dns);
      controller.update(store.takeDirty());
      expect(controller.takeChangedUdp('IPv4')?.isNodePortAddress(address)).toBe(expected);
    });
  });

  test('follows the addresses of the interfaces with the node ports', () => {
    controller = createController({ nodeportAddresses: '192.168.0.0/16' });
    controller.update(store.takeDirty());
    const entry = (): string => states[0]?.desiredChain('nat', 'KUBE-SERVICES' as ChainName) ?? '';
    expect(entry()).not.toContain('192.168.0.3');
    interfaces = ['192.168.0.2', '192.168.0.3'];
    // It counts, so that nobody takes the rules that change for a repair.
    expect(controller.update(store.takeDirty())).toBe(1);
    expect(entry()).toContain('-d 192.168.0.3/32');
    expect(controller.interfaceAddresses).toEqual(interfaces);
    expect(controller.limitsNodePorts).toBe(true);
    // Node ports don't answer there.
    interfaces = [...interfaces, '10.9.9.9'];
    expect(controller.update(store.takeDirty())).toBe(0);
  });

  test('does not depend on the addresses of the interfaces where node ports answer on all', () => {
    controller.update(store.takeDirty());
    expect(controller.limitsNodePorts).toBe(false);
    interfaces = ['192.168.0.77'];
    expect(controller.update(store.takeDirty())).toBe(0);
  });

  test('names the loser and the holder of a node port that two Services claim', () => {
    for (const name of ['svc1', 'svc2']) {
      const ports = [servicePort({ nodePort: 30_080 })];
      store.upsert(
        service({ name, type: 'NodePort', ports, clusterIPs: { IPv4: `10.96.0.1${name.at(-1) ?? ''}` } }),
      );
    }
    controller.update(store.takeDirty());
    const conflicts = controller.conflictDiagnostics();
    expect(conflicts).toHaveLength(1);
    expect(conflicts[0]).toMatchObject({
      severity: 'warning',
      kind: 'Service',
      namespace: 'ns1',
      name: 'svc2',
      message:
        'TCP node port 30080 is not routed to ns1/svc2:p80: ns1/svc1:p80 has it already (the first by name keeps it)',
    });
  });

  test.each([
    [{}, true],
    [{ iptablesLocalhostNodeports: 'false' }, false],
    [{ nodeportAddresses: '192.168.0.0/16' }, false],
    [{ nodeportAddresses: 'primary' }, false],
    [{ nodeportAddresses: 'primary,localhost' }, true],
    [{ nodeportAddresses: 'primary,all' }, true],
    [{ nodeportAddresses: 'primary,localhost', iptablesLocalhostNodeports: 'false' }, false],
  ])('with %o localhost node ports: %s', (flags, expected) => {
    controller = createController(flags);
    expect(controller.servesLocalhostNodePorts).toBe(false);
    controller.update(store.takeDirty());
    expect(controller.servesLocalhostNodePorts).toBe(expected);
  });
});
