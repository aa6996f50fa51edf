import { cidrContains, type Family, familyOf, parseAddress, parseCidr } from '../../pkg/net/index.ts';
import { isPolicyPod, type PolicyWorld } from '../../pkg/policy/decide/index.ts';

export interface ClosedStartCase {
  readonly nodeName: string;
  /** That this node's pods should have their addresses from, of both families. */
  readonly ranges: readonly string[];
  /** That the container runtime gave to pods which the API does not know. */
  readonly unowned: readonly string[];
}

/** Which addresses a node closes because no known pod owns them: what the rules are tested against, so it is nothing clever. */
export function closedAddresses(world: PolicyWorld, node: ClosedStartCase): (ip: string) => boolean {
  const owned = world.pods
    .filter(isPolicyPod)
    .flatMap(({ nodeName, addresses }) =>
      addresses.map(({ ip, family }) => ({ ip, family, isLocal: nodeName === node.nodeName })),
    );
  const follows = (family: Family): boolean =>
    node.ranges.some((range) => familyOf(range) === family) &&
    owned.every((one) => one.family !== family || one.isLocal === isInRanges(one.ip, node.ranges));
  const isFollowed = { IPv4: follows('IPv4'), IPv6: follows('IPv6') };
  return (ip) => {
    if (world.policies.length === 0) return false;
    if (node.unowned.includes(ip)) return true;
    const isKnown = owned.some((one) => one.ip === ip);
    return isFollowed[familyOf(ip) ?? 'IPv4'] && isInRanges(ip, node.ranges) && !isKnown;
  };
}

function isInRanges(ip: string, ranges: readonly string[]): boolean {
  const address = parseAddress(ip);
  return ranges.some((text) => {
    const range = parseCidr(text);
    return range !== undefined && address !== undefined && cidrContains(range, address);
  });
}
