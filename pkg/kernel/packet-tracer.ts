import type { Flow, FlowAddress } from './flow.ts';
import { listSteps } from './flow.ts';
import { type EndedWay, walkHooks } from './hook-walk.ts';
import type { TableName } from './names.ts';
import type { Outcome, Packet, TracedNode } from './packet.ts';
import { flowAddress } from './rule-effect.ts';
import { TracedTable } from './traced-table.ts';

/**
 * Walks packets through a saved rule set as the kernel would, hook by hook and table by table, and names each rule that
 * matched. It keeps what it has parsed, so one tracer should serve all packets of a snapshot.
 *
 * It knows all that Weir and kube-proxy write. A rule with a match or target that it does not know, or that asks for
 * something not said of the packet, is passed over, and the outcome says `undecided`. Not looked at: routes (except which
 * addresses are local), reverse path filters, forwarding switched off, other users of netfilter such as nftables.
 */
export class PacketTracer {
  readonly #node: TracedNode;
  readonly #tables: ReadonlyMap<TableName, TracedTable>;
  readonly #local: ReadonlySet<string>;

  constructor(node: TracedNode) {
    this.#node = node;
    const { tables, sets } = node.kernel;
    this.#tables = new Map(Array.from(tables, ([name, table]) => [name, new TracedTable(table, sets)]));
    this.#local = new Set(
      Array.from(node.localAddresses, (address) => flowAddress(address)?.text ?? address),
    );
  }

  /**
   * All ways in which the packet may end, with their probabilities; ways that differ in nothing but the rules met are one.
   * Sorted by destination, port, masquerade and verdict. Throws a RangeError for an address that is none or not of the
   * node's family.
   */
  trace(packet: Packet): readonly Outcome[] {
    const start: Flow = {
      destination: this.#address(packet.destination),
      destinationPort: packet.destinationPort,
      mark: packet.mark ?? 0,
      dnat: packet.connection !== undefined && 'dnat' in packet.connection,
      masqueraded: false,
      probability: 1,
      undecided: false,
      steps: undefined,
    };
    const ways = walkHooks(
      {
        node: this.#node,
        packet,
        source: this.#address(packet.source),
        tables: this.#tables,
        isLocal: (address) => this.#isLocal(address),
      },
      start,
    );
    return mergeWays(ways)
      .toSorted(compareWays)
      .map((way) => outcomeOf(way));
  }

  #address(text: string): FlowAddress {
    const address = flowAddress(text);
    if (address?.address.family !== this.#node.family) {
      throw new RangeError(`not an ${this.#node.family} address: ${text}`);
    }
    return address;
  }

  #isLocal({ text, address }: FlowAddress): boolean {
    if (this.#local.has(text)) return true;
    return address.family === 'IPv4' ? address.bits >> 24n === 127n : address.bits === 1n;
  }
}

function mergeWays(ways: readonly EndedWay[]): readonly EndedWay[] {
  const merged = new Map<string, EndedWay>();
  for (const way of ways) {
    const { flow, verdict, rejectWith, path } = way;
    const key = [
      verdict,
      rejectWith,
      flow.destination.text,
      flow.destinationPort,
      flow.masqueraded,
      flow.mark,
      flow.undecided,
      path,
    ].join(' ');
    const other = merged.get(key);
    const likelier = other === undefined || other.flow.probability < flow.probability ? way : other;
    const probability = (other?.flow.probability ?? 0) + flow.probability;
    merged.set(key, { ...likelier, flow: { ...likelier.flow, probability } });
  }
  return [...merged.values()];
}

function compareWays(a: EndedWay, b: EndedWay): number {
  const [one, other] = [a.flow.destination.address.bits, b.flow.destination.address.bits];
  if (one !== other) return one < other ? -1 : 1;
  return (
    (a.flow.destinationPort ?? 0) - (b.flow.destinationPort ?? 0) ||
    Number(a.flow.masqueraded) - Number(b.flow.masqueraded) ||
    compareText(a.verdict, b.verdict) ||
    compareText(a.rejectWith ?? '', b.rejectWith ?? '') ||
    a.flow.mark - b.flow.mark ||
    compareText(a.path.join(' '), b.path.join(' '))
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function outcomeOf({ flow, verdict, rejectWith, path }: EndedWay): Outcome {
  return {
    verdict,
    ...(rejectWith === undefined ? {} : { rejectWith }),
    destination: flow.destination.text,
    ...(flow.destinationPort === undefined ? {} : { destinationPort: flow.destinationPort }),
    masqueraded: flow.masqueraded,
    mark: flow.mark,
    probability: flow.probability,
    undecided: flow.undecided,
    path,
    steps: listSteps(flow),
  };
}
