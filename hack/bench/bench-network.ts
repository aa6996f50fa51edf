import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

/** A client, a node, and a server that is all pods: three network namespaces in a row, the node in the middle. */
export class BenchNetwork {
  readonly node: string;
  readonly client: string;
  readonly #server: string;
  #listener: ChildProcess | undefined;

  constructor(name: string) {
    this.node = `${name}-node`;
    this.client = `${name}-client`;
    this.#server = `${name}-server`;
    const script = `
      ip netns add ${this.client}; ip netns add ${this.node}; ip netns add ${this.#server}
      for n in ${this.client} ${this.node} ${this.#server}; do ip -n $n link set lo up; done
      ip -n ${this.node} link add in type veth peer name eth0 netns ${this.client}
      ip -n ${this.node} link add out type veth peer name eth0 netns ${this.#server}
      ip -n ${this.client} addr add 10.200.0.2/24 dev eth0; ip -n ${this.client} link set eth0 up
      ip -n ${this.node} addr add 10.200.0.1/24 dev in; ip -n ${this.node} link set in up
      ip -n ${this.node} addr add 10.201.0.1/24 dev out; ip -n ${this.node} link set out up
      ip -n ${this.#server} addr add 10.201.0.2/24 dev eth0; ip -n ${this.#server} link set eth0 up
      ip -n ${this.client} route add default via 10.200.0.1
      ip -n ${this.node} route add 10.244.0.0/14 via 10.201.0.2
      ip -n ${this.#server} route add default via 10.201.0.1
      ip -n ${this.#server} route add local 10.244.0.0/14 dev lo
      ip netns exec ${this.node} sysctl -qw net.ipv4.ip_forward=1`;
    execFileSync('sh', ['-ec', script]);
  }

  /** Packets to cluster IPs without a rule vanish from now on, as in a cloud, instead of being refused at once. */
  swallowServices(): void {
    execFileSync('ip', ['-n', this.node, 'route', 'add', 'blackhole', '10.96.0.0/12']);
  }

  /** Starts a server that takes connections for every pod. */
  async listen(): Promise<void> {
    const code =
      "require('net').createServer((s)=>s.on('error',()=>{}).resume()).listen(8080,'0.0.0.0',4096,()=>console.log('up'))";
    const child = spawn('ip', ['netns', 'exec', this.#server, process.execPath, '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#listener = child;
    await new Promise((resolve) => child.stdout.once('data', resolve));
  }

  async dispose(): Promise<void> {
    const listener = this.#listener;
    if (listener !== undefined && listener.exitCode === null) {
      const ended = new Promise((resolve) => listener.once('exit', resolve));
      listener.kill('SIGTERM');
      await ended;
    }
    for (const name of [this.client, this.node, this.#server]) execFileSync('ip', ['netns', 'delete', name]);
  }
}
