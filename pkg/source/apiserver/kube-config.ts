// A module of its own, imported only when an API server is used: the library is big, and a bundler keeps of it what one
// name needs only when that name is imported statically.
export { KubeConfig } from '@kubernetes/client-node';
