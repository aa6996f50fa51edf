import { argv, exit, stdout } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../support/http-answer.ts';
import type { HealthQuestion } from './health-question.ts';

/** The program of `healthAnswers`, which runs in the network of whoever asks. */
const patienceMs = 5000;

const questions = JSON.parse(argv[2] ?? '[]') as readonly HealthQuestion[];
const answers = await Promise.all(questions.map(answerTo));
stdout.write(JSON.stringify(answers), () => exit());

async function answerTo({ address, port }: HealthQuestion): Promise<string> {
  const answer = ask(port, '/', address).then(
    ({ status, headers, body }) => JSON.stringify({ status, headers, body }),
    (error: unknown) => String((error as NodeJS.ErrnoException).code ?? error),
  );
  return Promise.race([answer, sleep(patienceMs, 'lost')]);
}
