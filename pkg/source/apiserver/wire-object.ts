import { WeirError } from '../../runtime/index.ts';

/** A JSON object as the API server sends it, not yet decoded. */
export type WireObject = Readonly<Record<string, unknown>>;

/** What the reflector itself has to know of an object. */
export interface WireIdentity {
  /** Empty for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
  /** Opaque: equal or not is all that may be asked of it. */
  readonly resourceVersion: string;
}

export function isWireObject(value: unknown): value is WireObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws WEIR_API_ANSWER when `object` says no name or no resourceVersion: nobody knows then what the answer leaves out. */
export function identityOf(object: unknown, what: string): WireIdentity {
  const metadata = metadataOf(object);
  const namespace = metadata?.['namespace'] ?? '';
  const name = metadata?.['name'];
  const resourceVersion = metadata?.['resourceVersion'];
  if (typeof name !== 'string' || name === '' || typeof namespace !== 'string')
    throw unreadableAnswer(`${what} has an object without a name`);
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    throw unreadableAnswer(`${what} has ${name} without a resourceVersion`);
  return { namespace, name, resourceVersion };
}

export function metadataOf(object: unknown): WireObject | undefined {
  const metadata = isWireObject(object) ? object['metadata'] : undefined;
  return isWireObject(metadata) ? metadata : undefined;
}

export function annotationOf(object: unknown, key: string): unknown {
  const annotations = metadataOf(object)?.['annotations'];
  return isWireObject(annotations) ? annotations[key] : undefined;
}

/** The server answered, and not as an API server does. */
export function unreadableAnswer(problem: string, cause?: unknown): WeirError {
  return new WeirError('WEIR_API_ANSWER', problem, cause === undefined ? {} : { cause });
}
