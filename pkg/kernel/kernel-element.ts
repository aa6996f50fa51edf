import type { ChainName, SetName, TableName } from './names.ts';

/** One thing of Weir's in the kernel, as people may ask about it and as the kernel may refuse it. */
export type KernelElement = ChainElement | RuleElement | SetElement | MemberElement;

export interface ChainElement {
  readonly kind: 'chain';
  readonly table: TableName;
  readonly chain: ChainName;
}

/** A rule by what it says. Two rules of a chain that say the same are one element. */
export interface RuleElement {
  readonly kind: 'rule';
  readonly table: TableName;
  readonly chain: ChainName;
  /** Rule body. */
  readonly rule: string;
}

export interface SetElement {
  readonly kind: 'set';
  readonly set: SetName;
}

export interface MemberElement {
  readonly kind: 'member';
  readonly set: SetName;
  readonly member: string;
}

/** `rule of nat chain KUBE-SVC-A: -p tcp -j …`, `member 10.0.0.1,tcp:80 of set WEIR-4-CLUSTER-IPS`. */
export function describeElement(element: KernelElement): string {
  switch (element.kind) {
    case 'chain':
      return `${element.table} chain ${element.chain}`;
    case 'rule':
      return `rule of ${element.table} chain ${element.chain}: ${element.rule}`;
    case 'set':
      return `set ${element.set}`;
    case 'member':
      return `member ${element.member} of set ${element.set}`;
  }
}
