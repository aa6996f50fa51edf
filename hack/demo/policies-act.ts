import type { Act } from './act.ts';
import { leave } from './steps/leave.ts';
import { policyAllow } from './steps/policy-allow.ts';
import { policyDefaultDeny } from './steps/policy-default-deny.ts';
import { policyEgress } from './steps/policy-egress.ts';
import { policyRemove } from './steps/policy-remove.ts';

export const policiesAct: Act = {
  title: 'Weir: the NetworkPolicies of the same node',
  introduction:
    'In Kubernetes every pod may reach every other until a NetworkPolicy selects it. From then on it takes, or sends, ' +
    'only what some policy allows. Kubernetes itself only keeps the policies: something on the node must hold ' +
    'connections to them. Weir does that too. The files are in hack/demo/policies.',
  steps: [policyDefaultDeny, policyAllow, policyEgress, policyRemove, leave],
};
