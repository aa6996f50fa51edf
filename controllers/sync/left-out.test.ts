import { beforeEach, describe, expect, test } from 'vitest';
import type { Origin } from '../../pkg/api/index.ts';
import type { RefusedElement } from '../../pkg/apply/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { chainName, RuleState, setName } from '../../pkg/kernel/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { pod, policy } from '../../test/support/policy-world.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { service } from '../../test/support/service-objects.ts';
import { LeftOut } from './left-out.ts';
import { PartSync } from './part-sync.ts';

const chain = chainName('KUBE-SVC-A');
const rule: RefusedElement = {
  element: { kind: 'rule', table: 'nat', chain, rule: '-j ONE' },
  why: 'RULE_APPEND failed (Invalid argument)',
};
const member: RefusedElement = {
  element: { kind: 'member', set: setName('WEIR-4-CLUSTER-IPS'), member: '192.0.2.1,tcp:80' },
  why: '',
};
const external = {
  kind: 'Service',
  namespace: 'ns1',
  name: 'svc1',
  field: 'spec.externalIPs',
  value: '192.0.2.1',
} as const satisfies Origin;

describe('LeftOut', () => {
  let store: Store;
  let clock: FakeClock;
  let closed: readonly string[];
  let log: RecordedLog;
  let part: PartSync;
  let origins: readonly Origin[];
  let leftOut: LeftOut;

  beforeEach(() => {
    store = new Store();
    log = recordedLog();
    part = new PartSync(
      'services',
      new RuleState('IPv4', { chain: () => 'own', jump: () => true, set: () => true }),
    );
    part.state.setChain('nat', chain, '-j ONE\n-j TWO', 1);
    origins = [external];
    clock = new FakeClock();
    closed = [];
    leftOut = new LeftOut({
      store,
      clock,
      log,
      originsOf: () => origins,
      wouldClose: (ip) => closed.includes(ip),
    });
    store.upsert(service({ externalIPs: ['192.0.2.1', '192.0.2.2'] }));
    store.takeDirty();
  });

  const externalIPs = (): readonly string[] | undefined => store.get('Service', 'ns1', 'svc1')?.externalIPs;
  const inWords = (): readonly string[] =>
    leftOut
      .diagnostics()
      .map(({ severity, kind, namespace, name, field, message }) =>
        [severity, kind, `${namespace}/${name}`, field, message].join(' | '),
      );

  test('takes a refused value out of its object, which names it, and is written again', () => {
    expect(leftOut.refused(part, [rule])).toBe(true);
    expect(externalIPs()).toEqual(['192.0.2.2']);
    expect([...store.takeDirty().services]).toEqual(['ns1/svc1']);
    expect(inWords()).toEqual([
      'error | Service | ns1/svc1 | spec.externalIPs | the kernel refuses 192.0.2.1 (RULE_APPEND failed (Invalid argument)); it is left out until the Service changes',
    ]);
    expect(log.lines).toEqual([
      'DEBUG the kernel refuses a rule of nat chain KUBE-SVC-A: -j ONE (RULE_APPEND failed (Invalid argument))',
    ]);
  });

  test('takes several values out of one object, each once', () => {
    leftOut.refused(part, [rule, member]);
    origins = [{ ...external, value: '192.0.2.2' }];
    expect(leftOut.refused(part, [rule])).toBe(true);
    expect(externalIPs()).toEqual([]);
    expect(inWords()).toHaveLength(2);
  });

  test('says no more of an object that has changed or gone, and tries it again', () => {
    leftOut.refused(part, [rule]);
    store.upsert(service({ externalIPs: ['192.0.2.1'], affinitySeconds: 5 }));
    expect(inWords()).toEqual([]);
    expect(externalIPs()).toEqual(['192.0.2.1']);
    leftOut.refused(part, [rule]);
    expect(inWords()).toHaveLength(1);
    store.remove('Service', 'ns1', 'svc1');
    expect(inWords()).toEqual([]);
  });

  test('closes a policy', () => {
    store.upsert(policy('shop/web', { podSelector: {}, ingress: [{}], policyTypes: ['Ingress', 'Egress'] }));
    origins = [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'web', field: 'spec.ingress', value: '' }];
    expect(leftOut.refused(part, [rule])).toBe(true);
    expect(store.get('NetworkPolicy', 'shop', 'web')).toMatchObject({
      ingress: [],
      egress: [],
      policyTypes: ['Ingress', 'Egress'],
    });
    expect(inWords()).toEqual([
      'error | NetworkPolicy | shop/web | spec.ingress | the kernel refuses what spec.ingress asks for (RULE_APPEND failed (Invalid argument)); the policy allows nothing until it changes',
    ]);
  });

  describe('the address of a pod', () => {
    const podIP = {
      kind: 'Pod',
      namespace: 'shop',
      name: 'web',
      field: 'status.podIPs',
      value: '10.0.0.1',
    } as const satisfies Origin;
    const inSet = (name: string): RefusedElement => ({
      element: { kind: 'member', set: setName(name), member: '10.0.0.1' },
      why: '',
    });
    const addresses = (): readonly string[] | undefined =>
      store.get('Pod', 'shop', 'web')?.addresses.map(({ ip }) => ip);

    beforeEach(() => {
      store.upsert(pod('shop/web', ['10.0.0.1', 'fd00::1']));
      origins = [podIP];
      const spec = { type: 'hash:ip', family: 'IPv4', maxElements: 16 } as const;
      part.state.defineSet({ ...spec, name: setName('WEIR-4-PODS-A'), joinLast: true });
      part.state.defineSet({ ...spec, name: setName('WEIR-4-INGRESS') });
      for (const name of ['WEIR-4-PODS-A', 'WEIR-4-INGRESS'])
        part.state.addMember(setName(name), podIP.value);
    });

    test('is left out of what policies let through, and the pod stays as closed as they say', () => {
      expect(leftOut.refused(part, [inSet('WEIR-4-PODS-A')])).toBe(true);
      expect(addresses()).toEqual(['10.0.0.1', 'fd00::1']);
      expect(part.state.plan().addMembers.map(({ set }) => set)).toEqual(['WEIR-4-INGRESS']);
      expect(inWords()).toEqual([
        'error | Pod | shop/web | status.podIPs | the kernel refuses 10.0.0.1 (it gives no reason); policies do without the address',
      ]);
    });

    test('is taken from the pod where that closes it', () => {
      closed = [podIP.value];
      expect(leftOut.refused(part, [inSet('WEIR-4-INGRESS')])).toBe(true);
      expect(addresses()).toEqual(['fd00::1']);
    });

    test('is not left out where that would open it', () => {
      expect(leftOut.refused(part, [inSet('WEIR-4-INGRESS')])).toBe(false);
      expect(addresses()).toEqual(['10.0.0.1', 'fd00::1']);
      expect(log.lines).toContainEqual(expect.stringMatching(/^ERROR .*WEIR-4-INGRESS.* cannot be left out/));
    });
  });

  test('tries all of it again after a quarter of an hour', async () => {
    leftOut.refused(part, [rule]);
    origins = [];
    leftOut.refused(part, [rule]);
    await clock.advance(899_000);
    expect(leftOut.retryWhenDue()).toBe(false);
    await clock.advance(1000);
    expect(leftOut.retryWhenDue()).toBe(true);
    expect(leftOut.retryWhenDue()).toBe(false);
    expect(externalIPs()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(part.state.desiredChain('nat', chain)).toBe('-j ONE\n-j TWO');
    expect(inWords()).toEqual([]);
    leftOut.refused(part, [rule]);
    await clock.advance(900_000);
    expect(leftOut.retryWhenDue()).toBe(true);
  });

  test('leaves out the rule itself where no object is to blame, and names it while it is wanted', () => {
    origins = [];
    expect(leftOut.refused(part, [rule])).toBe(true);
    expect(part.state.desiredChain('nat', chain)).toBe('-j TWO');
    expect(inWords()).toEqual([
      'error |  | / |  | the kernel refuses a rule of nat chain KUBE-SVC-A: -j ONE (RULE_APPEND failed (Invalid argument)) of the IPv4 rules; it is left out',
    ]);
    part.state.removeChain('nat', chain);
    expect(inWords()).toEqual([]);
  });

  test('leaves everything as it is when one thing cannot be left out, and says so', () => {
    const drop: RefusedElement = {
      element: { kind: 'rule', table: 'filter', chain: chainName('WEIR-FORWARD'), rule: '-j DROP' },
      why: '',
    };
    leftOut = new LeftOut({
      store,
      clock,
      log,
      wouldClose: () => true,
      originsOf: (_part, _family, element) => (element === drop.element ? [] : [external]),
    });
    expect(leftOut.refused(part, [rule, drop])).toBe(false);
    expect(externalIPs()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(inWords()).toEqual([]);
    expect(log.lines).toContain(
      'ERROR the kernel refuses a rule of filter chain WEIR-FORWARD: -j DROP (it gives no reason), and it cannot be left out: no rule of its kind is written until it is gone',
    );
  });

  test('does nothing for a failure that was about something else', () => {
    expect(leftOut.refused(part, [])).toBe(false);
  });
});
