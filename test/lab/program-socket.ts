import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import type { RunningProgram } from './program.ts';

const verbs = ['kill', 'start', 'freeze', 'thaw'] as const;
export type ProgramVerb = (typeof verbs)[number];

/** Lets tests stop programs and start them again: a connection says `VERB NAME`, and is told `done` or what was wrong. */
export async function serveProgramSocket(path: string, programs: readonly RunningProgram[]): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // Whoever asked and went does not want to know.
    socket.on('error', () => {});
    text(socket)
      .then((words) => perform(words, programs))
      .then(
        () => socket.end('done'),
        (error: unknown) => socket.end(error instanceof Error ? error.message : String(error)),
      );
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(path, () => resolve());
  await promise;
}

async function perform(words: string, programs: readonly RunningProgram[]): Promise<void> {
  const [verb, name] = words.split(' ');
  const program = programs.find((program) => program.name === name);
  if (program === undefined)
    throw new Error(`there is no ${name}, only ${programs.map(({ name }) => name).join(', ')}`);
  switch (verbs.find((known) => known === verb)) {
    case 'kill':
      return program.kill();
    case 'start':
      return program.startAgain();
    case 'freeze':
      return program.freeze();
    case 'thaw':
      return program.thaw();
    case undefined:
      throw new Error(`not one of ${verbs.join(', ')}: ${verb}`);
  }
}

/** The other end. Throws what the lab says against it. */
export async function tellProgram(path: string, verb: ProgramVerb, name: string): Promise<void> {
  const socket = connect(path);
  socket.end(`${verb} ${name}`);
  const answer = await text(socket);
  if (answer !== 'done') throw new Error(answer);
}
