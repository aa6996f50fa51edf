import type { Labels, NamespacedName, Pod } from '../../api/index.ts';

/** The pods that count, by namespace, and the labels of the known namespaces. */
export class PodIndex {
  readonly #pods = new Map<string, Map<NamespacedName, Pod>>();
  readonly #labels = new Map<string, Labels>();

  get(name: NamespacedName): Pod | undefined {
    return this.#pods.get(namespaceOf(name))?.get(name);
  }

  set(name: NamespacedName, pod: Pod): void {
    const pods = this.#pods.get(pod.namespace);
    if (pods === undefined) this.#pods.set(pod.namespace, new Map([[name, pod]]));
    else pods.set(name, pod);
  }

  delete(name: NamespacedName): void {
    const namespace = namespaceOf(name);
    const pods = this.#pods.get(namespace);
    pods?.delete(name);
    if (pods?.size === 0) this.#pods.delete(namespace);
  }

  /** `undefined`: there are none. */
  podsOf(namespace: string): ReadonlyMap<NamespacedName, Pod> | undefined {
    return this.#pods.get(namespace);
  }

  /** Those that have pods, whether known or not. */
  namespaces(): Iterable<string> {
    return this.#pods.keys();
  }

  labelsOf(namespace: string): Labels | undefined {
    return this.#labels.get(namespace);
  }

  setLabels(namespace: string, labels: Labels | undefined): void {
    if (labels === undefined) this.#labels.delete(namespace);
    else this.#labels.set(namespace, labels);
  }
}

export function namespaceOf(name: NamespacedName): string {
  return name.slice(0, name.indexOf('/'));
}
