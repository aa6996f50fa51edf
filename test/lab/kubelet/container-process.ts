import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { namespacePrefix } from '../../support/in-namespace.ts';

/** Everything a container is started from. */
export interface ContainerSpec {
  /** Its own folder, new and empty. */
  readonly folder: string;
  /** Network namespace of its pod. */
  readonly network: string;
  readonly hostname: string;
  /** Programs laid over the machine's file system. */
  readonly imageLayer: string;
  readonly words: readonly string[];
  readonly workingDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: ContainerUser;
  readonly mounts: readonly ContainerMount[];
  /** Text of files below `/etc`. */
  readonly etc: Readonly<Record<string, string>>;
  readonly terminationMessagePath: string;
  readonly logFile: string;
}

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  /** All that it has; without a list, those of root on the machine. */
  readonly capabilities?: readonly string[];
}

export interface ContainerMount {
  readonly source: string;
  readonly path: string;
  readonly readOnly: boolean;
}

export interface Exit {
  /** 128 and the number of the signal where one ended it, as shells say it. */
  readonly code: number;
  /** What it left for its status. */
  readonly message: string;
}

const signalNumbers: Partial<Record<NodeJS.Signals, number>> = { SIGKILL: 9, SIGTERM: 15 };

/**
 * A container: a process with its own mounts, processes and host name in the network of its pod. Its root is the
 * machine's file system under an overlay in memory; what it writes is gone with it.
 */
export class ContainerProcess {
  readonly spec: ContainerSpec;
  /** The script is done with the mounts, and about to become the container's own program. Never, where it fails before. */
  readonly prepared: Promise<void>;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  static async start(spec: ContainerSpec): Promise<ContainerProcess> {
    for (const name of ['upper/etc', 'work', 'root'])
      await mkdir(join(spec.folder, name), { recursive: true });
    for (const [name, text] of Object.entries(spec.etc))
      await writeFile(join(spec.folder, 'upper/etc', name), text);
    await writeFile(join(spec.folder, 'termination-log'), '');
    return new ContainerProcess(spec);
  }

  private constructor(spec: ContainerSpec) {
    this.spec = spec;
    const log = openSync(spec.logFile, 'a');
    const [file, ...prefix] = namespacePrefix(spec.network);
    const namespaces = ['unshare', '--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--'];
    const script = ['sh', '-c', startScript(spec), 'sh', ...spec.words];
    this.#child = spawn(file, [...prefix, ...namespaces, ...script], {
      env: spec.environment,
      stdio: ['ignore', log, log, 'pipe'],
    });
    closeSync(log);
    this.prepared = new Promise((resolve) => this.#child.stdio[3]?.once('data', () => resolve()));
    this.exited = this.#exit();
  }

  /** Size of the files that it made or changed, volumes aside. */
  async writtenBytes(): Promise<number> {
    const sizes = await execa('du', ['--summarize', '--bytes', join(this.spec.folder, 'upper')], {
      reject: false,
      stdin: 'ignore',
    });
    return Number.parseInt(sizes.stdout, 10) || 0;
  }

  /** Of the container's process 1, as the node counts; undefined when it has ended. */
  async pid(): Promise<number | undefined> {
    const { pid } = this.#child;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    return children === '' ? undefined : Number(children.split(' ')[0]);
  }

  async signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself meanwhile.
    }
  }

  /** The words that run a command inside, with a clean environment. */
  async execWords(words: readonly string[]): Promise<readonly string[]> {
    const pid = await this.pid();
    if (pid === undefined) throw new Error('container not running');
    const { environment, workingDir, user } = this.spec;
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const enter = [
      'nsenter',
      '--target',
      `${pid}`,
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--root',
      '--wd',
      '--',
    ];
    const inside = ['sh', '-c', 'cd "$0" 2>/dev/null; exec "$@"', workingDir, ...words];
    return [...enter, ...asUser(user), 'env', '-i', ...variables, ...inside];
  }

  #exit(): Promise<Exit> {
    return new Promise((resolve) => {
      const end = async (code: number): Promise<void> => {
        const message = await readFile(join(this.spec.folder, 'termination-log'), 'utf8').catch(() => '');
        resolve({ code, message: message.slice(0, 4096) });
      };
      this.#child.once('error', () => void end(128));
      // `unshare` ends as its child did.
      this.#child.once(
        'exit',
        (code, signal) => void end(code ?? 128 + (signalNumbers[signal ?? 'SIGKILL'] ?? 0)),
      );
    });
  }
}

function asUser({ uid, gid, capabilities }: ContainerUser): readonly string[] {
  const bounds = ['-all', ...(capabilities ?? []).map((name) => `+${name.toLowerCase()}`)].join(',');
  const options = [
    ...(uid === 0 && gid === 0 ? [] : [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']),
    ...(capabilities === undefined ? [] : [`--bounding-set=${bounds}`]),
  ];
  return options.length === 0 ? [] : ['setpriv', ...options, '--'];
}

/** Run as root in the new namespaces; its arguments are the container's words, which replace it at the end. */
export function startScript(spec: ContainerSpec): string {
  const folder = quoted(spec.folder);
  const root = `${folder}/root`;
  const mounts = spec.mounts.flatMap(({ source, path, readOnly }) => {
    const target = `${root}${quoted(path)}`;
    return [
      `if [ -d ${quoted(source)} ]; then mkdir -p ${target}`,
      `else mkdir -p "$(dirname ${target})"; [ -e ${target} ] || : >${target}; fi`,
      `mount --bind ${quoted(source)} ${target}`,
      ...(readOnly ? [`mount -o remount,bind,ro ${target}`] : []),
    ];
  });
  return [
    'set -e',
    `hostname ${quoted(spec.hostname)}`,
    'mount --make-rprivate /',
    `mount -t overlay overlay -o lowerdir=${spec.imageLayer}:/,upperdir=${spec.folder}/upper,workdir=${spec.folder}/work ${root}`,
    `mount -t proc proc ${root}/proc`,
    `mount -t sysfs sysfs ${root}/sys`,
    `mount -t tmpfs -o mode=755 tmpfs ${root}/run`,
    `mount -t tmpfs -o mode=1777 tmpfs ${root}/tmp`,
    `mount -t tmpfs -o mode=755 tmpfs ${root}/dev`,
    `for device in null zero full random urandom tty; do : >${root}/dev/$device; mount --bind /dev/$device ${root}/dev/$device; done`,
    `mkdir ${root}/dev/shm; chmod 1777 ${root}/dev/shm`,
    `ln -s /proc/self/fd ${root}/dev/fd; ln -s fd/0 ${root}/dev/stdin; ln -s fd/1 ${root}/dev/stdout; ln -s fd/2 ${root}/dev/stderr`,
    ...mounts,
    `mkdir -p "$(dirname ${root}${quoted(spec.terminationMessagePath)})"; : >${root}${quoted(spec.terminationMessagePath)}`,
    `mount --bind ${folder}/termination-log ${root}${quoted(spec.terminationMessagePath)}`,
    `mkdir -p ${root}${quoted(spec.workingDir)}`,
    'echo prepared >&3; exec 3>&-',
    `exec chroot ${root} ${asUser(spec.user).join(' ')} sh -c 'cd "$0" && exec "$@"' ${quoted(spec.workingDir)} "$@"`,
  ].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
