/**
 * Every error that Weir throws, by its stable code. `retryable`: the same work may succeed later without anybody
 * changing anything. `summary` is what the code means, for documentation and log readers.
 */
const catalogue = {
  WEIR_BAD_FLAG: { retryable: false, summary: 'a command line flag or a configuration value is not usable' },
  WEIR_CONFIG_CHANGED: { retryable: true, summary: 'the configuration file is not what it was at the start' },
  WEIR_MANIFESTS_UNREADABLE: { retryable: false, summary: 'the manifests file or folder can not be read' },
  WEIR_API_CREDENTIALS: {
    retryable: false,
    summary: 'the API server address or the credentials for it can not be read',
  },
  WEIR_API_UNREACHABLE: { retryable: true, summary: 'the API server gives no usable answer' },
  WEIR_API_ANSWER: { retryable: true, summary: 'the API server said something that makes no sense' },
  WEIR_NODE_NOT_FOUND: { retryable: true, summary: 'the node Weir runs for is not among the objects' },
  WEIR_NOT_PRIVILEGED: { retryable: false, summary: 'the kernel refused: root or NET_ADMIN is missing' },
  WEIR_NO_IPTABLES: { retryable: false, summary: 'the iptables programs are missing or do not start' },
  WEIR_NO_IPSET: { retryable: false, summary: 'the ipset program is missing or does not start' },
  WEIR_SAVE_FAILED: { retryable: true, summary: 'the rules or sets in the kernel could not be read' },
  WEIR_RESTORE_FAILED: { retryable: true, summary: 'iptables-restore refused or did not finish' },
  WEIR_LOCK_HELD: { retryable: true, summary: 'another program kept the xtables lock too long' },
  WEIR_IPSET_FAILED: { retryable: true, summary: 'ipset restore refused or did not finish' },
  WEIR_NO_CONNTRACK: { retryable: false, summary: 'the conntrack program is missing or does not start' },
  WEIR_CONNTRACK_FAILED: { retryable: true, summary: 'tracked connections could not be read or deleted' },
  WEIR_NFT_FAILED: { retryable: true, summary: "kube-proxy's table of nftables could not be deleted" },
  WEIR_IPVS_FAILED: { retryable: true, summary: "kube-proxy's leftovers of IPVS mode could not be removed" },
  WEIR_SYSCTL_FAILED: {
    retryable: true,
    summary: 'a kernel setting under /proc/sys could not be read or written',
  },
  WEIR_OTHER_PROXY: { retryable: true, summary: 'another proxy writes Service rules on this node' },
  WEIR_PORT_TAKEN: { retryable: true, summary: 'a port Weir wants to listen on is in use' },
  WEIR_TIMEOUT: { retryable: true, summary: 'a deadline passed' },
  WEIR_BUG: { retryable: false, summary: 'something that can not happen did' },
} as const satisfies Readonly<Record<string, { readonly retryable: boolean; readonly summary: string }>>;

export type WeirErrorCode = keyof typeof catalogue;

const brand: unique symbol = Symbol.for('weir.error') as never;

export interface WeirErrorOptions {
  readonly cause?: unknown;
  /** Where the catalogue's word does not fit the case, e.g. a restore refused for lack of privilege. */
  readonly retryable?: boolean;
}

/** The only kind of error Weir throws on purpose. `message` is one line a person can act on. */
export class WeirError extends Error {
  override readonly name = 'WeirError';
  readonly code: WeirErrorCode;
  readonly retryable: boolean;
  readonly [brand] = true;

  constructor(code: WeirErrorCode, message: string, options: WeirErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? catalogue[code].retryable;
  }
}

/** Holds across realms and across two copies of this module, where `instanceof` does not. */
export function isWeirError(value: unknown): value is WeirError {
  return typeof value === 'object' && value !== null && brand in value;
}

/** One line about any thrown value: `WEIR_CODE: message`, or the message alone when it is not ours. */
export function errorLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return (isWeirError(error) ? `${error.code}: ${message}` : message).replaceAll(/\s*\n\s*/g, '; ');
}
