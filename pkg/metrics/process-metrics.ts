import { readdirSync, readFileSync } from 'node:fs';
import { memoryUsage } from 'node:process';
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * What every Prometheus client says of its process, under the same names. Looked up at a scrape only: prom-client's own set
 * keeps timers and garbage-collection observers running, which an idle agent would pay for.
 */
export function addProcessMetrics(registry: Registry, nowSeconds: () => number): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    const made = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const value = read();
        if (value !== undefined) this.set(value);
      },
    });
    registry.registerMetric(made);
  };
  const startedAt = nowSeconds() - process.uptime();
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time used, in seconds.',
    registers: [],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  registry.registerMetric(cpu);
  gauge('process_start_time_seconds', 'When the process started, in seconds since 1970.', () => startedAt);
  gauge('process_resident_memory_bytes', 'Memory in use that is not swapped out.', () => memoryUsage.rss());
  gauge('process_virtual_memory_bytes', 'Address space in use.', virtualMemory);
  gauge('process_open_fds', 'Open file descriptors.', openFiles);
  gauge('process_max_fds', 'File descriptors that may be open.', maxFiles);
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.', () => memoryUsage().heapUsed);
  addEventLoopLag(registry);
}

/** How long a callback that is ready has to wait, measured once at each scrape. */
function addEventLoopLag(registry: Registry): void {
  const lag = new Gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'How long work that was ready had to wait for its turn, at this scrape.',
    registers: [],
    async collect() {
      const start = performance.now();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      this.set((performance.now() - start) / 1000);
    },
  });
  registry.registerMetric(lag);
}

function virtualMemory(): number | undefined {
  const kilobytes = /^VmSize:\s+(\d+) kB$/m.exec(readProc('/proc/self/status'))?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function maxFiles(): number | undefined {
  const limit = /^Max open files\s+(\d+)/m.exec(readProc('/proc/self/limits'))?.[1];
  return limit === undefined ? undefined : Number(limit);
}

function openFiles(): number | undefined {
  try {
    // One of them is the folder that is being read.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}

/** /proc never waits for a disk. What can't be read says nothing. */
function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
