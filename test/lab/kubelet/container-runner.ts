import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { ContainerProcess, type ContainerSpec } from './container-process.ts';
import { amountOf } from './environment.ts';
import type { Container, ContainerState, ContainerStatus, Probe, Terminated } from './pod.ts';
import { type ProbeTarget, perform } from './probe.ts';

export interface RunnerContext {
  readonly container: Container;
  /** Folder of all starts of this container. */
  readonly folder: string;
  /** Path of its logs, without the number of the start. */
  readonly log: string;
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
  readonly address: string;
  /** What to start; may fail, with words for the status. */
  specOf(folder: string, logFile: string): Promise<ContainerSpec>;
  /** Something in `status` is new. */
  changed(): void;
  /** It has written more than it may, which costs the whole pod its place on the node. */
  exceeded(message: string): void;
}

const firstBackoffMs = 1000;
const longestBackoffMs = 30_000;
/**
 * From the start of a program until it is said to run. The real kubelet learns of it a moment later, too, and tests without
 * probes count on that: their servers must be listening by then.
 */
const settleMs = 300;

/** A container of a pod through all its starts: hooks, probes, restarts, and the status that says so. */
export class ContainerRunner {
  readonly name: string;
  readonly #context: RunnerContext;
  readonly #stopping = new AbortController();
  #process: ContainerProcess | undefined;
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerStatus['lastState'] = {};
  #restarts = 0;
  #ready = false;
  #started = false;
  #run: Promise<void> | undefined;

  constructor(context: RunnerContext) {
    this.name = context.container.name;
    this.#context = context;
  }

  get status(): ContainerStatus {
    const { container } = this.#context;
    const running = 'running' in this.#state;
    return {
      name: this.name,
      image: container.image,
      imageID: `lab://${container.image}`,
      ...('waiting' in this.#state && this.#restarts === 0 ? {} : { containerID: this.#id() }),
      restartCount: this.#restarts,
      ready: running ? this.#ready : this.#completed() && this.#context.restartPolicy !== 'Always',
      started: running && this.#started,
      state: this.#state,
      lastState: this.#lastState,
    };
  }

  /** Resolves when it will not be started again. */
  start(): Promise<void> {
    this.#run ??= this.#live();
    return this.#run;
  }

  /** The running process, for commands inside; undefined between two. */
  get process(): ContainerProcess | undefined {
    return 'running' in this.#state ? this.#process : undefined;
  }

  logFile(previous: boolean): string {
    return `${this.#context.log}-${Math.max(0, this.#restarts - (previous ? 1 : 0))}.log`;
  }

  /** Hook, SIGTERM, and SIGKILL when the time is over. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    const process = this.#process;
    if (this.process !== undefined) {
      const hook = this.#context.container.lifecycle?.preStop;
      if (hook !== undefined) await Promise.race([perform(hook, this.#target(), graceMs), sleep(graceMs)]);
    }
    this.#stopping.abort();
    if (process !== undefined) {
      await process.signal('SIGTERM');
      await Promise.race([process.exited, sleep(Math.max(0, deadline - Date.now()))]);
      await process.signal('SIGKILL');
    }
    await this.#run;
  }

  async #live(): Promise<void> {
    let backoffMs = firstBackoffMs;
    while (!this.#isStopping()) {
      const begun = Date.now();
      const exitCode = await this.#once();
      if (this.#isStopping() || !this.#restartsAfter(exitCode)) return;
      if (Date.now() - begun > 60_000) backoffMs = firstBackoffMs;
      const { terminated } = this.#state as { readonly terminated?: Terminated };
      await sleep(100, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (terminated !== undefined) {
        this.#lastState = { terminated };
        this.#set({ waiting: { reason: 'CrashLoopBackOff' } });
      }
      await sleep(backoffMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#isStopping()) {
        if (terminated !== undefined) this.#set({ terminated });
        return;
      }
      backoffMs = Math.min(longestBackoffMs, backoffMs * 2);
      if (terminated !== undefined) this.#restarts += 1;
    }
  }

  #restartsAfter(exitCode: number): boolean {
    const policy = this.#context.container.restartPolicy ?? this.#context.restartPolicy;
    return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
  }

  /** One life of the process. */
  async #once(): Promise<number> {
    const folder = join(this.#context.folder, `${this.#restarts}`);
    const startedAt = timestamp();
    let process: ContainerProcess;
    try {
      await mkdir(folder, { recursive: true });
      process = await ContainerProcess.start(await this.#context.specOf(folder, this.logFile(false)));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#set({ waiting: { reason: 'CreateContainerError', message } });
      return 128;
    }
    this.#process = process;
    const { container } = this.#context;
    this.#started = container.startupProbe === undefined;
    this.#ready = this.#started && container.readinessProbe === undefined;
    if (this.#stopping.signal.aborted) await process.signal('SIGKILL');
    const settled = process.prepared.then(() => sleep(settleMs));
    await Promise.race([settled, process.exited]);
    const over = new AbortController();
    if (container.lifecycle?.postStart !== undefined) {
      await perform(container.lifecycle.postStart, this.#target(), 60_000);
    }
    this.#set({ running: { startedAt } });
    const watches = [this.#probe(over.signal), this.#watchSize(process, over.signal)];
    const exit = await process.exited;
    over.abort();
    await Promise.all(watches);
    this.#ready = false;
    this.#set({
      terminated: {
        exitCode: exit.code,
        reason: exit.code === 0 ? 'Completed' : 'Error',
        ...(exit.message === '' ? {} : { message: exit.message }),
        startedAt,
        finishedAt: timestamp(),
        containerID: this.#id(),
      },
    });
    await rm(folder, { recursive: true, force: true });
    return exit.code;
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.#context.container;
    const kill = (): void => void this.#restartProcess();
    if (startupProbe !== undefined) {
      const { promise: started, resolve } = Promise.withResolvers<void>();
      const loop = this.#repeat(startupProbe, signal, (healthy) => {
        if (healthy) resolve();
        else kill();
        return healthy;
      });
      await Promise.race([started, loop]);
      if (signal.aborted) return;
      this.#started = true;
      this.#ready = readinessProbe === undefined;
      this.#context.changed();
    }
    const loops = [
      this.#repeat(readinessProbe, signal, (healthy) => {
        this.#ready = healthy;
        this.#context.changed();
        return false;
      }),
      this.#repeat(livenessProbe, signal, (healthy) => {
        if (!healthy && !this.#stopping.signal.aborted) kill();
        return !healthy;
      }),
    ];
    await Promise.all(loops);
  }

  /** Looks at what a container with a limit has written, until it is too much. */
  async #watchSize(process: ContainerProcess, signal: AbortSignal): Promise<void> {
    const limit = this.#context.container.resources?.limits?.['ephemeral-storage'];
    if (limit === undefined) return;
    while (!signal.aborted) {
      if ((await process.writtenBytes()) > amountOf(limit)) {
        this.#context.exceeded(
          `Container ${this.name} exceeded its local ephemeral storage limit "${limit}". `,
        );
        return;
      }
      await sleep(1000, undefined, { signal }).catch(() => {});
    }
  }

  async #restartProcess(): Promise<void> {
    const process = this.#process;
    await process?.signal('SIGTERM');
    await Promise.race([process?.exited, sleep(30_000)]);
    await process?.signal('SIGKILL');
  }

  /** Reports each change of the verdict, which takes as many equal results as the thresholds say, until told that it is enough. */
  async #repeat(
    probe: Probe | undefined,
    signal: AbortSignal,
    verdict: (healthy: boolean) => boolean,
  ): Promise<void> {
    if (probe === undefined) return;
    await sleep((probe.initialDelaySeconds ?? 0) * 1000, undefined, { signal }).catch(() => {});
    let last: boolean | undefined;
    let equal = 0;
    let told: boolean | undefined;
    const over = (): boolean => signal.aborted;
    while (!over()) {
      const healthy = await perform(probe, this.#target(), (probe.timeoutSeconds ?? 1) * 1000);
      if (over()) return;
      equal = healthy === last ? equal + 1 : 1;
      last = healthy;
      const threshold = healthy ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
      if (equal >= threshold && told !== healthy) {
        told = healthy;
        if (verdict(healthy)) return;
      }
      await sleep((probe.periodSeconds ?? 10) * 1000, undefined, { signal }).catch(() => {});
    }
  }

  #target(): ProbeTarget {
    return {
      container: this.#context.container,
      address: this.#context.address,
      exec: async (words, timeoutMs) => {
        try {
          const [file = '', ...args] = (await this.#process?.execWords(words)) ?? [];
          const result = await execa(file, args, { reject: false, timeout: timeoutMs, stdin: 'ignore' });
          return !result.failed;
        } catch {
          return false;
        }
      },
    };
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #completed(): boolean {
    return 'terminated' in this.#state && this.#state.terminated.exitCode === 0;
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#context.changed();
  }

  #id(): string {
    return `lab://${Buffer.from(`${this.#context.folder}/${this.#restarts}`).toString('hex').slice(-64)}`;
  }
}

/** To the second, as the API wants it. */
export function timestamp(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
