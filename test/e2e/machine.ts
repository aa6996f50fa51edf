import { join } from 'node:path';
import { execa } from 'execa';

/** What machines have and lack, as far as specs need it. */
export interface Machine {
  /** Sockets of SCTP; without them its rules can be written, and nothing can be sent. */
  readonly sctp: boolean;
}

/** Looks at the machine itself. `programs` is the folder of upstream's programs. */
export async function lookAtMachine(programs: string): Promise<Machine> {
  // Nobody listens there: with sockets it is refused. To open one also loads the module where that is how it comes.
  const words = ['connect', '--protocol=sctp', '--timeout=2s', '127.0.0.1:9'];
  const attempt = await execa(join(programs, 'agnhost'), words, { reject: false, stdin: 'ignore' });
  return { sctp: attempt.stderr.includes('REFUSED') };
}
