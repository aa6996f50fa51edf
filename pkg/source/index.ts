export { type ApiCall, type ApiClient, ApiStatusError } from './apiserver/api-client.ts';
export { createApiServerSource } from './apiserver/api-server-source.ts';
export { createApiClient } from './apiserver/api-transport.ts';
export type { SourceLog } from './apiserver/failure-log.ts';
export { noObserver, type ReflectorObserver } from './apiserver/reflector-observer.ts';
export {
  type CniCache,
  cniCacheFolders,
  createCniCache,
} from './cni-cache/cni-cache.ts';
export type { CniResult } from './cni-cache/cni-result.ts';
export { createManifestSource } from './manifests/manifest-source.ts';
export type { Source, SourceHandler } from './source.ts';
