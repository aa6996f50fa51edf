export {
  type CniCache,
  cniCacheFolders,
  createCniCache,
} from './cni-cache/cni-cache.ts';
export type { CniResult } from './cni-cache/cni-result.ts';
export { createManifestSource } from './manifests/manifest-source.ts';
export type { Source, SourceHandler } from './source.ts';
