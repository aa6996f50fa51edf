import type { Step } from '../act.ts';
import { clusterTarget } from '../addresses.ts';
import type { Cluster } from '../cluster.ts';
import { type Connection, expectReach, follow } from '../connections.ts';
import { expect } from '../expect.ts';
import { shopConnections } from '../shop.ts';
import { duration } from '../stage.ts';
import type { Weir } from '../weir.ts';

const file = 'egress.yaml';
const remedy = 'allow-dns.yaml';
const hint = /NetworkPolicy \S+: .*without DNS/;

export const policyEgress: Step = {
  title: 'Close the way out, and mind DNS',
  run: async ({ stage, cluster, weir }) => {
    const dns = lookup(cluster);
    const needed = shopConnections(cluster).filter(({ need }) => need === 'application');
    await expectReach([dns], () => true);
    stage.say(
      `${file} denies the pods to send anything but what the application needs. Nobody thought of DNS.`,
    );
    const logged = weir.log.length;
    const closedMs = await follow(dns, 'no answer', () => cluster.manifests.savePolicies(file));
    stage.observed(
      `${duration(closedMs)} after it was saved, frontend gets no answer from DNS: it can not look up any name.`,
    );
    const line = await weir.logged(hint, logged);
    const names = ['shop/default-deny-egress', 'k8s-app: kube-dns', 'UDP 53'];
    const isComplete = names.every((name) => line.includes(name));
    expect(isComplete, 'Weir names the policy and what to add', names.join(', '), line);
    expect(hint.test(await planText(weir)), 'weir plan warns as well', 'the same hint', 'none');
    stage.observed('Weir has logged which policy does it, and what to add; weir plan says the same:');
    stage.gap();
    stage.say(line);
    stage.gap();

    const openMs = await follow(dns, 'answered', () => cluster.manifests.savePolicies(remedy));
    await expectReach([dns, ...needed], () => true);
    stage.observed(
      `${remedy} adds just that. ${duration(openMs)} after it was saved DNS answers, and the application works.`,
    );
    const text = await planText(weir);
    expect(!text.includes('hint:'), 'weir plan is content', 'no hint', text);
    stage.command('weir plan');
    stage.observed('gives no hint any more, and finds in the kernel exactly what the policies say.');
  },
};

/** Throws `Unexpected` when the kernel is not as the files say. */
async function planText(weir: Weir): Promise<string> {
  const { exitCode, lines } = await weir.plan();
  const text = lines.join('\n');
  expect(exitCode === 0, 'weir plan finds no difference', 'exit code 0: no change', text);
  return text;
}

/** As every lookup of a name begins. */
function lookup(cluster: Cluster): Connection {
  const to = clusterTarget(cluster.service('kube-dns'), 'IPv4');
  return { from: cluster.pod('frontend'), name: 'kube-dns', to, protocol: 'udp' };
}
