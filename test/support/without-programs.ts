/** Where Weir looks for programs. */
const folders = '/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin';

/**
 * The words in front of a program that then runs on a machine that lacks some programs: those whose names match, as a shell reads
 * it (`ip6tables*`). `scratch` is an empty folder. Nobody else sees it, and nothing is left of it; the program replaces the words.
 */
export function withoutPrograms(names: string, scratch: string): readonly [string, ...string[]] {
  const script = [
    'names=$0 scratch=$1',
    'shift',
    'mount -t tmpfs tmpfs "$scratch"',
    `for folder in ${folders}; do`,
    '  ls "$folder"/$names >/dev/null 2>&1 || continue',
    '  at=$(mktemp -d "$scratch/XXXXXX")',
    '  mkdir "$at/all" "$at/kept"',
    '  mount --bind "$folder" "$at/all"',
    '  ln -s -t "$at/kept" "$at/all"/*',
    '  rm "$at/kept"/$names',
    '  mount --bind "$at/kept" "$folder"',
    'done',
    'exec "$@"',
  ].join('\n');
  return ['unshare', '--mount', '--propagation=private', 'sh', '-ec', script, names, scratch];
}
