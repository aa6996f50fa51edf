/** How many members each set of the kernel has, by name; `undefined` where an old ipset does not say. */
export type SetSizes = ReadonlyMap<string, number | undefined>;

/** Reads the text of `ipset list -t`: the sets of both families. */
export function parseIpsetList(text: string): SetSizes {
  const sizes = new Map<string, number | undefined>();
  let name = '';
  for (const line of text.split('\n')) {
    if (line.startsWith(nameStart)) {
      name = line.slice(nameStart.length);
      sizes.set(name, undefined);
    } else if (line.startsWith(sizeStart)) sizes.set(name, Number(line.slice(sizeStart.length)));
  }
  return sizes;
}

const nameStart = 'Name: ';
const sizeStart = 'Number of entries: ';
