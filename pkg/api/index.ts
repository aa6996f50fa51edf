export { type DecodeResult, decodeAs, decodeObject } from './decode.ts';
export type { Diagnostic } from './diagnostic.ts';
export type { Endpoint, EndpointPort, EndpointSlice } from './endpoint-slice.ts';
export { leaveOut } from './leave-out.ts';
export {
  type LabelRequirement,
  type LabelSelector,
  type Labels,
  type NamespacedName,
  namespacedName,
  type PodAddress,
  type Protocol,
} from './meta.ts';
export type { Namespace } from './namespace.ts';
export type { NetworkPolicy, PolicyType } from './network-policy.ts';
export type { Node } from './node.ts';
export { type ApiObject, equalObjects, type ObjectKind, type ObjectOfKind } from './object.ts';
export type { EndpointOrigin, Origin, PodOrigin, PolicyOrigin, ServiceOrigin } from './origin.ts';
export type { NamedPort, Pod } from './pod.ts';
export type { PolicyPeer, PolicyPort, PolicyRule } from './policy-rules.ts';
export type { Service } from './service.ts';
export type { ServicePort } from './service-ports.ts';
