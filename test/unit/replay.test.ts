import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type NamespacedName, namespacedName } from '../../pkg/api/index.ts';
import type { KernelSnapshot } from '../../pkg/kernel/index.ts';
import type { Family } from '../../pkg/net/index.ts';
import {
  RenderedNode,
  renderedSnapshot,
  type ServiceObjects,
  serviceOptions,
} from '../support/rendered-snapshot.ts';
import { type ServiceState, serviceStates } from '../support/service-states.ts';

const topology = { nodeName: 'node-a', zone: undefined };

/** How an agent lives through a list of states. Each way must end each state with the rules that one would write who knows nothing else. */
interface Way {
  readonly name: string;
  /** What happens between two states that are written. */
  readonly steps: (states: readonly ServiceState[]) => readonly ServiceState[];
  /** Whether the objects of a state come one by one, each written by itself. */
  readonly oneByOne?: boolean;
  readonly reversedObjects?: boolean;
  readonly twice?: boolean;
  /** Whether the agent is started anew before each state. */
  readonly restarts?: boolean;
  /** Whether only the last state is written. */
  readonly onlyLast?: boolean;
}

const empty: ServiceState = { name: 'nothing', objects: [] };
const asTheyAre: Way['steps'] = (states) => states;

const ways: readonly Way[] = [
  { name: 'as they are', steps: asTheyAre },
  { name: 'in reversed order', steps: (states) => states.toReversed() },
  { name: 'with nothing between', steps: (states) => states.flatMap((state) => [state, empty]) },
  { name: 'there and back', steps: (states) => [...states, ...states.toReversed()] },
  { name: 'objects in reversed order', steps: asTheyAre, reversedObjects: true },
  { name: 'each written object by object', steps: asTheyAre, oneByOne: true },
  { name: 'object by object, in reversed order', steps: asTheyAre, oneByOne: true, reversedObjects: true },
  { name: 'everything said twice', steps: asTheyAre, twice: true },
  { name: 'a restart before each', steps: asTheyAre, restarts: true },
  { name: 'a restart in the middle of each', steps: asTheyAre, restarts: true, oneByOne: true },
  { name: 'written at the end only', steps: asTheyAre, onlyLast: true },
];

/** An agent that goes from state to state. */
class Walker {
  readonly #family: Family;
  readonly #way: Way;
  #node: RenderedNode;
  #present = new Map<NamespacedName, ServiceObjects>();

  constructor(family: Family, way: Way) {
    this.#family = family;
    this.#way = way;
    this.#node = new RenderedNode(serviceOptions(family), topology);
  }

  kernel(): KernelSnapshot {
    return this.#node.kernel();
  }

  walkTo({ objects }: ServiceState, isWritten: boolean): void {
    if (this.#way.restarts === true && this.#way.oneByOne !== true) this.#restart();
    const after = new Map(objects.map((one) => [nameOf(one), one]));
    const gone = [...this.#present.keys()].filter((name) => !after.has(name));
    const ordered = this.#way.reversedObjects === true ? [...after].toReversed() : [...after];
    const changes: (() => void)[] = [
      ...ordered.map(([name, one]) => () => {
        this.#node.set(one);
        this.#present.set(name, one);
      }),
      ...gone.map((name) => () => {
        this.#node.delete(name);
        this.#present.delete(name);
      }),
    ];
    if (this.#way.reversedObjects === true) changes.reverse();
    for (const [index, change] of changes.entries()) {
      change();
      if (this.#way.twice === true) change();
      if (this.#way.oneByOne !== true) continue;
      this.#node.sync();
      if (this.#way.restarts === true && index === changes.length >> 1) this.#restart();
    }
    if (isWritten) this.#node.sync();
  }

  /** A new process finds the kernel as the old one left it, and is told all objects again. */
  #restart(): void {
    this.#node = new RenderedNode(serviceOptions(this.#family), topology, this.#node.kernel());
    for (const one of this.#present.values()) this.#node.set(one);
  }
}

function nameOf({ service }: ServiceObjects): NamespacedName {
  return namespacedName(service.namespace, service.name);
}

/** All that the kernel holds, as text. */
function textOf(kernel: KernelSnapshot): string {
  const lines: string[] = [];
  for (const [table, { chains, builtins }] of kernel.tables) {
    for (const [name, rules] of builtins) lines.push(`${table} ${name}:`, ...rules);
    for (const [name, rules] of chains) lines.push(`${table} ${name}:`, rules);
  }
  for (const [name, { spec, members }] of kernel.sets) {
    lines.push(`set ${name} ${spec.type}:`, ...members);
  }
  return lines.join('\n');
}

describe.each(['IPv4', 'IPv6'] as const)('%s', (family) => {
  const states = serviceStates(family);
  const expected = new Map(
    states.map((state) => [
      state.name,
      textOf(renderedSnapshot(serviceOptions(family), topology, state.objects)),
    ]),
  );

  function walk(way: Way, list: readonly ServiceState[]): readonly [name: string, isRight: boolean][] {
    const walker = new Walker(family, way);
    const steps = way.steps(list);
    const results: [string, boolean][] = [];
    for (const [index, state] of steps.entries()) {
      const isWritten = way.onlyLast !== true || index === steps.length - 1;
      walker.walkTo(state, isWritten);
      if (isWritten) results.push([state.name, textOf(walker.kernel()) === expected.get(state.name)]);
    }
    return results;
  }

  test.each(ways)('states, $name: every one ends in its own rules', (way) => {
    const results = walk(way, states);
    expect(results.filter(([, isRight]) => !isRight)).toEqual([]);
    expect(results.length).toBeGreaterThan(0);
  });

  test('states in any order and any way', () => {
    const some = fc.array(fc.constantFrom(...states), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(some, fc.constantFrom(...ways), (list, way) => {
        expect(walk(way, list).filter(([, isRight]) => !isRight)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('every state can be told from every other by its rules', () => {
    const { headless, nothing, ...others } = Object.fromEntries(expected);
    expect(headless).toBe(nothing);
    expect(new Set(Object.values(others)).size).toBe(Object.keys(others).length);
  });
});
