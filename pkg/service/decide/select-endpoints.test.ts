import { describe, expect, test } from 'vitest';
import {
  type EndpointUse,
  type SelectedEndpoints,
  selectEndpoints,
  type Topology,
} from './select-endpoints.ts';
import type { ServiceEndpoint } from './service-endpoints.ts';

const here: Topology = { nodeName: 'node-a', zone: 'zone-a' };

/** What uses the endpoints: which policies, and whether the Service can be reached from outside. */
const uses = {
  cluster: { internalPolicyLocal: false, externalPolicyLocal: false, externallyAccessible: false },
  'cluster, external': { internalPolicyLocal: false, externalPolicyLocal: false, externallyAccessible: true },
  'internal local': { internalPolicyLocal: true, externalPolicyLocal: false, externallyAccessible: false },
  'internal local, external': {
    internalPolicyLocal: true,
    externalPolicyLocal: false,
    externallyAccessible: true,
  },
  'external local': { internalPolicyLocal: false, externalPolicyLocal: true, externallyAccessible: true },
  'external local without an address': {
    internalPolicyLocal: false,
    externalPolicyLocal: true,
    externallyAccessible: false,
  },
  'both local': { internalPolicyLocal: true, externalPolicyLocal: true, externallyAccessible: true },
} as const satisfies Record<string, EndpointUse>;

/**
 * Endpoints in short, one a part: `1 RS local zones=a,b nodes=x`, the first word being the number of the endpoint, the second
 * its conditions (Ready, Serving, Terminating; `-` for none).
 */
function endpoints(text: string): readonly ServiceEndpoint[] {
  if (text === '') return [];
  return text.split(';').map((part) => {
    const [number = '', conditions = '', ...words] = part.trim().split(' ');
    const listed = (key: string): readonly string[] =>
      words
        .find((word) => word.startsWith(`${key}=`))
        ?.slice(key.length + 1)
        .split(',') ?? [];
    return {
      ip: `10.0.0.${number}`,
      port: 80,
      address: `10.0.0.${number}:80`,
      ready: conditions.includes('R'),
      serving: conditions.includes('S'),
      terminating: conditions.includes('T'),
      isLocal: words.includes('local'),
      zoneHints: listed('zones'),
      nodeHints: listed('nodes'),
    };
  });
}

/** The numbers of the endpoints of each list. */
function inShort({ cluster, local, reachable, hasEndpoints }: SelectedEndpoints): readonly string[] {
  const numbers = (list: readonly ServiceEndpoint[]): string =>
    list.map((one) => one.ip.slice('10.0.0.'.length)).join(' ');
  return [numbers(cluster), numbers(local), numbers(reachable), hasEndpoints ? 'some' : 'none'];
}

/** Name; use; endpoints; then what is chosen for policy Cluster, for policy Local, by any of them, and whether there is any anywhere. */
type Case = readonly [string, keyof typeof uses, string, string, string, string, 'some' | 'none'];

function check(cases: readonly Case[], topology = here): void {
  test.each(cases)('%s (%s)', (_, use, text, ...expected) => {
    expect(inShort(selectEndpoints(endpoints(text), uses[use], topology))).toEqual(expected);
  });
}

describe('ready, serving and terminating', () => {
  check([
    ['no endpoints', 'cluster', '', '', '', '', 'none'],
    ['ready ones are used', 'cluster', '1 RS;2 RS local', '1 2', '', '1 2', 'some'],
    ['ready counts, whether it serves or not', 'cluster', '1 R;2 -', '1', '', '1', 'some'],
    [
      'ready counts, even while terminating (publishNotReadyAddresses)',
      'cluster',
      '1 RST',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'a serving one that is neither ready nor terminating is never used',
      'cluster',
      '1 S',
      '',
      '',
      '',
      'none',
    ],
    ['terminating ones are not used while one is ready', 'cluster', '1 RS;2 ST', '1', '', '1', 'some'],
    [
      'serving and terminating ones are used when none is ready',
      'cluster',
      '1 ST;2 S;3 T',
      '1',
      '',
      '1',
      'some',
    ],
    ['one that terminates and does not serve is never used', 'cluster', '1 T', '', '', '', 'none'],
  ]);
});

describe('policy Local', () => {
  check([
    ['only local ones are used', 'internal local', '1 RS;2 RS local', '', '2', '2', 'some'],
    ['none local: none used, but there are some', 'internal local', '1 RS;2 RS', '', '', '', 'some'],
    ['none at all', 'internal local', '1 T local;2 S', '', '', '', 'none'],
    [
      'local ones that terminate serve when no local one is ready',
      'internal local',
      '1 ST local;2 RS',
      '',
      '1',
      '1',
      'some',
    ],
    [
      'local ones that terminate do not while a local one is ready',
      'internal local',
      '1 ST local;2 RS local',
      '',
      '2',
      '2',
      'some',
    ],
    ['terminating ones elsewhere still count as some', 'internal local', '1 ST', '', '', '', 'some'],
    [
      'hints mean nothing',
      'internal local',
      '1 RS local zones=zone-b;2 RS local zones=zone-a',
      '',
      '1 2',
      '1 2',
      'some',
    ],
    [
      'external alone: others are for pods and the node',
      'external local',
      '1 RS;2 RS local',
      '1 2',
      '2',
      '1 2',
      'some',
    ],
    ['external alone, none local', 'external local', '1 RS', '1', '', '1', 'some'],
    [
      'external without an address counts as Cluster',
      'external local without an address',
      '1 RS;2 RS local',
      '1 2',
      '',
      '1 2',
      'some',
    ],
    [
      'internal, with external Cluster',
      'internal local, external',
      '1 RS;2 RS local',
      '1 2',
      '2',
      '1 2',
      'some',
    ],
    ['internal, with external Cluster, none local', 'internal local, external', '1 RS', '1', '', '1', 'some'],
    ['both', 'both local', '1 RS;2 RS local', '1 2', '2', '1 2', 'some'],
    [
      'Cluster with an external address needs no local list',
      'cluster, external',
      '1 RS;2 RS local',
      '1 2',
      '',
      '1 2',
      'some',
    ],
  ]);
});

describe('the fallbacks of the two lists are independent', () => {
  check([
    [
      'a terminating local one joins the ready ones elsewhere',
      'external local',
      '1 RS;2 ST local',
      '1',
      '2',
      '1 2',
      'some',
    ],
    ['sorted, whichever list it comes from', 'external local', '1 ST local;2 RS', '2', '1', '1 2', 'some'],
    ['none ready anywhere: both fall back', 'external local', '1 ST;2 ST local', '1 2', '2', '1 2', 'some'],
    [
      'a local one is ready: neither falls back',
      'external local',
      '1 ST;2 RS local;3 ST local',
      '2',
      '2',
      '2',
      'some',
    ],
    ['a local one that can do nothing', 'external local', '1 RS;2 T local', '1', '', '1', 'some'],
    [
      'several of each',
      'both local',
      '1 RS;2 RS;3 ST local;4 ST local;5 ST',
      '1 2',
      '3 4',
      '1 2 3 4',
      'some',
    ],
  ]);
});

describe('zone hints', () => {
  check([
    ['only those for this zone', 'cluster', '1 RS zones=zone-a;2 RS zones=zone-b', '1', '', '1', 'some'],
    [
      'one hint among several suffices',
      'cluster',
      '1 RS zones=zone-b,zone-a;2 RS zones=zone-b',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'all, when one ready endpoint has none',
      'cluster',
      '1 RS zones=zone-a;2 RS;3 RS zones=zone-b',
      '1 2 3',
      '',
      '1 2 3',
      'some',
    ],
    [
      'all, when none is for this zone',
      'cluster',
      '1 RS zones=zone-b;2 RS zones=zone-c',
      '1 2',
      '',
      '1 2',
      'some',
    ],
    [
      'one that is not ready need not have hints',
      'cluster',
      '1 RS zones=zone-a;2 RS zones=zone-b;3 ST',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'only ready ones give the zone to this node',
      'cluster',
      '1 RS zones=zone-b;2 ST zones=zone-a',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'no ready one in the zone: not to the terminating one there',
      'cluster',
      '1 ST zones=zone-a;2 RS zones=zone-b',
      '2',
      '',
      '2',
      'some',
    ],
    [
      'terminating ones as the last resort, whatever their hints',
      'cluster',
      '1 ST zones=zone-b;2 ST',
      '1 2',
      '',
      '1 2',
      'some',
    ],
    [
      'local ones outside the zone are reachable for policy Local',
      'external local',
      '1 RS zones=zone-a;2 RS zones=zone-b local',
      '1',
      '2',
      '1 2',
      'some',
    ],
    [
      'a local one inside the zone is reachable once',
      'external local',
      '1 RS zones=zone-a local;2 RS zones=zone-b',
      '1',
      '1',
      '1',
      'some',
    ],
  ]);

  describe('of a node without a zone mean nothing', () => {
    check([['all', 'cluster', '1 RS zones=zone-a;2 RS zones=zone-b', '1 2', '', '1 2', 'some']], {
      nodeName: 'node-a',
      zone: undefined,
    });
  });
});

describe('node hints', () => {
  check([
    ['only those for this node', 'cluster', '1 RS nodes=node-a;2 RS nodes=node-b', '1', '', '1', 'some'],
    [
      'before zone hints',
      'cluster',
      '1 RS nodes=node-a zones=zone-b;2 RS nodes=node-b zones=zone-a',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'zone hints, when none is for this node',
      'cluster',
      '1 RS nodes=node-b zones=zone-a;2 RS nodes=node-c zones=zone-b',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'zone hints, when one ready endpoint has no node hint',
      'cluster',
      '1 RS nodes=node-a zones=zone-b;2 RS zones=zone-a',
      '2',
      '',
      '2',
      'some',
    ],
    [
      'all, when neither fits',
      'cluster',
      '1 RS nodes=node-b zones=zone-b;2 RS nodes=node-c zones=zone-c',
      '1 2',
      '',
      '1 2',
      'some',
    ],
    [
      'all, when there are node hints alone and none fits',
      'cluster',
      '1 RS nodes=node-b;2 RS nodes=node-c',
      '1 2',
      '',
      '1 2',
      'some',
    ],
    [
      'those that are not ready are not asked',
      'cluster',
      '1 RS nodes=node-a;2 RS nodes=node-b;3 S',
      '1',
      '',
      '1',
      'some',
    ],
    [
      'internal Local, external Cluster: each list its own rules',
      'internal local, external',
      '1 RS nodes=node-a;2 RS nodes=node-b local',
      '1',
      '2',
      '1 2',
      'some',
    ],
  ]);
});
