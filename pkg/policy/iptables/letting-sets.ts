import type { RuleState, SetName, SetSpec } from '../../kernel/index.ts';

/**
 * Sets whose members are let through where others are not. A set that no rule looks into yet is filled before the rules
 * that will; after that, who joins it joins after the chains, so that a pod which changes is held by its new policies before it
 * is anybody's peer or is known.
 */
export class LettingSets {
  readonly #state: RuleState;
  readonly #new = new Map<SetName, SetSpec>();

  constructor(state: RuleState) {
    this.#state = state;
  }

  define(spec: SetSpec): void {
    this.#new.set(spec.name, spec);
    this.#state.defineSet(spec);
  }

  remove(set: SetName): void {
    this.#new.delete(set);
    this.#state.removeSet(set);
  }

  /** What was defined before has been written, with its members. */
  settle(): void {
    for (const spec of this.#new.values()) this.#state.defineSet({ ...spec, joinLast: true });
    this.#new.clear();
  }
}
