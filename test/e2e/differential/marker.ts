import type { Manifest } from '../../support/service-manifests.ts';
import { frontendsOf } from '../../support/service-manifests.ts';
import { families, type PodName } from '../../support/service-world.ts';
import { type ApiObject, conditions, type Machines, namespace, sliceOf } from './objects.ts';

const markerNumber = 90;
const firstPort = 20_000;
/** The endpoint that is for a zone. */
const podOfZone: ReadonlyMap<string, PodName> = new Map([
  ['z1', 'a'],
  ['z2', 'b'],
]);
const pods: readonly PodName[] = [...podOfZone.values()];

/** Which rules show that a proxy has heard of everything. */
export interface MarkerRules {
  readonly port: number;
  /** Who has a rule. */
  readonly there: readonly PodName[];
  /** Who has none, also none of an earlier time. */
  readonly gone: readonly PodName[];
}

/**
 * A Service of which there is another version each time. Services, slices and the Node are watched apart; its rules say of all three
 * that a proxy knows them as they are.
 */
export class Marker {
  readonly #machines: Machines;
  #turn = 0;

  constructor(machines: Machines) {
    this.#machines = machines;
  }

  /** To be written after all that a proxy shall have heard of. */
  advance(): void {
    this.#turn += 1;
  }

  objects(): readonly ApiObject[] {
    const name = `m${this.#turn}`;
    const clusterIPs = families.map((family) => frontendsOf(markerNumber, family).clusterIP);
    const spec: Manifest = {
      type: 'ClusterIP',
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: families,
      ipFamilyPolicy: 'RequireDualStack',
      ports: [{ name, protocol: 'TCP', port: 80, targetPort: name }],
    };
    const slices = families.map((family) =>
      sliceOf(
        { name: `marker-${family.toLowerCase()}`, service: 'marker', family },
        [{ name, protocol: 'TCP', port: this.#port }],
        [...podOfZone].map(([zone, pod]) => ({
          addresses: [this.#machines.pod(pod).address(family)],
          conditions: conditions.ready,
          hints: { forZones: [{ name: zone }] },
        })),
      ),
    );
    const metadata = { name: 'marker', namespace, labels: {} };
    return [{ apiVersion: 'v1', kind: 'Service', metadata, spec }, ...slices];
  }

  /** On a node of this zone. */
  rules(zone: string | undefined): MarkerRules {
    const chosen = zone === undefined ? undefined : podOfZone.get(zone);
    const there = chosen === undefined ? pods : [chosen];
    return { port: this.#port, there, gone: pods.filter((pod) => !there.includes(pod)) };
  }

  get #port(): number {
    return firstPort + this.#turn;
  }
}
