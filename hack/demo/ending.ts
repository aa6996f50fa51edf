import { readdir, readFile } from 'node:fs/promises';
import { duration, type Stage } from './stage.ts';

/** Every process of a demo carries its own value of this. */
export const runVariable = 'WEIR_DEMO';

/** Processes of this run that are still there. */
export async function processesLeft(run: string): Promise<readonly string[]> {
  const left: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    // Those of other users can't be read, and those that have just ended neither; none of them is ours.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(`${runVariable}=${run}`)) left.push(pid);
  }
  return left;
}

export function sayEnding(stage: Stage, tookMs: number): void {
  stage.observed('The node has gone too: no process of it is left.');
  stage.title(`All of this was observed just now, in ${duration(tookMs)}:`);
  stage.say('- every type of Service reaches its pods, over IPv4 and IPv6; mere names are left alone');
  stage.say('- pods come and go, the kernel follows in a fraction of a second, and no request fails');
  stage.say('- Weir can be restarted without anybody noticing, and takes all its rules away when asked to');
  stage.say(
    '- a policy is in force a fraction of a second after it was saved, and opens no more than it says',
  );
  stage.say('- when policies leave pods without DNS, Weir says so, and what to add; added, DNS was back');
  stage.title('What to try next');
  stage.say('Change hack/demo/manifests (one more api-server, say) and run the demo again.');
  stage.say('Break a policy of hack/demo/policies: the demo says what it expected, and what it saw.');
  stage.say('See every rule these files lead to; plan touches nothing:');
  stage.command(
    'sudo node_modules/.bin/node dist/weir.js plan --manifests hack/demo/manifests --node-name node-1',
  );
  stage.say('On a node of your own cluster, see what Weir would change there:');
  stage.command(
    'kubectl get services,endpointslices,pods,nodes,namespaces,networkpolicies -A -o yaml > cluster.yaml',
  );
  stage.command('sudo node_modules/.bin/node dist/weir.js plan --manifests cluster.yaml --node-name NODE');
}
