import { execa } from 'execa';
import { familyOfAddress } from '../../support/world-layout.ts';
import type { Backend } from '../settings.ts';
import type { Pod } from './pod.ts';

const chain = 'LAB-HOSTPORTS';

/** A rule of one family, without the word that adds or deletes it. */
export interface HostPortRule {
  readonly family: 'IPv4' | 'IPv6';
  readonly words: readonly string[];
}

/** What the portmap plugin would write: the node's port leads to the pod's, for each of its addresses. */
export function hostPortRules(pod: Pod, addresses: readonly string[]): readonly HostPortRule[] {
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  return ports.flatMap(({ hostPort, hostIP = '', containerPort, protocol = 'TCP' }) => {
    if (hostPort === undefined || hostPort === 0) return [];
    const anywhere = ['', '0.0.0.0', '::'].includes(hostIP);
    return addresses.flatMap((address): readonly HostPortRule[] => {
      const family = familyOfAddress(address);
      if (!anywhere && familyOfAddress(hostIP) !== family) return [];
      const match = [
        '-p',
        protocol.toLowerCase(),
        '--dport',
        `${hostPort}`,
        ...(anywhere ? [] : ['-d', hostIP]),
      ];
      const target = family === 'IPv6' ? `[${address}]:${containerPort}` : `${address}:${containerPort}`;
      return [{ family, words: [...match, '-j', 'DNAT', '--to-destination', target] }];
    });
  });
}

/** Writes host ports on the node in whose network this process runs. */
export class HostPorts {
  readonly #suffix: string;
  #prepared: Promise<void> | undefined;

  constructor(backend: Backend) {
    this.#suffix = backend === 'auto' ? '' : `-${backend}`;
  }

  async add(rules: readonly HostPortRule[]): Promise<void> {
    if (rules.length === 0) return;
    this.#prepared ??= this.#prepare();
    await this.#prepared;
    for (const { family, words } of rules) await this.#run(family, ['-A', chain, ...words]);
  }

  async remove(rules: readonly HostPortRule[]): Promise<void> {
    for (const { family, words } of rules) await this.#run(family, ['-D', chain, ...words]);
  }

  async #prepare(): Promise<void> {
    for (const family of ['IPv4', 'IPv6'] as const) {
      await this.#run(family, ['-N', chain]);
      for (const hook of ['PREROUTING', 'OUTPUT']) {
        await this.#run(family, ['-A', hook, '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', chain]);
      }
    }
  }

  async #run(family: HostPortRule['family'], words: readonly string[]): Promise<void> {
    const program = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}${this.#suffix}`;
    await execa(program, ['-w', '-t', 'nat', ...words], { stdin: 'ignore' });
  }
}
