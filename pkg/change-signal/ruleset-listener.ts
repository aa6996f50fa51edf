import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Backoff, type Clock, HeldProgram, slept } from '../runtime/index.ts';
import type { ChangeSignal, TableNews } from './change-signal.ts';
import { type NetlinkSocket, parseNetlinkSockets } from './netlink-sockets.ts';

export interface RulesetListenerOptions {
  readonly clock: Clock;
  /** It does not work, and why; told once until it works again. It is tried again later. */
  readonly onProblem: (problem: string) => void;
  /** `/proc` by default. */
  readonly procRoot?: string;
  /** Starts the program that listens. */
  readonly startProgram?: () => Pick<HeldProgram, 'started' | 'stop' | 'end'>;
}

/** Where iptables-nft is installed, this is: one binary has both names. */
const program = ['xtables-nft-multi', 'xtables-monitor', '-e'] as const;
const netfilterProtocol = 12;
/** NFNLGRP_NFTABLES is group 7. */
const nfTablesGroup = 1 << 6;

const startTimeoutMs = 5000;
const startPollMs = 25;
const retry = { initialMs: 5000, maxMs: 600_000 };

/**
 * Notices every change of nf_tables: a program that listens to the kernel's notifications is stopped before it reads any. What waits in
 * its socket, and what is lost once that is full, only ever grows, and `/proc/net/netlink` shows both. A listener that reads costs
 * processor time for each rule written, and ends when it is too slow for a large write.
 */
export class RulesetListener implements ChangeSignal {
  readonly #options: RulesetListenerOptions;
  readonly #procRoot: string;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff(retry);
  #listening: { readonly inode: string; readonly program: Pick<HeldProgram, 'end'> } | undefined;
  #starting: Promise<void> | undefined;
  #notBefore = 0;
  #hasToldProblem = false;
  #last: string | undefined;

  constructor(options: RulesetListenerOptions) {
    this.#options = options;
    this.#procRoot = options.procRoot ?? '/proc';
  }

  ask(): Promise<() => TableNews> {
    const news = this.#news();
    return Promise.resolve(() => news);
  }

  stop(): void {
    this.#stop.abort();
    this.#listening?.program.end();
    this.#listening = undefined;
  }

  #news(): TableNews {
    if (this.#listening === undefined) {
      this.#startInTime();
      return 'unknown';
    }
    const { inode } = this.#listening;
    const socket = this.#sockets().find((one) => one.inode === inode);
    if (socket === undefined) {
      this.#listening.program.end();
      this.#listening = undefined;
      this.#failed('the program that listens has ended');
      return 'unknown';
    }
    const before = this.#last;
    this.#last = `${socket.unread} ${socket.drops}`;
    if (before === undefined) return 'unknown';
    return before === this.#last ? 'unchanged' : 'changed';
  }

  /** In the background: until it listens, whoever asks has to look for himself. */
  #startInTime(): void {
    const { clock } = this.#options;
    if (this.#starting !== undefined || this.#stop.signal.aborted || clock.now() < this.#notBefore) return;
    this.#starting = this.#start().finally(() => {
      this.#starting = undefined;
    });
  }

  async #start(): Promise<void> {
    const { startProgram = () => new HeldProgram(program[0], program.slice(1)) } = this.#options;
    const held = startProgram();
    const pid = await held.started();
    const inode = pid === undefined ? undefined : await this.#socketOf(pid);
    if (inode === undefined || !(await held.stop()) || this.#stop.signal.aborted) {
      held.end();
      if (!this.#stop.signal.aborted)
        this.#failed(`${program.join(' ')} cannot be started or does not listen`);
      return;
    }
    this.#listening = { inode, program: held };
    this.#last = undefined;
    this.#hasToldProblem = false;
    this.#backoff.reset();
  }

  #failed(problem: string): void {
    const { clock, onProblem } = this.#options;
    this.#notBefore = clock.now() + this.#backoff.next();
    if (!this.#hasToldProblem) onProblem(problem);
    this.#hasToldProblem = true;
  }

  /** The socket with which the process listens to changes, as soon as it has one. */
  async #socketOf(pid: number): Promise<string | undefined> {
    const { clock } = this.#options;
    const deadline = clock.now() + startTimeoutMs;
    do {
      const open = this.#socketsOf(pid);
      if (open === undefined) return undefined;
      const listeners = this.#sockets().filter(listensToRules);
      const found = listeners.find(({ inode }) => open.has(inode));
      if (found !== undefined) return found.inode;
    } while (clock.now() < deadline && (await slept(clock, startPollMs, this.#stop.signal)));
    return undefined;
  }

  #sockets(): readonly NetlinkSocket[] {
    try {
      return parseNetlinkSockets(readFileSync(`${this.#procRoot}/net/netlink`, 'utf8'));
    } catch {
      return [];
    }
  }

  /** `undefined`: the process has ended. */
  #socketsOf(pid: number): ReadonlySet<string> | undefined {
    const folder = `${this.#procRoot}/${pid}/fd`;
    try {
      const files = readdirSync(folder);
      if (files.length === 0) return undefined;
      return new Set(files.flatMap((file) => socketInode(`${folder}/${file}`) ?? []));
    } catch {
      return undefined;
    }
  }
}

function socketInode(link: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/u.exec(readlinkSync(link))?.[1];
  } catch {
    // Closed meanwhile.
    return undefined;
  }
}

function listensToRules({ protocol, groups }: NetlinkSocket): boolean {
  return protocol === netfilterProtocol && (groups & nfTablesGroup) !== 0;
}
