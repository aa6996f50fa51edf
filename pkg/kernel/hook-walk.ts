import { type FinishedFlow, walkBuiltin } from './chain-walk.ts';
import { type Flow, type FlowAddress, type HookView, mergeFlows } from './flow.ts';
import type { TableName } from './names.ts';
import type { Hook, Packet, TracedNode } from './packet.ts';
import { flowAddress } from './rule-effect.ts';
import type { TracedTable } from './traced-table.ts';

/** What is the same for all of a packet's ways. */
export interface TraceContext {
  readonly node: TracedNode;
  readonly packet: Packet;
  readonly source: FlowAddress;
  readonly tables: ReadonlyMap<TableName, TracedTable>;
  readonly isLocal: (address: FlowAddress) => boolean;
}

/** A way through the node that has ended, and the hooks it met. */
export interface EndedWay extends FinishedFlow {
  readonly path: readonly Hook[];
}

/** The tables of each hook in the order of their priorities (`enum nf_ip_hook_priorities` of the kernel). */
const tablesOf: Readonly<Record<Hook, readonly TableName[]>> = {
  PREROUTING: ['raw', 'mangle', 'nat'],
  INPUT: ['mangle', 'filter', 'nat'],
  FORWARD: ['mangle', 'filter'],
  OUTPUT: ['raw', 'mangle', 'nat', 'filter'],
  POSTROUTING: ['mangle', 'nat'],
};

interface Journey {
  readonly context: TraceContext;
  readonly ended: EndedWay[];
  path: Hook[];
  /** A packet of the node to itself comes in again by `lo`; its connection has met the nat table already. */
  isLoopedBack: boolean;
}

/** Sends a packet through the hooks, from where it comes in to where it ends or leaves. */
export function walkHooks(context: TraceContext, start: Flow): readonly EndedWay[] {
  const journey: Journey = { context, ended: [], path: [], isLoopedBack: false };
  if (context.packet.from === 'outside') receive(journey, [start]);
  else send(journey, start);
  return journey.ended;
}

function receive(journey: Journey, flows: readonly Flow[]): void {
  const routed = meetHook(journey, 'PREROUTING', flows);
  const { isLocal } = journey.context;
  const branch = { ...journey, path: [...journey.path] };
  const delivered = routed.filter((flow) => isLocal(flow.destination));
  if (delivered.length > 0) finish(journey, meetHook(journey, 'INPUT', delivered));
  const forwarded = routed.filter((flow) => !isLocal(flow.destination));
  if (forwarded.length > 0)
    finish(branch, meetHook(branch, 'POSTROUTING', meetHook(branch, 'FORWARD', forwarded)));
}

function send(journey: Journey, start: Flow): void {
  const sent = meetHook(journey, 'POSTROUTING', meetHook(journey, 'OUTPUT', [start]));
  const { isLocal } = journey.context;
  finish(
    journey,
    sent.filter((flow) => !isLocal(flow.destination)),
  );
  const back = sent.filter((flow) => isLocal(flow.destination));
  if (back.length > 0) receive({ ...journey, path: [...journey.path], isLoopedBack: true }, back);
}

function finish({ ended, path }: Journey, flows: readonly Flow[]): void {
  for (const flow of flows) ended.push({ flow, verdict: 'accept', path });
}

/** The flows that a hook lets pass. */
function meetHook(journey: Journey, hook: Hook, flows: readonly Flow[]): readonly Flow[] {
  if (flows.length === 0) return flows;
  journey.path.push(hook);
  const path = [...journey.path];
  let open = flows;
  for (const name of tablesOf[hook]) {
    if (name === 'nat') open = translateKnown(journey, hook, open);
    if (name === 'nat' && !meetsNat(journey)) continue;
    const table = journey.context.tables.get(name);
    if (table === undefined) continue;
    const passed: Flow[] = [];
    for (const end of walkBuiltin(table, open, viewOf(journey, hook, name))) {
      if (end.verdict === 'accept') passed.push(end.flow);
      else journey.ended.push({ ...end, path });
    }
    open = mergeFlows(passed);
  }
  return open;
}

function meetsNat({ isLoopedBack, context }: Journey): boolean {
  return !isLoopedBack && (context.packet.connection?.state ?? 'NEW') === 'NEW';
}

/** Conntrack sends the packets of a known connection where its first packet went. */
function translateKnown(journey: Journey, hook: Hook, flows: readonly Flow[]): readonly Flow[] {
  const { connection } = journey.context.packet;
  const to = connection !== undefined && 'dnat' in connection ? connection.dnat.to : undefined;
  if (to === undefined || journey.isLoopedBack || (hook !== 'PREROUTING' && hook !== 'OUTPUT')) return flows;
  const destination = flowAddress(to.address);
  if (destination === undefined) throw new RangeError(`not an address: ${to.address}`);
  return flows.map((flow) => ({ ...flow, destination, destinationPort: to.port }));
}

function viewOf({ context, isLoopedBack }: Journey, hook: Hook, table: TableName): HookView {
  const { node, packet, source, isLocal } = context;
  const received = hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
  const lists = node.recent;
  const route = (address: FlowAddress): string | undefined =>
    isLocal(address) ? 'lo' : node.outInterface?.(address.text);
  // The kernel chooses the way before OUTPUT, and again behind it if DNAT changed the destination.
  const first = hook === 'OUTPUT' ? route(addressOf(packet.destination)) : undefined;
  const leaves = hook === 'FORWARD' || hook === 'POSTROUTING';
  return {
    hook,
    table,
    packet,
    source,
    inInterface: received ? (isLoopedBack ? 'lo' : packet.inInterface) : '',
    outInterface: (flow) => (leaves ? route(flow.destination) : hook === 'OUTPUT' ? first : ''),
    // Before conntrack has seen a packet, the kernel reports it as INVALID.
    conntrackState: table === 'raw' && !isLoopedBack ? 'INVALID' : (packet.connection?.state ?? 'NEW'),
    isLocal,
    recentAge: (list) => lists?.get(list)?.get(source.text),
  };
}

function addressOf(text: string): FlowAddress {
  const address = flowAddress(text);
  if (address === undefined) throw new RangeError(`not an address: ${text}`);
  return address;
}
