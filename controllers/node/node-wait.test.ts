import { beforeEach, describe, expect, test } from 'vitest';
import type { Node } from '../../pkg/api/index.ts';
import { Store } from '../../pkg/cache/index.ts';
import { errorLine } from '../../pkg/runtime/index.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { type RecordedLog, recordedLog } from '../../test/support/recorded-log.ts';
import { waitForNode } from './node-wait.ts';

const bare: Node = {
  kind: 'Node',
  namespace: '',
  uid: '',
  name: 'node-a',
  addresses: [],
  podCIDRs: [],
  zone: undefined,
  beingDeleted: false,
  toBeDeletedTaint: false,
};
const withAddress = { ...bare, addresses: ['192.0.2.7'] };
const complete = { ...withAddress, podCIDRs: ['10.244.1.0/24'] };

describe('waiting for the Node', () => {
  let store: Store;
  let clock: FakeClock;
  let log: RecordedLog;
  let stop: AbortController;

  beforeEach(() => {
    store = new Store();
    clock = new FakeClock();
    log = recordedLog();
    stop = new AbortController();
  });

  /** What became of it: `waits`, `done`, or how it failed. */
  function start(detectLocalMode: string): () => string {
    let state = 'waits';
    const config = { nodeName: 'node-a', detectLocalMode };
    void (async () => {
      try {
        await waitForNode({ store, config, clock, log, signal: stop.signal });
        state = 'done';
      } catch (error) {
        state = errorLine(error);
      }
    })();
    return () => state;
  }

  test('ends at once when it has an address', async () => {
    store.upsert({ ...withAddress, name: 'node-b' });
    store.upsert(withAddress);
    const state = start('ClusterCIDR');
    await clock.advance(0);
    expect(state()).toBe('done');
    expect(log.lines).toEqual([]);
  });

  test('ends within a second of its address', async () => {
    store.upsert(bare);
    const state = start('ClusterCIDR');
    await clock.advance(20_500);
    expect(state()).toBe('waits');
    expect(log.lines).toEqual(['INFO waiting up to 30 s for node "node-a" to have an address']);
    store.upsert(withAddress);
    await clock.advance(1000);
    expect(state()).toBe('done');
    expect(log.lines).toHaveLength(1);
  });

  test.each([
    ['without an address', [bare], /^ERROR the Node has no address after 30 s; going on/],
    ['that does not exist', [], /^ERROR there is no Node after 30 s; going on .*"node-a"/],
  ])('goes on with an error after half a minute for one %s', async (_case, nodes: readonly Node[], line) => {
    for (const node of nodes) store.upsert(node);
    const state = start('ClusterCIDR');
    await clock.advance(29_000);
    expect(state()).toBe('waits');
    await clock.advance(1000);
    expect(state()).toBe('done');
    expect(log.lines.at(-1)).toMatch(line);
  });

  test('takes pod CIDRs in too where pods are told by them', async () => {
    store.upsert(withAddress);
    const state = start('NodeCIDR');
    await clock.advance(299_000);
    expect(state()).toBe('waits');
    store.upsert(complete);
    await clock.advance(1000);
    expect(state()).toBe('done');
  });

  test('fails after five minutes without pod CIDRs, and says what is missing', async () => {
    store.upsert(withAddress);
    const state = start('NodeCIDR');
    await clock.advance(300_000);
    expect(state()).toMatch(/^WEIR_NODE_NOT_FOUND: timeout waiting for PodCIDR allocation.*"node-a"/);
  });

  test('fails after both times without a Node where pods are told by its CIDRs', async () => {
    const state = start('NodeCIDR');
    await clock.advance(329_000);
    expect(state()).toBe('waits');
    await clock.advance(1000);
    expect(state()).toMatch(/^WEIR_NODE_NOT_FOUND: timeout waiting for node "node-a" to exist/);
  });

  test('ends with the program', async () => {
    const state = start('ClusterCIDR');
    await clock.advance(5000);
    stop.abort(new Error('stopped'));
    await clock.advance(0);
    expect(state()).toBe('stopped');
  });
});
