import type { Resource } from './fake-api-resources.ts';
import { app, namespaceManifest, podManifest, policyManifest } from './policy-manifests.ts';
import { seededRandom } from './random.ts';
import { type Manifest, nodeManifest, servicePort, targetPort } from './service-manifests.ts';

export interface SoakSize {
  readonly services: number;
  readonly localPods: number;
  readonly remotePods: number;
  readonly policies: number;
}

/** What happens to the cluster at once. */
export interface SoakChange {
  readonly put: readonly Manifest[];
  readonly remove: readonly (readonly [resource: Resource, name: string])[];
}

interface LivePod {
  readonly name: string;
  readonly address: string;
  readonly isLocal: boolean;
}

const apps = 10;
const namespace = 'default';

/** A cluster in which things come and go, the same in every run. New objects have new names, as those of a real one do. */
export class SoakCluster {
  readonly #node: { readonly name: string; readonly addresses: readonly string[] };
  readonly #random: () => number;
  readonly #services: string[];
  readonly #pods: LivePod[];
  readonly #policies: string[];
  #namesEver = 0;

  /** Pods of this node have addresses from 10.244.1.0/24. */
  constructor(size: SoakSize, node: { readonly name: string; readonly addresses: readonly string[] }) {
    this.#node = node;
    this.#random = seededRandom(size.services);
    this.#pods = Array.from({ length: size.localPods + size.remotePods }, (_, index) => ({
      name: this.#newName('pod'),
      address: index < size.localPods ? `10.244.1.${10 + index}` : remoteAddress(index),
      isLocal: index < size.localPods,
    }));
    this.#services = Array.from({ length: size.services }, () => this.#newName('service'));
    this.#policies = Array.from({ length: size.policies }, () => this.#newName('policy'));
  }

  /** Everything there is in the beginning. */
  begin(): readonly Manifest[] {
    return [
      nodeManifest(this.#node.name, this.#node.addresses),
      namespaceManifest(),
      ...this.#pods.map((pod) => this.#podManifest(pod)),
      ...this.#services.flatMap((name, index) => this.#serviceManifests(name, index)),
      ...this.#policies.map((name) => this.#policyManifest(name)),
    ];
  }

  /** Mostly endpoints, now and then a Service, a pod or a policy: anew, or another in its place. */
  change(): SoakChange {
    const what = this.#random();
    if (what < 0.6) {
      const index = this.#below(this.#services.length);
      return { put: [this.#sliceManifest(this.#services[index] ?? '', index)], remove: [] };
    }
    if (what < 0.75) return this.#replaceService();
    if (what < 0.9) return this.#replacePod();
    return this.#changePolicy();
  }

  #replaceService(): SoakChange {
    const index = this.#below(this.#services.length);
    const gone = this.#services[index] ?? '';
    const name = this.#newName('service');
    this.#services[index] = name;
    return {
      put: this.#serviceManifests(name, index),
      remove: [
        ['services', gone],
        ['endpointslices', gone],
      ],
    };
  }

  #replacePod(): SoakChange {
    const index = this.#below(this.#pods.length);
    const gone = this.#pods[index];
    if (gone === undefined) throw new RangeError('a soak needs pods');
    const pod = { ...gone, name: this.#newName('pod') };
    this.#pods[index] = pod;
    return { put: [this.#podManifest(pod)], remove: [['pods', gone.name]] };
  }

  #changePolicy(): SoakChange {
    const index = this.#below(this.#policies.length);
    const old = this.#policies[index] ?? '';
    if (this.#random() < 0.5) return { put: [this.#policyManifest(old)], remove: [] };
    const name = this.#newName('policy');
    this.#policies[index] = name;
    return { put: [this.#policyManifest(name)], remove: [['networkpolicies', old]] };
  }

  /** Every fourth Service can be reached from outside, too. */
  #serviceManifests(name: string, index: number): readonly Manifest[] {
    const clusterIP = `10.96.${index >> 8}.${index & 255}`;
    const port = { name: '', protocol: 'TCP', port: servicePort };
    const spec = {
      type: index % 4 === 0 ? 'NodePort' : 'ClusterIP',
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: ['IPv4'],
      ports: [index % 4 === 0 ? { ...port, nodePort: 30_000 + index } : port],
    };
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
    return [service, this.#sliceManifest(name, index)];
  }

  /** Of up to five pods, drawn anew each time. */
  #sliceManifest(name: string, index: number): Manifest {
    const count = this.#below(6);
    const drawn = Array.from({ length: count }, () => this.#pods[this.#below(this.#pods.length)]);
    const pods = [...new Set(drawn.filter((pod) => pod !== undefined))];
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: '', protocol: 'TCP', port: targetPort + (index % 3) }],
      endpoints: pods.map(({ address, isLocal }) => ({
        addresses: [address],
        nodeName: this.#nodeName(isLocal),
        conditions: { ready: true, serving: true, terminating: false },
      })),
    };
  }

  #podManifest({ name, address, isLocal }: LivePod): Manifest {
    const labels = { app: `app-${this.#below(apps)}` };
    return podManifest({ name, node: this.#nodeName(isLocal), addresses: [address], labels });
  }

  #policyManifest(name: string): Manifest {
    const some = (): Manifest => app(`app-${this.#below(apps)}`);
    const third = `172.16.${this.#below(256)}`;
    return policyManifest(name, {
      podSelector: some(),
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: some() }], ports: [{ port: targetPort }] }],
      egress: [
        { to: [{ podSelector: some() }, { ipBlock: { cidr: `${third}.0/24`, except: [`${third}.7/32`] } }] },
      ],
    });
  }

  #nodeName(isLocal: boolean): string {
    return isLocal ? this.#node.name : 'elsewhere';
  }

  #newName(what: string): string {
    this.#namesEver += 1;
    return `${what}-${this.#namesEver}`;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

function remoteAddress(index: number): string {
  return `10.244.${2 + (index >> 8)}.${index & 255}`;
}
