import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { namedPorts, namespace, pod, policy } from '../../../test/support/policy-world.ts';
import { randomPolicyCase } from '../../../test/support/random-policy-world.ts';
import type { PolicyType } from '../../api/index.ts';
import { cidrContains, parseAddress } from '../../net/index.ts';
import { type Clause, type ClausePorts, clausesOf, namedPortMembers } from './clauses.ts';
import { evaluate, type Packet, type PolicyWorld } from './evaluate.ts';
import { type PeerSet, selectPods } from './peers.ts';
import { createPodDirectory, type PodDirectory } from './pod-directory.ts';
import { profilesOf } from './profiles.ts';

const directory = createPodDirectory(
  [
    pod('shop/web', ['10.0.0.1', 'fd00::1'], {
      namedPorts: namedPorts('http=TCP/8080', 'http=UDP/8443', 'dns=UDP/53'),
    }),
    pod('shop/api', ['10.0.0.2'], {
      namedPorts: namedPorts('http=TCP/9090', 'http=TCP/9091', 'http=TCP/9090'),
    }),
    pod('bank/vault', ['10.0.1.1'], { namedPorts: namedPorts('http=TCP/7070') }),
    pod('bank/done', ['10.0.1.2'], { phase: 'Failed', namedPorts: namedPorts('http=TCP/7071') }),
  ],
  [namespace('shop'), namespace('bank')],
);

function clauses(direction: PolicyType, rule: unknown): readonly Clause[] {
  const subject = policy('shop/p', {
    podSelector: { matchLabels: { app: 'api' } },
    policyTypes: ['Ingress', 'Egress'],
    [direction.toLowerCase()]: [rule],
  });
  return (direction === 'Ingress' ? subject.ingress : subject.egress).flatMap((each) =>
    clausesOf(subject, direction, each),
  );
}

function membersOf(ports: ClausePorts | undefined): readonly string[] {
  return ports?.kind === 'named'
    ? namedPortMembers(ports.set, directory).map(({ address, port }) => `${address.ip} ${port}`)
    : [];
}

describe('clausesOf', () => {
  it('says a rule without anything in one clause', () => {
    expect(clauses('Ingress', {})).toEqual([{ peers: undefined, ports: { kind: 'every' } }]);
  });

  it('gives nothing for a rule that allows nothing', () => {
    expect(clauses('Ingress', { from: [{}] })).toEqual([]);
    expect(clauses('Ingress', { ports: [{ port: 0 }] })).toEqual([]);
  });

  it('pairs every set of peers with the ports of every protocol', () => {
    const rule = {
      from: [{ podSelector: {} }, { ipBlock: { cidr: '192.0.2.0/24' } }],
      ports: [{ port: 80 }, { port: 443 }, { protocol: 'UDP' }],
    };
    const ranges = [
      { first: 80, last: 80 },
      { first: 443, last: 443 },
    ];
    expect(clauses('Ingress', rule).map(({ peers, ports }) => [peers?.key, ports])).toEqual([
      ['blocks 192.0.2.0/24', { kind: 'ranges', protocol: 'TCP', ranges }],
      ['pods {} in namespace shop', { kind: 'ranges', protocol: 'TCP', ranges }],
      ['blocks 192.0.2.0/24', { kind: 'protocol', protocol: 'UDP' }],
      ['pods {} in namespace shop', { kind: 'protocol', protocol: 'UDP' }],
    ]);
  });

  it('resolves a name for ingress on the pods that the policy selects, beside the peers', () => {
    const [clause, ...more] = clauses('Ingress', {
      from: [{ namespaceSelector: {} }],
      ports: [{ port: 'http' }],
    });
    expect(clause?.peers?.key).toBe('pods {} in namespaces {}');
    expect(membersOf(clause?.ports)).toEqual(['10.0.0.2 9090', '10.0.0.2 9091']);
    expect(more).toEqual([]);
  });

  it('resolves a name for egress on the peers, which the pairs then stand for', () => {
    const [clause] = clauses('Egress', { to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] });
    expect(clause?.peers).toBeUndefined();
    expect(membersOf(clause?.ports)).toEqual([
      '10.0.0.1 8080',
      '10.0.0.2 9090',
      '10.0.0.2 9091',
      '10.0.1.1 7070',
      'fd00::1 8080',
    ]);
  });

  it('resolves a name without peers on every pod, and with a block on the addresses within', () => {
    const [anywhere] = clauses('Egress', { ports: [{ port: 'http', protocol: 'UDP' }] });
    expect(membersOf(anywhere?.ports)).toEqual(['10.0.0.1 8443', 'fd00::1 8443']);
    const [within] = clauses('Egress', {
      to: [{ ipBlock: { cidr: '10.0.0.0/23', except: ['10.0.0.2/32'] } }],
      ports: [{ port: 'http' }],
    });
    expect(membersOf(within?.ports)).toEqual(['10.0.0.1 8080', '10.0.1.1 7070']);
  });

  it('keeps a named set of one key for policies that mean the same pods', () => {
    const key = (path: string) => {
      const subject = policy(path, {
        policyTypes: ['Egress'],
        egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] }],
      });
      return subject.egress
        .flatMap((rule) => clausesOf(subject, 'Egress', rule))
        .map(({ ports }) => (ports.kind === 'named' ? ports.set.key : ''));
    };
    expect(key('shop/p')).toEqual(key('bank/q'));
    expect(key('shop/p')).toEqual(['ports "http" TCP of pods {} in namespaces {}']);
  });
});

/** The verdict as an enforcer reaches it: profiles, then the union of the clauses of their policies, by set membership only. */
function allowsByClauses(
  world: PolicyWorld,
  packet: Packet,
): { readonly ingress: boolean; readonly egress: boolean } {
  const pods = createPodDirectory(world.pods, world.namespaces);
  const half = (direction: PolicyType, own: string, other: string) => {
    const profile = profilesOf(direction, world.pods, world.policies).find((each) =>
      each.pods.some(({ addresses }) => addresses.some(({ ip }) => ip === own)),
    );
    if (profile === undefined) return true;
    return profile.policies.some((each) =>
      (direction === 'Ingress' ? each.ingress : each.egress)
        .flatMap((rule) => clausesOf(each, direction, rule))
        .some(
          ({ peers, ports }) =>
            (peers === undefined || isMember(peers, other, pods)) && portsMatch(ports, packet, pods),
        ),
    );
  };
  return {
    ingress: half('Ingress', packet.destination, packet.source),
    egress: half('Egress', packet.source, packet.destination),
  };
}

function isMember(peers: PeerSet, ip: string, pods: PodDirectory): boolean {
  if (peers.kind === 'pods')
    return selectPods(peers, pods).some(({ addresses }) => addresses.some((address) => address.ip === ip));
  const address = parseAddress(ip);
  return address !== undefined && peers.cidrs.some((cidr) => cidrContains(cidr, address));
}

function portsMatch(
  ports: ClausePorts,
  { protocol, destination, destinationPort }: Packet,
  pods: PodDirectory,
): boolean {
  switch (ports.kind) {
    case 'every':
      return true;
    case 'protocol':
      return ports.protocol === protocol;
    case 'ranges':
      return (
        ports.protocol === protocol &&
        ports.ranges.some(({ first, last }) => first <= destinationPort && destinationPort <= last)
      );
    case 'named':
      return (
        ports.set.protocol === protocol &&
        namedPortMembers(ports.set, pods).some(
          ({ address, port }) => address.ip === destination && port === destinationPort,
        )
      );
  }
}

describe('profiles and clauses together', () => {
  it('allow what the reference evaluator allows', () => {
    fc.assert(
      fc.property(randomPolicyCase, ({ world, packets }) => {
        for (const packet of packets) {
          const { ingress, egress } = evaluate(world, packet);
          expect(allowsByClauses(world, packet)).toEqual({
            ingress: ingress.outcome !== 'denied',
            egress: egress.outcome !== 'denied',
          });
        }
      }),
      { numRuns: 1000 },
    );
  });
});
