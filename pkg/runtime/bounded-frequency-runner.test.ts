import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { BoundedFrequencyRunnerOptions, RunReason } from './bounded-frequency-runner.ts';
import { BoundedFrequencyRunner } from './bounded-frequency-runner.ts';

interface Harness {
  readonly clock: FakeClock;
  readonly runner: BoundedFrequencyRunner;
  /** `start reason` and `error` in order, with their times. */
  readonly events: readonly string[];
  /** What the next runs do. */
  durationMs: number;
  failing: boolean;
}

function start(options: Partial<BoundedFrequencyRunnerOptions> = {}): Harness {
  const clock = new FakeClock();
  const events: string[] = [];
  let running = 0;
  const work = async (reason: RunReason, signal: AbortSignal): Promise<void> => {
    running += 1;
    expect(running).toBe(1);
    events.push(`${clock.now()} ${reason}`);
    try {
      await clock.sleep(harness.durationMs, signal);
      if (harness.failing) throw new Error('refused');
    } finally {
      running -= 1;
    }
  };
  const runner = new BoundedFrequencyRunner({
    work,
    clock,
    maxIntervalMs: 3_600_000,
    retry: { initialMs: 1000, maxMs: 30_000, jitter: 0 },
    onError: (_, retryInMs) => events.push(`${clock.now()} failed, again in ${retryInMs}`),
    ...options,
  });
  const harness: Harness = { clock, runner, events, durationMs: 100, failing: false };
  void runner.start();
  return harness;
}

test('runs at once when idle, and not before somebody asks', async () => {
  const { clock, runner, events } = start();
  await clock.advance(5000);
  expect(events).toEqual([]);
  runner.run();
  await clock.advance(0);
  expect(events).toEqual(['5000 requested']);
});

test('keeps a request that came before the start', async () => {
  const clock = new FakeClock();
  let runs = 0;
  const work = async (): Promise<void> => void (runs += 1);
  const retry = { initialMs: 1, maxMs: 1 };
  const runner = new BoundedFrequencyRunner({
    work,
    clock,
    maxIntervalMs: 1000,
    retry,
    onError: () => undefined,
  });
  runner.run();
  void runner.start();
  await clock.advance(0);
  expect(runs).toBe(1);
});

test('makes one more run of any number of requests during a run, after a pause of twice its duration', async () => {
  const { clock, runner, events } = start();
  runner.run();
  await clock.advance(50);
  runner.run();
  runner.run();
  await clock.advance(10_000);
  expect(events).toEqual(['0 requested', '300 requested']);
});

test('makes one run of the requests during the pause', async () => {
  const { clock, runner, events } = start();
  runner.run();
  await clock.advance(150);
  runner.run();
  await clock.advance(20);
  runner.run();
  await clock.advance(10_000);
  expect(events).toEqual(['0 requested', '300 requested']);
});

test('never pauses longer than a second by itself', async () => {
  const harness = start();
  harness.durationMs = 20_000;
  harness.runner.run();
  await harness.clock.advance(1);
  harness.runner.run();
  await harness.clock.advance(21_000);
  expect(harness.events).toEqual(['0 requested', '21000 requested']);
});

test('honours a configured minimum interval, longer or shorter than its own', async () => {
  for (const [minIntervalMs, second] of [
    [10_000, 10_100],
    [0, 100],
  ] as const) {
    const { clock, runner, events } = start({ minIntervalMs });
    runner.run();
    await clock.advance(50);
    runner.run();
    await clock.advance(60_000);
    expect(events).toEqual(['0 requested', `${second} requested`]);
  }
});

test('looks at everything once the maximum interval has passed since the last run', async () => {
  const { clock, runner, events } = start({ maxIntervalMs: 60_000 });
  await clock.advance(30_000);
  runner.run();
  await clock.advance(150_300);
  expect(events).toEqual(['30000 requested', '90100 interval', '150200 interval']);
});

test('retries after failures with growing delays, and starts over after a success', async () => {
  const harness = start();
  harness.failing = true;
  harness.runner.run();
  await harness.clock.advance(3150);
  harness.failing = false;
  await harness.clock.advance(60_000);
  harness.failing = true;
  harness.runner.run();
  await harness.clock.advance(150);
  expect(harness.events).toEqual([
    '0 requested',
    '100 failed, again in 1000',
    '1100 retry',
    '1200 failed, again in 2000',
    '3200 retry',
    '63150 requested',
    '63250 failed, again in 1000',
  ]);
});

test('does not let requests hasten the retry of a failure below the first delay, nor wait out a long one', async () => {
  const harness = start();
  harness.failing = true;
  harness.runner.run();
  await harness.clock.advance(100 + 1000 + 100 + 2000 + 100 + 100);
  expect(harness.events.at(-1)).toBe('3300 failed, again in 4000');
  harness.runner.run();
  await harness.clock.advance(2000);
  expect(harness.events.at(-2)).toBe('4300 requested');
});

test('starts nothing after it was stopped, and lets the run in flight end', async () => {
  const { clock, runner, events } = start();
  runner.run();
  await clock.advance(50);
  runner.run();
  const stopped = runner.stop(5000);
  await clock.advance(60_000);
  expect(await stopped).toBe(true);
  expect(events).toEqual(['0 requested']);
  expect(clock.sleeping).toBe(0);
});

test('stops at once when idle', async () => {
  const { clock, runner } = start();
  await clock.advance(10);
  expect(await runner.stop(5000)).toBe(true);
});

test('stops when it was never started', async () => {
  const retry = { initialMs: 1, maxMs: 1 };
  const work = (): Promise<void> => Promise.resolve();
  const options = { work, clock: new FakeClock(), maxIntervalMs: 1000, retry, onError: () => undefined };
  expect(await new BoundedFrequencyRunner(options).stop(5000)).toBe(true);
});

test('aborts a run that outlives the deadline', async () => {
  const harness = start();
  harness.durationMs = 60_000;
  harness.runner.run();
  await harness.clock.advance(50);
  const stopped = harness.runner.stop(5000);
  await harness.clock.advance(5000);
  expect(await stopped).toBe(false);
  expect(harness.events).toEqual(['0 requested']);
});
