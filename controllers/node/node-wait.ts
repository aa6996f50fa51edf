import type { Node } from '../../pkg/api/index.ts';
import type { Store } from '../../pkg/cache/index.ts';
import type { Logger } from '../../pkg/log/index.ts';
import { type Clock, WeirError } from '../../pkg/runtime/index.ts';

export interface NodeWaitOptions {
  readonly store: Store;
  readonly config: { readonly nodeName: string; readonly detectLocalMode: string };
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Times are kube-proxy's. */
const pollMs = 1000;
const addressLimitMs = 30_000;
const podCIDRLimitMs = 300_000;

/**
 * After the first complete state: waits until this process' Node has what the rules need. A node that just joined gets its
 * address from the kubelet or the cloud, and its pod ranges from a controller, a little later.
 *
 * Without an address for half a minute it goes on with an error: the address only decides about rare things. With
 * `--detect-local-mode=NodeCIDR` and no pod range for five minutes, throws WEIR_NODE_NOT_FOUND: every pod would count as an
 * outsider. Throws the signal's reason after an abort.
 */
export async function waitForNode(options: NodeWaitOptions): Promise<void> {
  const { config, log } = options;
  if (!(await waitUntil(options, addressLimitMs, (node) => node.addresses.length > 0))) {
    log.error(
      `${present(options) ? 'the Node has no address' : 'there is no Node'} after ${addressLimitMs / 1000} s; going on without the address of node "${config.nodeName}"`,
    );
  }
  if (config.detectLocalMode !== 'NodeCIDR') return;
  if (await waitUntil(options, podCIDRLimitMs, (node) => node.podCIDRs.length > 0)) return;
  const what = present(options)
    ? `PodCIDR allocation: node "${config.nodeName}" has no spec.podCIDRs (does kube-controller-manager run with --allocate-node-cidrs?)`
    : `node "${config.nodeName}" to exist (--hostname-override and the name that the kubelet registers must agree)`;
  throw new WeirError(
    'WEIR_NODE_NOT_FOUND',
    `timeout waiting for ${what}; --detect-local-mode=NodeCIDR can not tell pods without it`,
  );
}

function present({ store, config }: NodeWaitOptions): Node | undefined {
  return store.get('Node', '', config.nodeName);
}

/** Whether it came true within the limit. Says once what is waited for. */
async function waitUntil(
  options: NodeWaitOptions,
  limitMs: number,
  isMet: (node: Node) => boolean,
): Promise<boolean> {
  const { clock, log, signal, config } = options;
  const deadline = clock.now() + limitMs;
  for (let told = false; ; told = true) {
    signal.throwIfAborted();
    const node = present(options);
    if (node !== undefined && isMet(node)) return true;
    if (clock.now() >= deadline) return false;
    if (!told) {
      const what = limitMs === addressLimitMs ? 'an address' : 'pod CIDRs';
      log.info(`waiting up to ${limitMs / 1000} s for node "${config.nodeName}" to have ${what}`);
    }
    await clock.sleep(pollMs, signal);
  }
}
