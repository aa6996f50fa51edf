import type { Act } from './act.ts';
import { beforeWeir } from './steps/before-weir.ts';
import { meetTheNode } from './steps/meet-the-node.ts';
import { otherKinds } from './steps/other-kinds.ts';
import { podsChange } from './steps/pods-change.ts';
import { restartWeir } from './steps/restart-weir.ts';
import { shareOut } from './steps/share-out.ts';
import { startWeir } from './steps/start-weir.ts';

export const servicesAct: Act = {
  title: 'Weir: the Services of a Kubernetes node',
  introduction:
    'In Kubernetes the copies of a program (pods) come and go, and their addresses with them. A Service is one ' +
    'address that stays. No machine has it: on every node something must lead each connection to one of the pods. ' +
    'Weir does that, with rules in the kernel. Here is a node to watch it on. It exists only inside this command; ' +
    'nothing on your machine is changed.',
  steps: [meetTheNode, beforeWeir, startWeir, shareOut, otherKinds, podsChange, restartWeir],
};
