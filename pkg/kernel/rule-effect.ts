import { formatAddress, parseAddress } from '../net/index.ts';
import type { Flow, FlowAddress } from './flow.ts';
import type { ChainName } from './names.ts';
import type { Target } from './rule.ts';

/** What a rule does to a flow that it matches. */
export type RuleEffect =
  | { readonly kind: 'continue'; readonly change?: (flow: Flow) => Flow }
  | {
      /** Ends the walk through the table. */
      readonly kind: 'finish';
      readonly verdict: 'accept' | 'drop' | 'reject';
      readonly rejectWith?: string;
      readonly change?: (flow: Flow) => Flow;
    }
  | { readonly kind: 'return' }
  | { readonly kind: 'call'; readonly chain: ChainName; readonly goto: boolean }
  | { readonly kind: 'undecided'; readonly reason: string };

export function createEffect(target: Target): RuleEffect {
  switch (target.kind) {
    case 'accept':
    case 'drop':
      return { kind: 'finish', verdict: target.kind };
    case 'reject':
      return { kind: 'finish', verdict: 'reject', rejectWith: target.with };
    case 'return':
      return { kind: 'return' };
    case 'jump':
    case 'goto':
      return { kind: 'call', chain: target.chain, goto: target.kind === 'goto' };
    case 'dnat':
      return createTranslation(target.to);
    case 'masquerade':
      return sourceTranslation;
    case 'mark':
      return {
        kind: 'continue',
        change: (flow) => ({ ...flow, mark: ((flow.mark & ~target.mask) ^ target.value) >>> 0 }),
      };
    case 'none':
      return { kind: 'continue' };
    case 'unknown':
      return createUnknown(target.text);
  }
}

const sourceTranslation: RuleEffect = {
  kind: 'finish',
  verdict: 'accept',
  change: (flow) => ({ ...flow, masqueraded: true }),
};

/** `--to-destination`: an address with or without a port. Ranges leave open where the packet goes. */
function createTranslation(to: string): RuleEffect {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/u.exec(to) ?? [];
  const destination = flowAddress(bracketed ?? plain ?? to);
  if (destination === undefined)
    return { kind: 'undecided', reason: 'a DNAT target that Weir does not know' };
  const port = portText === undefined ? undefined : Number(portText);
  return {
    kind: 'finish',
    verdict: 'accept',
    change: (flow) => ({ ...flow, destination, destinationPort: port ?? flow.destinationPort, dnat: true }),
  };
}

export function flowAddress(text: string): FlowAddress | undefined {
  const address = parseAddress(text);
  return address && { text: formatAddress(address), address };
}

/** Extensions that neither end the walk nor change what later rules of ours look at. */
const harmless: ReadonlySet<string> = new Set([
  'AUDIT',
  'CHECKSUM',
  'CLASSIFY',
  'CONNSECMARK',
  'DSCP',
  'HL',
  'LOG',
  'NFLOG',
  'SECMARK',
  'TCPMSS',
  'TEE',
  'TOS',
  'TRACE',
  'TTL',
]);

function createUnknown(text: string): RuleEffect {
  const name = text.split(' ')[1] ?? '';
  if (harmless.has(name)) return { kind: 'continue' };
  if (name === 'SNAT') return sourceTranslation;
  return { kind: 'undecided', reason: `a target that Weir does not know (${name})` };
}
