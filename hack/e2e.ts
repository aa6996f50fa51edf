import { kindUsage } from '../test/lab/settings.ts';
import { runDifferential } from './e2e/differential.ts';
import { runOwn } from './e2e/own.ts';
import { runUpstream } from './e2e/upstream-suites.ts';

const usage = `npm run e2e -- SUITE... [OPTIONS]

  services, netpol       upstream's end-to-end specs: in the lab that runs, else in labs of their own, which end with them
    --only WORDS         only specs whose name contains this; nothing is written to RESULTS.md
${kindUsage}
    --nodes N            how many nodes (default: what the specs need)
    --procs N            how many specs at a time (default: what suits them)
    --list               says which specs would run, and which not and why
    --accept             writes the list of specs that is expected from now on
  own [WORDS]            our own tests of a whole cluster, those whose path contains a word
  differential           the same random history of objects to Weir and to kube-proxy, and the same packets
    --seed N             of the history (default: another each time)
    --rounds N           how many histories (default: 4)`;

async function main(words: readonly string[]): Promise<number> {
  if (words.includes('--help') || words.includes('-h')) {
    console.log(usage);
    return 0;
  }
  const [suite = '', ...rest] = words;
  switch (suite) {
    case '':
      console.error(usage);
      return 2;
    case 'own':
      return runOwn(rest);
    case 'differential':
      return runDifferential(rest);
    default:
      return runUpstream(words);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
