import { describe, expect, test } from 'vitest';
import { startScript } from '../lab/kubelet/container-process.ts';
import { amountOf, environmentOf, expand, fieldOf, hostnameOf } from '../lab/kubelet/environment.ts';
import { execStatus } from '../lab/kubelet/exec-session.ts';
import { hostPortRules } from '../lab/kubelet/host-ports.ts';
import { imageOf, wordsOf } from '../lab/kubelet/images.ts';
import type { Container, ContainerState, ContainerStatus, Pod } from '../lab/kubelet/pod.ts';
import { hostsFile, resolvConf } from '../lab/kubelet/pod-files.ts';
import { podStatus } from '../lab/kubelet/pod-status.ts';
import { portOf } from '../lab/kubelet/probe.ts';
import { tail } from '../lab/kubelet/server.ts';
import { frameHeader, readFrame } from '../lab/kubelet/websocket.ts';

const container: Container = { name: 'web', image: 'registry.k8s.io/e2e-test-images/agnhost:2.63.0' };
const node = { name: 'node-1', addresses: ['172.18.0.11', 'fd00:172:18::b'], cpus: 16, memoryBytes: 1024 };

function pod(spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    metadata: { name: 'web-0', namespace: 'shop', uid: 'u1', ...metadata },
    spec: { containers: [container], ...spec },
  };
}

describe('images and commands', () => {
  test('an image is known by the last part of its name', () => {
    expect(imageOf('registry.k8s.io/e2e-test-images/agnhost:2.63.0')?.entrypoint).toEqual(['/agnhost']);
    expect(imageOf('nginx@sha256:00')).toBeDefined();
    expect(imageOf('example.com/unheard-of:1')).toBeUndefined();
  });

  test('arguments alone keep the entry point, a command replaces both', () => {
    const image = { entrypoint: ['/agnhost'], command: ['pause'] };
    expect(wordsOf(image, {})).toEqual(['/agnhost', 'pause']);
    expect(wordsOf(image, { args: ['netexec'] })).toEqual(['/agnhost', 'netexec']);
    expect(wordsOf(image, { command: ['sh', '-c', 'true'] })).toEqual(['sh', '-c', 'true']);
  });

  test('text of a pod never becomes text of the start script', () => {
    const evil = "'; touch /tmp/evil; '";
    const script = startScript({
      folder: '/run/lab/c',
      network: 'n',
      hostname: evil,
      imageLayer: '/run/lab/image',
      words: ['true'],
      workingDir: '/',
      environment: {},
      user: { uid: 0, gid: 0 },
      mounts: [],
      etc: {},
      terminationMessagePath: '/dev/termination-log',
      logFile: '/dev/null',
    });
    expect(script).toContain(String.raw`hostname ''\''; touch /tmp/evil; '\'''`);
  });
});

describe('environment', () => {
  const none = { configMap: () => undefined, secret: () => undefined };
  const apiServer = { address: '10.96.0.1', port: 443 };

  test('variables refer to earlier ones, and $$ is a dollar', () => {
    expect(expand('$(A)-$(B)-$$(A)', { A: '1' })).toBe('1-$(B)-$(A)');
  });

  test('the downward API gives the pod’s and the node’s own facts', () => {
    const env = [
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
      { name: 'BOTH', value: '$(NODE_NAME)/$(IPS)' },
    ];
    const status = { podIP: '10.244.1.5', podIPs: [{ ip: '10.244.1.5' }, { ip: 'fd00::5' }] };
    const environment = environmentOf(pod(), { ...container, env }, status, node, none, apiServer);
    expect(environment['BOTH']).toBe('node-1/10.244.1.5,fd00::5');
    expect(environment['KUBERNETES_SERVICE_HOST']).toBe('10.96.0.1');
  });

  test.each([
    ['5Mi', 5_242_880],
    ['100m', 0.1],
    ['2', 2],
  ])('the quantity %s is %d', (quantity, amount) => {
    expect(amountOf(quantity)).toBe(amount);
  });

  test('one label is its value, all are lines in order', () => {
    const labelled = pod({}, { labels: { b: '2', a: '1' } });
    expect(fieldOf(labelled, {}, node, "metadata.labels['b']")).toBe('2');
    expect(fieldOf(labelled, {}, node, 'metadata.labels')).toBe('a="1"\nb="2"');
  });

  test('a key that is missing stops the container unless it is optional', () => {
    const from = (optional: boolean): Container => ({
      ...container,
      env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k', optional } } }],
    });
    expect(() => environmentOf(pod(), from(false), {}, node, none, apiServer)).toThrow('no key k');
    expect(environmentOf(pod(), from(true), {}, node, none, apiServer)).not.toHaveProperty('A');
  });

  test('a host name has 63 letters at most and ends with none that DNS forbids', () => {
    expect(hostnameOf(pod({}, { name: `${'a'.repeat(62)}-b` }))).toBe('a'.repeat(62));
  });
});

describe('files of a pod', () => {
  test('a pod asks the cluster’s DNS and searches its namespace first', () => {
    expect(resolvConf(pod())).toBe(
      'nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    );
  });

  test('on the host’s network it does so only when told to', () => {
    expect(resolvConf(pod({ hostNetwork: true }))).toBe('');
    expect(resolvConf(pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }))).toContain(
      '10.96.0.10',
    );
  });

  test('its own options win', () => {
    const dnsConfig = {
      nameservers: ['1.1.1.1'],
      searches: ['x.org'],
      options: [{ name: 'ndots', value: '2' }],
    };
    expect(resolvConf(pod({ dnsPolicy: 'None', dnsConfig }))).toBe(
      'nameserver 1.1.1.1\nsearch x.org\noptions ndots:2\n',
    );
  });

  test('a pod of a subdomain has its full name in its hosts', () => {
    expect(hostsFile(pod({ hostname: 'one', subdomain: 'sub' }), ['10.0.0.1'])).toContain(
      '10.0.0.1 one.sub.shop.svc.cluster.local one\n',
    );
  });
});

describe('host ports', () => {
  const ports = [{ containerPort: 80, hostPort: 8080 }];

  test('a port of the node leads to the pod in both families', () => {
    const rules = hostPortRules(pod({ containers: [{ ...container, ports }] }), ['10.244.1.5', 'fd00::5']);
    expect(rules.map(({ family, words }) => [family, words.at(-1)])).toEqual([
      ['IPv4', '10.244.1.5:80'],
      ['IPv6', '[fd00::5]:80'],
    ]);
  });

  test('one for a single address of the node concerns its family only', () => {
    const bound = ports.map((port) => ({ ...port, hostIP: '172.18.0.11', protocol: 'UDP' as const }));
    const rules = hostPortRules(pod({ containers: [{ ...container, ports: bound }] }), [
      '10.244.1.5',
      'fd00::5',
    ]);
    expect(rules).toHaveLength(1);
    expect(rules[0]?.words.join(' ')).toContain('-p udp --dport 8080 -d 172.18.0.11 ');
  });

  test('a pod without any changes nothing', () => {
    expect(hostPortRules(pod(), ['10.244.1.5'])).toEqual([]);
  });
});

describe('status', () => {
  const running: ContainerState = { running: { startedAt: 'then' } };
  const ended = (exitCode: number): ContainerState => ({
    terminated: { exitCode, reason: 'Completed', startedAt: 'a', finishedAt: 'b', containerID: 'c' },
  });
  const status = (state: ContainerState, ready = false): ContainerStatus => ({
    name: 'web',
    image: '',
    imageID: '',
    restartCount: 0,
    started: true,
    lastState: {},
    ready,
    state,
  });
  const facts = (of: Pod, containers: readonly ContainerStatus[]) => ({
    pod: of,
    hostAddresses: ['172.18.0.11'],
    addresses: ['10.244.1.5', 'fd00::5'],
    startTime: 'start',
    initialized: true,
    initContainers: [],
    containers,
    now: 'now',
  });
  const ready = (of: Pod, ...containers: readonly ContainerStatus[]) =>
    podStatus(facts(of, containers)).conditions?.find(({ type }) => type === 'Ready');

  test('a pod is ready when all its containers are', () => {
    expect(ready(pod(), status(running, true), status(running, true))?.status).toBe('True');
    expect(ready(pod(), status(running, true), status(running))?.status).toBe('False');
  });

  test('a readiness gate that nobody has opened keeps it unready', () => {
    const gated = pod({ readinessGates: [{ conditionType: 'gate' }] });
    expect(ready(gated, status(running, true))?.status).toBe('False');
    const conditions = [{ type: 'gate', status: 'True' as const }];
    expect(ready({ ...gated, status: { conditions } }, status(running, true))?.status).toBe('True');
  });

  test('conditions of others stay, and the time of one that has not changed too', () => {
    const conditions = [
      { type: 'PodScheduled', status: 'True' as const },
      { type: 'Ready', status: 'True' as const, lastTransitionTime: 'before' },
    ];
    const written = podStatus(facts({ ...pod(), status: { conditions } }, [status(running, true)]));
    expect(written.conditions).toContainEqual({ type: 'PodScheduled', status: 'True' });
    expect(written.conditions).toContainEqual({
      type: 'Ready',
      status: 'True',
      lastTransitionTime: 'before',
    });
  });

  test.each([
    ['Never', 0, 'Succeeded'],
    ['Never', 1, 'Failed'],
    ['OnFailure', 0, 'Succeeded'],
    ['OnFailure', 1, 'Running'],
    ['Always', 0, 'Running'],
  ] as const)('with restart policy %s and exit code %i it is %s', (restartPolicy, exitCode, phase) => {
    expect(podStatus(facts(pod({ restartPolicy }), [status(ended(exitCode))])).phase).toBe(phase);
  });

  test('thrown out of the node it has failed, whatever its containers do, and says why', () => {
    const evicted = { ...facts(pod(), [status(running, true)]), evicted: 'too big' };
    expect(podStatus(evicted)).toMatchObject({ phase: 'Failed', reason: 'Evicted', message: 'too big' });
    expect(podStatus(evicted).conditions?.find(({ type }) => type === 'Ready')?.status).toBe('False');
  });

  test('both addresses are told, the first as the pod’s own', () => {
    const written = podStatus(facts(pod(), [status(running)]));
    expect(written.podIP).toBe('10.244.1.5');
    expect(written.podIPs).toEqual([{ ip: '10.244.1.5' }, { ip: 'fd00::5' }]);
  });
});

describe('server', () => {
  test.each([
    ['1', null, 'c\n'],
    ['2', null, 'b\nc\n'],
    ['9', null, 'a\nb\nc\n'],
    ['0', null, ''],
    [null, '3', 'a\nb'],
    [null, null, 'a\nb\nc\n'],
  ])('of a log the last %s lines and %s bytes are %j', (lines, bytes, expected) => {
    expect(tail(Buffer.from('a\nb\nc\n'), lines, bytes).toString()).toBe(expected);
  });

  test('a named port is the container’s', () => {
    const ports = [{ name: 'http', containerPort: 8080 }];
    expect(portOf({ ...container, ports }, 'http')).toBe(8080);
    expect(portOf(container, 81)).toBe(81);
  });

  test('an exit code travels as a cause', () => {
    expect(execStatus(3)).toMatchObject({ details: { causes: [{ reason: 'ExitCode', message: '3' }] } });
    expect(execStatus(0)).toMatchObject({ status: 'Success' });
  });

  test.each([5, 200, 70_000])('a frame of %i bytes is read as it was written', (length) => {
    const payload = Buffer.alloc(length, 'x');
    const frame = Buffer.concat([frameHeader(2, length), payload, Buffer.from('rest')]);
    expect(readFrame(frame)).toMatchObject({ opcode: 2, final: true, payload, rest: Buffer.from('rest') });
    expect(readFrame(frame.subarray(0, length))).toBeUndefined();
  });

  test('a masked frame is unmasked', () => {
    const frame = Buffer.from([130, 130, 1, 2, 3, 4, 97 ^ 1, 98 ^ 2]);
    expect(readFrame(frame)?.payload.toString()).toBe('ab');
  });
});
