/** What an image would say of itself. The file system of all is the machine's, with some programs laid over. */
export interface Image {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** Files that are too big to copy: path in the container, path on the machine. */
  readonly files?: Readonly<Record<string, string>>;
}

/** By the last part of the name, without registry and tag. */
const images: Readonly<Record<string, Image>> = {
  agnhost: { entrypoint: ['/agnhost'], command: ['pause'] },
  busybox: { entrypoint: [], command: ['sh'] },
  coredns: { entrypoint: ['/coredns'], command: [] },
  'distroless-iptables': { entrypoint: [], command: ['sh'] },
  'glibc-dns-testing': { entrypoint: [], command: ['sleep', 'infinity'] },
  'kube-proxy': { entrypoint: [], command: ['/usr/local/bin/kube-proxy'] },
  // A web server that answers on port 80 is all that tests want of it.
  nginx: { entrypoint: [], command: ['/agnhost', 'netexec', '--http-port=80', '--udp-port=-1'] },
  pause: { entrypoint: ['/agnhost', 'pause'], command: [] },
  'regression-issue-74839': { entrypoint: ['/regression-issue-74839'], command: [] },
  weir: {
    entrypoint: ['/usr/local/bin/weir'],
    command: [],
    files: { '/usr/local/bin/node': process.execPath },
  },
};

/** The image of that reference; undefined where the lab has none. */
export function imageOf(reference: string): Image | undefined {
  const name = reference.split('/').at(-1)?.split(/[:@]/u)[0] ?? '';
  return images[name];
}

/** The words a container runs: its own, else its image's. Arguments alone keep the image's entry point. */
export function wordsOf(
  image: Image,
  container: { readonly command?: readonly string[]; readonly args?: readonly string[] },
): readonly string[] {
  const entrypoint = container.command ?? image.entrypoint;
  const args = container.args ?? (container.command === undefined ? image.command : []);
  return [...entrypoint, ...args];
}
