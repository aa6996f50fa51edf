import type { Cluster } from './cluster.ts';
import type { Stage } from './stage.ts';
import type { Traffic } from './traffic.ts';
import type { Weir } from './weir.ts';

/** All that a step works with. */
export interface Demo {
  readonly stage: Stage;
  readonly cluster: Cluster;
  readonly weir: Weir;
  /** Clients that go on asking from one step to the next. */
  readonly traffic: Traffic;
}

/** One idea: says what will happen, does it, and claims only what it has observed (see `expect.ts`). */
export interface Step {
  readonly title: string;
  readonly run: (demo: Demo) => Promise<void>;
}

/** A story of several steps. Acts share the cluster, and each finds it as the one before has left it. */
export interface Act {
  readonly title: string;
  readonly introduction: string;
  readonly steps: readonly Step[];
}
