export { createManifestSource } from './manifests/manifest-source.ts';
export type { Source, SourceHandler } from './source.ts';
