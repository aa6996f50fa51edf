import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** An import that stands in a file of a room. */
interface Import {
  readonly room: string;
  readonly from: string;
}

const forbidden: readonly Import[] = [
  { room: 'pkg/net', from: '../api/index.ts' },
  { room: 'pkg/net', from: 'node:net' },
  { room: 'pkg/api', from: '../kernel/index.ts' },
  { room: 'pkg/api', from: '../net/address.ts' },
  { room: 'pkg/api', from: 'valibot' },
  { room: 'pkg/kernel', from: '../api/index.ts' },
  { room: 'pkg/kernel', from: '../apply/index.ts' },
  { room: 'pkg/cache', from: '../net/index.ts' },
  { room: 'pkg/cache', from: 'node:fs' },
  { room: 'pkg/service/decide', from: '../../kernel/index.ts' },
  { room: 'pkg/service/decide', from: '../iptables/index.ts' },
  { room: 'pkg/service/iptables', from: '../../apply/index.ts' },
  { room: 'pkg/service/iptables', from: '../../policy/decide/index.ts' },
  { room: 'pkg/service/iptables', from: 'execa' },
  { room: 'pkg/policy/decide', from: '../../kernel/index.ts' },
  { room: 'pkg/policy/decide', from: 'node:crypto' },
  { room: 'pkg/policy/iptables', from: '../../runtime/index.ts' },
  { room: 'pkg/source', from: '../cache/index.ts' },
  { room: 'pkg/source/manifests', from: '../../cache/index.ts' },
  { room: 'pkg/source/manifests', from: '../../api/pod.ts' },
  { room: 'pkg/apply', from: '../service/decide/index.ts' },
  { room: 'pkg/runtime', from: '../net/index.ts' },
  { room: 'pkg/log', from: '../api/index.ts' },
  { room: 'pkg/config', from: '../kernel/index.ts' },
  { room: 'pkg/metrics', from: '../cache/index.ts' },
  { room: 'controllers', from: '../hack/build.ts' },
  { room: 'controllers', from: '../test/support/world.ts' },
  { room: 'controllers', from: '../pkg/net/address.ts' },
  { room: 'controllers/commands', from: '../../pkg/service/decide/endpoints.ts' },
];

const allowed: readonly Import[] = [
  { room: 'pkg/net', from: './address.ts' },
  { room: 'pkg/api', from: '../net/index.ts' },
  { room: 'pkg/kernel', from: '../net/index.ts' },
  { room: 'pkg/kernel', from: 'node:crypto' },
  { room: 'pkg/apply', from: '../net/index.ts' },
  { room: 'pkg/cache', from: '../api/index.ts' },
  { room: 'pkg/service/decide', from: '../../api/index.ts' },
  { room: 'pkg/service/decide', from: '../../net/index.ts' },
  { room: 'pkg/service/iptables', from: '../decide/index.ts' },
  { room: 'pkg/service/iptables', from: '../../kernel/index.ts' },
  { room: 'pkg/policy/decide', from: '../../api/index.ts' },
  { room: 'pkg/policy/iptables', from: '../../net/index.ts' },
  { room: 'pkg/source', from: '../api/index.ts' },
  { room: 'pkg/source/manifests', from: '../source.ts' },
  { room: 'pkg/source/manifests', from: '../../runtime/index.ts' },
  { room: 'pkg/source/manifests', from: 'yaml' },
  { room: 'pkg/apply', from: '../kernel/index.ts' },
  { room: 'pkg/apply', from: '../runtime/index.ts' },
  { room: 'pkg/runtime', from: 'execa' },
  { room: 'pkg/log', from: '../runtime/index.ts' },
  { room: 'pkg/config', from: '../net/index.ts' },
  { room: 'controllers', from: '../pkg/net/index.ts' },
  { room: 'controllers/commands', from: '../../pkg/service/decide/index.ts' },
];

/** Lints all cases at once, in a folder laid out as the project is; gives the findings of the table by file. */
async function lint(cases: readonly Import[]): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-layers-'));
  try {
    await writeFile(join(folder, '.oxlintrc.json'), JSON.stringify(await layerRules()));
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await Promise.all(cases.map((one, index) => writeCase(join(folder, fileOf(one, index)), one.from)));
    const { diagnostics } = JSON.parse(await oxlint(folder)) as {
      readonly diagnostics: readonly Diagnostic[];
    };
    return new Map(diagnostics.map((diagnostic) => [diagnostic.filename, diagnostic.help]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Diagnostic {
  readonly filename: string;
  readonly help: string;
}

/** The project's own configuration, without what has nothing to do with layers. */
async function layerRules(): Promise<unknown> {
  const config = JSON.parse(await readFile(join(root, '.oxlintrc.json'), 'utf8')) as Record<string, unknown>;
  return { ...config, plugins: [], categories: {}, options: {}, rules: {} };
}

function fileOf(one: Import, index: number): string {
  return join(one.room, `case-${index}.ts`);
}

async function writeCase(path: string, from: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `import { something } from '${from}';\nexport const result = something;\n`);
}

/** What oxlint prints; that it exits with 1 on findings is what we want here. */
function oxlint(folder: string): Promise<string> {
  const program = join(root, 'node_modules/.bin/oxlint');
  return new Promise((resolve) => {
    execFile(program, ['--format=json', '.'], { cwd: folder }, (_, stdout) => resolve(stdout));
  });
}

const cases = [...forbidden, ...allowed];
let findings: ReadonlyMap<string, string>;

beforeAll(async () => {
  findings = await lint(cases);
});

describe('the table of layers', () => {
  test.each(forbidden)('refuses $from in $room', (one) => {
    expect(findings.get(fileOf(one, cases.indexOf(one)))).toEqual(expect.any(String));
  });

  test.each(allowed)('lets $room import $from', (one) => {
    expect(findings.get(fileOf(one, cases.indexOf(one)))).toBeUndefined();
  });
});
