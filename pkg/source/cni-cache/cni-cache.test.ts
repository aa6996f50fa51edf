import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Clock, systemClock } from '../../runtime/index.ts';
import { type CniCache, createCniCache } from './cni-cache.ts';

let folder: string;
let cache: CniCache | undefined;
/** What `results()` gave at every call of `onChange`. */
let changes: (readonly string[])[];
let problems: (string | undefined)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cni-'));
  changes = [];
  problems = [];
});

afterEach(async () => {
  await cache?.stop();
  cache = undefined;
  await rm(folder, { recursive: true, force: true });
});

function resultText(pod: string, address: string, container: string): string {
  return JSON.stringify({
    kind: 'cniCacheV1',
    containerId: container,
    ifName: 'eth0',
    networkName: 'cbr0',
    cniArgs: [
      ['K8S_POD_NAMESPACE', 'shop'],
      ['K8S_POD_NAME', pod],
    ],
    result: { ips: [{ address: `${address}/24` }] },
  });
}

function fileOf(container: string, cacheFolder = folder): string {
  return join(cacheFolder, 'results', `cbr0-${container}-eth0`);
}

/** As libcni does: not in one step. */
function add(pod: string, address: string, container = pod, cacheFolder = folder): Promise<void> {
  return writeFile(fileOf(container, cacheFolder), resultText(pod, address, container));
}

/** `pod address`, in the order given. */
function known(): readonly string[] {
  return (cache?.results() ?? []).map(({ name, addresses }) => `${name} ${addresses.join(',')}`);
}

async function follow(folders: readonly string[] = [folder], clock: Clock = systemClock): Promise<void> {
  cache = createCniCache({
    folders,
    clock,
    onChange: () => changes.push(known()),
    onProblem: (problem) => problems.push(problem),
  });
  await cache.start();
}

/** Real files in real time; how long it takes is not what is tested. */
function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 2 });
}

/** Time passes a hundred times faster, so that the slow looks are not slow. */
const hastyClock: Clock = {
  now: () => systemClock.now() * 100,
  sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
};

/** Seconds of 2020, as the time at which a container got its network. */
function addedAt(container: string, second: number, cacheFolder = folder): Promise<void> {
  const time = 1_577_836_800 + second;
  return utimes(fileOf(container, cacheFolder), time, time);
}

describe('the CNI result cache', { timeout: 30_000 }, () => {
  beforeEach(() => mkdir(join(folder, 'results')));

  it('knows what is there when it has started, sorted by pod', async () => {
    await add('web', '10.0.0.2');
    await add('db', '10.0.0.1');
    await follow();
    expect(known()).toEqual(['db 10.0.0.1', 'web 10.0.0.2']);
    expect(changes).toEqual([]);
    expect(problems).toEqual([]);
  });

  it('follows files that come, change and go', async () => {
    await follow();
    await add('web', '10.0.0.2');
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
    await add('web', '10.0.0.3');
    await eventually(() => expect(known()).toEqual(['web 10.0.0.3']));
    await rm(fileOf('web'));
    await eventually(() => expect(known()).toEqual([]));
    expect(changes.at(-1)).toEqual([]);
  });

  it('ignores a half-written file until it is whole', async () => {
    const text = resultText('web', '10.0.0.2', 'web');
    await follow();
    await writeFile(fileOf('web'), text.slice(0, 40));
    await add('db', '10.0.0.1');
    await eventually(() => expect(known()).toEqual(['db 10.0.0.1']));
    await writeFile(fileOf('web'), text.slice(40), { flag: 'a' });
    await eventually(() => expect(known()).toEqual(['db 10.0.0.1', 'web 10.0.0.2']));
    await truncate(fileOf('db'), 10);
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
  });

  it('finds a file that was renamed into place', async () => {
    await follow();
    await writeFile(join(folder, 'draft'), resultText('web', '10.0.0.2', 'web'));
    await rename(join(folder, 'draft'), fileOf('web'));
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
  });

  it('says nothing of foreign files, broken ones, folders and sockets', async () => {
    const results = join(folder, 'results');
    await mkdir(join(results, 'cbr0-folder-eth0'));
    const socket = createServer().listen(join(results, 'cbr0-socket-eth0'));
    await once(socket, 'listening');
    await writeFile(join(results, 'cbr0-broken-eth0'), '{');
    await writeFile(join(results, 'notes'), resultText('notes', '10.0.0.9', 'x'));
    await writeFile(join(results, 'cni-loopback-web-lo'), resultText('lo', '127.0.0.1', 'x'));
    await writeFile(
      join(results, 'cbr0-large-eth0'),
      `${resultText('large', '10.0.0.8', 'x')}${' '.repeat(2 ** 21)}`,
    );
    await follow();
    expect(known()).toEqual([]);
    await add('web', '10.0.0.2');
    await eventually(() => expect(changes).toEqual([['web 10.0.0.2']]));
    expect(problems).toEqual([]);
    socket.close();
  });

  it('gives the newest result of a pod whose sandbox was made anew, and the older when that goes first', async () => {
    await add('web', '10.0.0.2', 'b-old');
    await add('web', '10.0.0.3', 'a-new');
    await addedAt('b-old', 1);
    await addedAt('a-new', 2);
    await follow();
    expect(known()).toEqual(['web 10.0.0.3']);
    await rm(fileOf('a-new'));
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
  });

  it('tells each pod of a burst, and nothing twice', async () => {
    await follow();
    const pods = Array.from({ length: 110 }, (_, index) => `pod-${index}`);
    await Promise.all(pods.map((pod, index) => add(pod, `10.0.1.${index}`)));
    await eventually(() => expect(known()).toHaveLength(110));
    expect(changes.every((now, index) => now.join() !== changes[index - 1]?.join())).toBe(true);
    const before = cache?.results();
    const count = changes.length;
    await add('pod-5', '10.0.1.5');
    await add('last', '10.0.2.1');
    await eventually(() => expect(known()).toHaveLength(111));
    expect(cache?.results().find(({ name }) => name === 'pod-6')).toBe(
      before?.find(({ name }) => name === 'pod-6'),
    );
    expect(changes.length).toBeGreaterThan(count);
  });

  it('follows both folders, and takes the newer result from either', async () => {
    const second = join(folder, 'cache');
    await mkdir(join(second, 'results'), { recursive: true });
    await add('web', '10.0.0.2', 'old');
    await add('web', '10.0.0.3', 'new', second);
    await addedAt('old', 1);
    await addedAt('new', 2, second);
    await follow([folder, second]);
    expect(known()).toEqual(['web 10.0.0.3']);
    await rm(fileOf('new', second));
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
  });

  it('goes on in a folder that was removed and made anew', async () => {
    await add('web', '10.0.0.2');
    await follow([folder], hastyClock);
    for (const address of ['10.0.0.3', '10.0.0.4', '10.0.0.5']) {
      await rm(join(folder, 'results'), { recursive: true });
      await mkdir(join(folder, 'results'));
      await add('web', address);
      await eventually(() => expect(known()).toEqual([`web ${address}`]));
    }
  });

  it('forgets what was in a folder that another one replaced in one step', async () => {
    await add('web', '10.0.0.2');
    await follow([folder], hastyClock);
    await rename(join(folder, 'results'), join(folder, 'former'));
    await mkdir(join(folder, 'results'));
    await add('db', '10.0.0.1');
    await eventually(() => expect(known()).toEqual(['db 10.0.0.1']));
  });

  it('does not speak any more once it has stopped', async () => {
    await follow();
    await cache?.stop();
    await add('web', '10.0.0.2');
    await follow();
    expect(changes).toEqual([]);
  });
});

describe('a CNI result cache that is not there', { timeout: 30_000 }, () => {
  it('is all right while the other is, and found when it comes', async () => {
    const second = join(folder, 'cache');
    await mkdir(join(folder, 'results'));
    await follow([folder, second], hastyClock);
    expect(problems).toEqual([]);
    await mkdir(join(second, 'results'), { recursive: true });
    await add('web', '10.0.0.2', 'web', second);
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
    expect(problems).toEqual([]);
  });

  it('is a problem, told once, where no other is, until it comes', async () => {
    await follow([folder], hastyClock);
    const missing = `new pods are known only when the API shows their addresses: there is no ${folder}/results`;
    expect(problems).toEqual([missing]);
    await mkdir(join(folder, 'results'));
    await eventually(() => expect(problems).toEqual([missing, undefined]));
    await add('web', '10.0.0.2');
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
    await rm(join(folder, 'results'), { recursive: true });
    await eventually(() => expect(problems).toEqual([missing, undefined, missing]));
    expect(known()).toEqual([]);
  });

  it('is a problem of its own where something else stands in its place', async () => {
    await mkdir(join(folder, 'results'));
    const loop = join(folder, 'loop');
    await symlink('loop', loop);
    await follow([folder, loop], hastyClock);
    expect(problems).toEqual([expect.stringContaining('ELOOP')]);
    await add('web', '10.0.0.2');
    await eventually(() => expect(known()).toEqual(['web 10.0.0.2']));
  });
});
