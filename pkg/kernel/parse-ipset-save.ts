import type { Family } from '../net/index.ts';
import { canonicalMember } from './canonical-member.ts';
import type { SetName } from './names.ts';
import { type AppliedSetSpec, isSetType } from './set.ts';
import type { SetSnapshot } from './snapshot.ts';

/**
 * Reads the text of `ipset save`: the sets of both families, by name, with members in their canonical form. Of sets of types that Weir does not
 * use the members are left out, and so is what stands behind a member (`timeout`, `comment`, counters).
 */
export function parseIpsetSave(text: string): ReadonlyMap<SetName, SetSnapshot> {
  const sets = new Map<SetName, SetDraft>();
  let current: { readonly name: string; readonly set: SetDraft | undefined } = { name: '', set: undefined };
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    if (text.startsWith('add ', start)) {
      const nameEnd = wordEnd(text, start + 4, end);
      const name = text.slice(start + 4, nameEnd);
      if (name !== current.name) current = { name, set: ofOurTypes(sets.get(name as SetName)) };
      if (nameEnd < end && current.set !== undefined) {
        const member = text.slice(nameEnd + 1, wordEnd(text, nameEnd + 1, end));
        current.set.members.add(canonicalMember(member, current.set.spec.family));
      }
    } else if (text.startsWith('create ', start)) {
      const spec = parseCreate(text.slice(start, end));
      if (spec !== undefined) sets.set(spec.name, { spec, members: new Set() });
    }
    start = end + 1;
  }
  return sets;
}

interface SetDraft {
  readonly spec: AppliedSetSpec;
  readonly members: Set<string>;
}

function ofOurTypes(set: SetDraft | undefined): SetDraft | undefined {
  return set === undefined || !isSetType(set.spec.type) ? undefined : set;
}

function wordEnd(text: string, start: number, lineEnd: number): number {
  const space = text.indexOf(' ', start);
  return space === -1 || space > lineEnd ? lineEnd : space;
}

function parseCreate(line: string): AppliedSetSpec | undefined {
  const words = line.split(' ');
  const [, name, type] = words;
  if (name === undefined || type === undefined) return undefined;
  const family: Family = optionOf(words, 'family') === 'inet6' ? 'IPv6' : 'IPv4';
  const maxElements = Number(optionOf(words, 'maxelem') ?? defaultMaxElements);
  return { name: name as SetName, type, family, maxElements };
}

/** What the kernel takes where `maxelem` is not given. */
const defaultMaxElements = 65_536;

function optionOf(words: readonly string[], option: string): string | undefined {
  const index = words.indexOf(option, 3);
  return index === -1 ? undefined : words[index + 1];
}
