import { access } from 'node:fs/promises';
import type { RunConfig } from '../../pkg/config/index.ts';
import { systemClock, WeirError } from '../../pkg/runtime/index.ts';
import {
  type ApiCall,
  type ApiClient,
  createApiClient,
  createApiServerSource,
  createManifestSource,
  type ReflectorObserver,
  type Source,
  type SourceLog,
} from '../../pkg/source/index.ts';
import { kindsOf } from '../sync/part-kinds.ts';

/** What the in-cluster address of the API server is taken from, and what Weir calls itself there. */
export interface Caller {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
}

export interface OpenSourceOptions extends Caller {
  readonly config: RunConfig;
  readonly log: SourceLog;
  readonly onCall?: (call: ApiCall) => void;
  readonly observer?: ReflectorObserver;
}

/** `client` is there where the objects come from an API server; whoever opened it closes it. */
export interface OpenSource {
  readonly source: Source;
  readonly client?: ApiClient;
}

/**
 * Where the configuration says the objects come from: a path, or else the API server. A path that is mistyped, or credentials that
 * can't be read, are known before anything on the node is touched: WEIR_MANIFESTS_UNREADABLE, WEIR_API_CREDENTIALS.
 */
export async function openSource(options: OpenSourceOptions): Promise<OpenSource> {
  const { config, env, version, log, onCall, observer } = options;
  const { manifests, kubeconfig, master, nodeName, parts } = config;
  if (manifests !== undefined) {
    await requireManifests(manifests);
    return { source: createManifestSource({ path: manifests, clock: systemClock }) };
  }
  const client = await createApiClient({
    kubeconfig,
    master,
    env,
    clock: systemClock,
    userAgent: `weir/${version} (${process.platform}/${process.arch})`,
    onCall,
  });
  log.info(`API server: ${client.server}`);
  const watching = observer === undefined ? {} : { observer };
  return {
    source: createApiServerSource({
      client,
      nodeName,
      kinds: kindsOf(parts),
      clock: systemClock,
      log,
      ...watching,
    }),
    client,
  };
}

async function requireManifests(path: string): Promise<void> {
  try {
    await access(path);
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const why = isMissing ? 'there is no such file or folder' : String(cause);
    throw new WeirError('WEIR_MANIFESTS_UNREADABLE', `can't read manifests from ${path}: ${why}`, { cause });
  }
}
