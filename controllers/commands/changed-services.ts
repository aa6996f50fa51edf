import type { NamespacedName } from '../../pkg/api/index.ts';
import type { Plan } from '../../pkg/kernel/index.ts';
import { appliedRules, type ExplainedPlan, ownerOf, writtenDifference } from './explained-plan.ts';

/** The Services that a plan is about, each sorted. A Service is in at most one list. */
export interface ServiceNames {
  /** Of which the kernel has nothing yet. */
  readonly add: readonly NamespacedName[];
  readonly change: readonly NamespacedName[];
  /** Which are no more, by name, or where neither objects nor comments tell it, `address 10.96.0.7` or `chain KUBE-SVC-…`. */
  readonly remove: readonly string[];
}

/** What the changes say of the Services. */
interface Evidence {
  /** Something is added that no other Service has. */
  readonly touched: Set<NamespacedName>;
  /** Something of it is, or was, in the kernel. */
  readonly present: Set<NamespacedName>;
  /** Names of those that are gone. */
  readonly gone: Set<string>;
  /** Per-service chains to be deleted that no object and no comment names, by the hash in their names, with an address. */
  readonly unnamed: Map<string, string>;
}

/** Which Services come, change and go with a plan. */
export function changedServices(explained: ExplainedPlan): ServiceNames {
  const evidence: Evidence = { touched: new Set(), present: new Set(), gone: new Set(), unnamed: new Map() };
  const added = new Set<string>();
  fromChains(explained, evidence);
  fromMembers(explained, evidence, added);
  fromDispatch(explained, evidence);
  const names = [...evidence.touched].toSorted();
  const isNew = (name: NamespacedName): boolean =>
    !evidence.present.has(name) && hasNothingYet(explained, name, added);
  const unnamed = [...evidence.unnamed].map(([hash, ip]) =>
    ip === '' ? `chain KUBE-SVC-${hash}` : `address ${ip}`,
  );
  return {
    add: names.filter(isNew),
    change: names.filter((name) => !isNew(name)),
    remove: [...evidence.gone.values(), ...new Set(unnamed)].toSorted(),
  };
}

/** `added`: set members that come, `SET MEMBER`. */
function hasNothingYet(
  { objects, state }: ExplainedPlan,
  service: NamespacedName,
  added: ReadonlySet<string>,
): boolean {
  return objects.elementsOf(service).every((element) => {
    if (element.kind === 'chain') return state.appliedChain(element.table, element.chain) === undefined;
    return element.kind !== 'member' || added.has(`${element.set} ${element.member}`);
  });
}

function note({ objects }: ExplainedPlan, evidence: Evidence, owner: string, wasThere: boolean): void {
  const [service = ''] = owner.split(':');
  const name = service as NamespacedName;
  if (!objects.hasService(name)) evidence.gone.add(name);
  else {
    evidence.touched.add(name);
    if (wasThere) evidence.present.add(name);
  }
}

const hashOf = /^KUBE-(?:SVC|SVL)-([A-Z2-7]{16})$/;

function fromChains(explained: ExplainedPlan, evidence: Evidence): void {
  const { writeChains, deleteChains } = explained.parts.services;
  for (const { table, name, isNew } of writeChains) {
    const owner = ownerOf(explained, table, name);
    if (owner !== undefined) note(explained, evidence, owner, !isNew);
  }
  for (const { table, name } of deleteChains) {
    const owner = ownerOf(explained, table, name);
    const [, hash] = hashOf.exec(name) ?? [];
    if (owner !== undefined) note(explained, evidence, owner, true);
    else if (hash !== undefined) evidence.unnamed.set(hash, '');
  }
}

function fromMembers(explained: ExplainedPlan, evidence: Evidence, added: Set<string>): void {
  const { originsOf, objects, parts } = explained;
  for (const { set, members } of parts.services.addMembers) {
    for (const member of members) {
      added.add(`${set} ${member}`);
      for (const origin of originsOf({ kind: 'member', set, member })) {
        const service = objects.serviceOf(origin);
        if (service !== undefined) note(explained, evidence, service, false);
      }
    }
  }
  for (const { members } of parts.services.removeMembers) {
    for (const member of members) {
      const service = objects.serviceOfAddress(member.slice(0, member.indexOf(',')));
      if (service !== undefined) note(explained, evidence, service, true);
    }
  }
}

/** Rules of the dispatch move from chain to chain when it is cut in another way; only what is not on both sides counts. */
function fromDispatch(explained: ExplainedPlan, evidence: Evidence): void {
  const { added, removed } = dispatchRules(explained, explained.parts.services);
  for (const rule of added) {
    const { owner } = frontendOf(explained, rule);
    if (owner !== undefined) note(explained, evidence, owner, false);
  }
  for (const rule of removed) {
    const { owner, ip, hash } = frontendOf(explained, rule);
    if (owner !== undefined) note(explained, evidence, owner, true);
    else if (evidence.unnamed.get(hash) === '') evidence.unnamed.set(hash, ip);
  }
}

function dispatchRules(
  explained: ExplainedPlan,
  { writeChains, deleteChains }: Plan,
): { readonly added: ReadonlySet<string>; readonly removed: ReadonlySet<string> } {
  const isDispatch = (name: string): boolean => /^KUBE-(?:SERVICES$|NODEPORTS$|SVC-t)/.test(name);
  const added = new Set<string>();
  const removed = new Set<string>();
  for (const chain of writeChains) {
    if (chain.table !== 'nat' || !isDispatch(chain.name)) continue;
    const difference = writtenDifference(explained, chain);
    for (const rule of difference.added) added.add(rule);
    for (const rule of difference.removed) removed.add(rule);
  }
  for (const { table, name } of deleteChains) {
    if (table !== 'nat' || !isDispatch(name)) continue;
    for (const rule of appliedRules(explained, table, name)) removed.add(rule);
  }
  return {
    added: new Set([...added].filter((rule) => !removed.has(rule))),
    removed: new Set([...removed].filter((rule) => !added.has(rule))),
  };
}

const frontend = /(?:^-d ([0-9a-f.:]+)\/\d+ .*)? -j (KUBE-(?:SVC|SVL|EXT|FW)-([A-Z2-7]{16}))$/;

/** Whose rule of the dispatch it is, by its target, or else by its address. */
function frontendOf(
  explained: ExplainedPlan,
  rule: string,
): { readonly owner: string | undefined; readonly ip: string; readonly hash: string } {
  const [, ip = '', target = '', hash = ''] = frontend.exec(rule) ?? [];
  const owner =
    target === ''
      ? undefined
      : (explained.owners.get(target) ??
        explained.objects.portOfChain(target) ??
        explained.objects.serviceOfAddress(ip));
  return { owner, ip, hash };
}
