import { describe, expect, it } from 'vitest';
import { namespace, pod, policy } from '../../../test/support/policy-world.ts';
import type { PolicyPeer } from '../../api/index.ts';
import { type PeerSet, peerSetsOf, podPeersMatch, selectPods, subjectsOf } from './peers.ts';
import { createPodDirectory } from './pod-directory.ts';

function peersOf(path: string, from: unknown): readonly PeerSet[] {
  const subject = policy(path, { ingress: [{ from }] });
  return peerSetsOf(subject, subject.ingress[0]?.peers ?? []);
}

function keysOf(path: string, from: unknown): readonly string[] {
  return peersOf(path, from).map(({ key }) => key);
}

describe('peerSetsOf', () => {
  it('gives every distinct selection of pods one set, sorted', () => {
    expect(
      keysOf('shop/p', [
        { podSelector: { matchLabels: { app: 'web' } } },
        { namespaceSelector: { matchLabels: { team: 'b' } } },
        { podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] } },
        { namespaceSelector: {}, podSelector: { matchLabels: { app: 'web' } } },
      ]),
    ).toEqual([
      'pods {app=web} in namespace shop',
      'pods {app=web} in namespaces {}',
      'pods {} in namespaces {team=b}',
    ]);
  });

  it('gives policies that say the same the same key, and own namespaces different ones', () => {
    const everywhere = [{ namespaceSelector: {}, podSelector: { matchLabels: { a: '1', b: '2' } } }];
    const reordered = [{ podSelector: { matchLabels: { b: '2', a: '1' } }, namespaceSelector: {} }];
    expect(keysOf('shop/p', everywhere)).toEqual(keysOf('bank/q', reordered));
    expect(keysOf('shop/p', [{ podSelector: {} }])).not.toEqual(keysOf('bank/p', [{ podSelector: {} }]));
  });

  it('joins all blocks into one set after cutting out of each its own holes', () => {
    expect(
      keysOf('shop/p', [
        { ipBlock: { cidr: '10.0.0.0/29', except: ['10.0.0.4/30'] } },
        { ipBlock: { cidr: '10.0.0.4/31' } },
        { ipBlock: { cidr: 'fd00::/8' } },
      ]),
    ).toEqual(['blocks 10.0.0.0/30 10.0.0.4/31 fd00::/8']);
  });

  it('needs no set for blocks of which nothing is left', () => {
    expect(
      keysOf('shop/p', [{ ipBlock: { cidr: '10.0.0.0/31', except: ['10.0.0.0/32', '10.0.0.1/32'] } }]),
    ).toEqual([]);
  });

  it('gives blocks that come to the same the same key', () => {
    const halves: readonly PolicyPeer[] = [
      { kind: 'ipBlock', cidr: '10.128.0.0/9', except: [] },
      { kind: 'ipBlock', cidr: '10.0.0.0/9', except: [] },
    ];
    const [whole] = peersOf('bank/q', [{ ipBlock: { cidr: '10.0.0.0/8' } }]);
    expect(peerSetsOf(policy('shop/p', {}), halves)).toEqual([whole]);
  });
});

describe('selectPods', () => {
  const pods = [
    pod('shop/web', ['10.0.0.1']),
    pod('shop/api', ['10.0.0.2']),
    pod('shop/host', ['192.0.2.1'], { hostNetwork: true }),
    pod('shop/done', ['10.0.0.3'], { phase: 'Succeeded' }),
    pod('shop/new', []),
    pod('bank/web', ['10.0.1.1']),
    pod('late/web', ['10.0.2.1']),
  ];
  const directory = createPodDirectory(pods, [
    namespace('shop', { team: 'a' }),
    namespace('bank', { team: 'b' }),
  ]);
  const namesOf = (from: unknown) =>
    peersOf('shop/p', [from]).flatMap((peers) =>
      peers.kind === 'pods'
        ? selectPods(peers, directory).map(({ namespace, name }) => `${namespace}/${name}`)
        : [],
    );

  it.each([
    ['own namespace, only pods that count', { podSelector: {} }, ['shop/api', 'shop/web']],
    ['all known namespaces', { namespaceSelector: {} }, ['bank/web', 'shop/api', 'shop/web']],
    ['some namespaces', { namespaceSelector: { matchLabels: { team: 'b' } } }, ['bank/web']],
    [
      'both selectors',
      { namespaceSelector: {}, podSelector: { matchLabels: { app: 'web' } } },
      ['bank/web', 'shop/web'],
    ],
    [
      'a namespace that is not known, by none',
      { namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] } },
      [],
    ],
  ])('%s', (_, from, expected) => {
    expect(namesOf(from)).toEqual(expected);
  });

  it('agrees with podPeersMatch, which asks for one pod', () => {
    const subjects = subjectsOf(policy('shop/p', { podSelector: { matchLabels: { app: 'web' } } }));
    const matching = pods.filter((each) =>
      podPeersMatch(subjects, each, directory.namespaceLabels.get(each.namespace)),
    );
    expect(matching).toEqual(selectPods(subjects, directory));
  });
});
