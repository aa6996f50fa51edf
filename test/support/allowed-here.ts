import { evaluate, type Packet, type PolicyWorld } from '../../pkg/policy/decide/index.ts';

/** What the policies of one node make of a packet: each half is judged on the node where its pod lives. */
export function isAllowedHere(world: PolicyWorld, packet: Packet, nodeName: string): boolean {
  const { ingress, egress } = evaluate(world, packet);
  const isHere = (ip: string): boolean =>
    world.pods.some((pod) => pod.nodeName === nodeName && pod.addresses.some((address) => address.ip === ip));
  const isDeniedHere =
    (egress.outcome === 'denied' && isHere(packet.source)) ||
    (ingress.outcome === 'denied' && isHere(packet.destination));
  return !isDeniedHere;
}
