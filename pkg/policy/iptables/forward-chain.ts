import type { PolicyType } from '../../api/index.ts';
import {
  type Jump,
  type Match,
  printRule,
  type Rule,
  type SetSpec,
  type Target,
} from '../../kernel/index.ts';
import type { Family } from '../../net/index.ts';
import { guardRules, rangeGuardRules, type StartGuard } from './guard-rules.ts';
import { dispatchChains, forwardChain, isolatedPodsSet } from './policy-names.ts';

/** What the rules that all forwarded packets meet depend on. */
export interface ForwardOptions {
  readonly family: Family;
  /** `cut`: TCP may not go on in the middle, so that a connection which was taken out of conntrack has ended. */
  readonly established: 'keep' | 'cut';
  /** What may not talk because nobody knows it; `undefined`: everything may. */
  readonly guard: StartGuard | undefined;
}

/** The way into the policies, before all others: KUBE-FORWARD accepts what a Service has masqueraded. */
const forwardJump = jump('FORWARD', []);

/**
 * IPVS takes the packets to its Services in on INPUT and sends them on, translated, through OUTPUT: FORWARD never sees them. The source is still
 * the client's; what the node itself sends has an address of its own.
 */
const outputJump = jump('OUTPUT', [{ kind: 'address-type', side: 'src', type: 'LOCAL', negated: true }]);

/** What there is to know of the node for the ways into the policies. */
export interface PolicyJumpOptions {
  /** Another program routes Services, in whatever mode. Defaults to false. */
  readonly besideProxy?: boolean;
}

/** The ways into the policies. */
export function policyJumps({ besideProxy = false }: PolicyJumpOptions): readonly Jump[] {
  return besideProxy ? [forwardJump, outputJump] : [forwardJump];
}

function jump(builtin: string, matches: readonly Match[]): Jump {
  const comment: Match = { kind: 'comment', text: 'weir network policy' };
  return {
    table: 'filter',
    builtin,
    rule: printRule({ matches: [comment, ...matches], target: { kind: 'jump', chain: forwardChain } }),
    target: forwardChain,
    position: 'first',
  };
}

/** Whether a rule (in the spelling of `printRule`) is a way into the policies. */
export function isPolicyJump(rule: string): boolean {
  return rule === forwardJump.rule || rule === outputJump.rule;
}

/** The chain that all forwarded packets enter first. */
export function forwardRules(options: ForwardOptions): string {
  const rules: readonly Rule[] = [
    established,
    ...(options.family === 'IPv6' ? linkLocalRules() : []),
    ...(options.established === 'cut' ? midStreamRules(options.family) : []),
    ...(options.guard === undefined ? [] : guardRules(options.family, options.guard)).map(({ rule }) => rule),
    ...dispatchRules(options.family),
  ];
  return rules.map((rule) => printRule(rule)).join('\n');
}

/** The guard alone, for a node that has just started. */
export function bootGuardRules(family: Family, ranges: readonly string[]): string {
  const rules: readonly Rule[] = [
    established,
    ...(family === 'IPv6' ? linkLocalRules() : []),
    ...rangeGuardRules(family, ranges).map(({ rule }) => rule),
  ];
  return rules.map((rule) => printRule(rule)).join('\n');
}

const established: Rule = {
  matches: [{ kind: 'conntrack-state', states: ['RELATED', 'ESTABLISHED'] }],
  target: { kind: 'return' },
};

/** Multicast listener discovery, versions 1 and 2 (RFC 2710, 3810), and neighbour discovery (RFC 4861): the network itself. */
const networkTypes = [130, 131, 132, 133, 134, 135, 136, 137, 143];
const linkLocal = 'fe80::/10';

/** Only a bridge brings packets with link-local addresses here. No policy names these, so pods could talk past all policies. */
function linkLocalRules(): readonly Rule[] {
  const drop: Target = { kind: 'drop' };
  return [
    ...networkTypes.map(
      (type): Rule => ({
        matches: [
          { kind: 'protocol', protocol: 'ipv6-icmp' },
          { kind: 'icmp-type', type },
        ],
        target: { kind: 'return' },
      }),
    ),
    { matches: [{ kind: 'source', cidr: linkLocal }], target: drop },
    { matches: [{ kind: 'destination', cidr: linkLocal }], target: drop },
  ];
}

/**
 * Conntrack takes a connection that it does not know up in the middle, from either side, and calls it NEW. In whichever
 * direction the pod is isolated, the other one would bring the connection back to life.
 */
function midStreamRules(family: Family): readonly Rule[] {
  const midStream: readonly Match[] = [
    { kind: 'tcp-flags', mask: 'FIN,SYN,RST,ACK', set: 'SYN', negated: true },
    { kind: 'conntrack-state', states: ['NEW'] },
  ];
  return directions.flatMap((direction) =>
    ['src', 'dst'].map(
      (flags): Rule => ({
        matches: [...midStream, inSet(isolatedPodsSet(family, direction), flags)],
        target: { kind: 'drop' },
      }),
    ),
  );
}

function dispatchRules(family: Family): readonly Rule[] {
  return directions.map((direction) => ({
    matches: [inSet(isolatedPodsSet(family, direction), direction === 'Egress' ? 'src' : 'dst')],
    target: { kind: 'jump', chain: dispatchChains[direction] },
  }));
}

/** In the order of a packet's life: it leaves one pod and enters another. */
const directions: readonly PolicyType[] = ['Egress', 'Ingress'];

function inSet({ name }: SetSpec, flags: string): Match & { readonly kind: 'set' } {
  return { kind: 'set', set: name, flags };
}
