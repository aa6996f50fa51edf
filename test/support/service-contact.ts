import type { Family } from '../../pkg/net/index.ts';
import type { ConnectRequest, Outcome } from './agent/protocol.ts';
import type { NetworkNamespace } from './network-namespace.ts';

/** What one attempt to reach a Service showed. */
export type Contact =
  | { readonly kind: 'reply'; readonly name: string; readonly masqueraded: boolean }
  | { readonly kind: Exclude<Outcome['kind'], 'reply'> };

/**
 * What a machine meets. Every attempt of a machine has a source port of its own, so that a source that is seen elsewhere
 * with another address or port was translated, and no attempt meets the connection of an earlier one.
 */
export async function contact(from: NetworkNamespace, request: ConnectRequest): Promise<Contact> {
  const first = await attempt(from, request);
  if (first.translation === 'address' || first.contact.kind !== 'reply') return first.contact;
  // A node that is masqueraded keeps its address. Its port alone may mislead: a random port is the old one once in
  // 64,512 times, and the kernel moves a port out of the way of another connection that was masqueraded to the same one.
  const second = await attempt(from, request);
  if (second.translation === first.translation) return second.contact;
  return (await attempt(from, request)).contact;
}

async function attempt(
  from: NetworkNamespace,
  request: ConnectRequest,
): Promise<{ readonly contact: Contact; readonly translation: 'none' | 'port' | 'address' }> {
  const sourcePort = nextSourcePort(from);
  const outcome = await from.connect({ ...request, sourcePort });
  if (outcome.kind !== 'reply') return { contact: { kind: outcome.kind }, translation: 'none' };
  const { name, seenAddress, seenPort } = outcome;
  const own = request.sourceAddress === undefined ? from.addresses : [request.sourceAddress];
  const translation = !own.includes(seenAddress) ? 'address' : seenPort === sourcePort ? 'none' : 'port';
  return { contact: { kind: 'reply', name, masqueraded: translation !== 'none' }, translation };
}

/** Attempts at once. */
export function contacts(
  from: NetworkNamespace,
  request: ConnectRequest,
  count: number,
): Promise<readonly Contact[]> {
  return Promise.all(Array.from({ length: count }, () => contact(from, request)));
}

/** Enough for two endpoints to be met both, in all but one of a million tries. */
const enough = 41;
const few = 5;

/**
 * What a source meets at an address, as one word for each thing that happened: `a d masqueraded`, `refused`, `timeout`.
 * Where `several` endpoints are expected it tries until it has met as many, within reason.
 */
export async function summary(from: NetworkNamespace, request: ConnectRequest, several = 1): Promise<string> {
  const seen = [...(await contacts(from, request, few))];
  while (seen.some((one) => one.kind === 'reply') && seen.length < enough && namesOf(seen).size < several) {
    seen.push(...(await contacts(from, request, few)));
  }
  const words = new Set<string>();
  for (const one of seen) {
    if (one.kind !== 'reply') words.add(one.kind);
    else words.add(one.masqueraded ? 'masqueraded' : 'unchanged');
  }
  return [...[...namesOf(seen)].toSorted(), ...[...words].toSorted()].join(' ');
}

function namesOf(contacts: readonly Contact[]): ReadonlySet<string> {
  return new Set(contacts.flatMap((one) => (one.kind === 'reply' ? [one.name] : [])));
}

/** A refusal of TCP over IPv6 is seen only after the first SYN retry, one second later. */
export function silenceMs(protocol: ConnectRequest['protocol'], family: Family): number {
  return protocol === 'tcp' && family === 'IPv6' ? 3000 : 800;
}

/** Above those that Weir listens on. */
const firstSourcePort = 11_000;
/** Node ports and the kernel's own choice begin above. */
const lastSourcePort = 29_999;
const sourcePorts = new WeakMap<NetworkNamespace, number>();

function nextSourcePort(from: NetworkNamespace): number {
  const last = sourcePorts.get(from) ?? lastSourcePort;
  const next = last >= lastSourcePort ? firstSourcePort : last + 1;
  sourcePorts.set(from, next);
  return next;
}
