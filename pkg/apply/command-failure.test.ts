import { expect, test } from 'vitest';
import type { CommandResult } from '../runtime/index.ts';
import {
  failedLine,
  failureText,
  inputAround,
  isContention,
  isMissing,
  isNoTable,
  isRefusal,
  isUnprintable,
  isUnprivileged,
  objections,
} from './command-failure.ts';

function failed(stderr: string, exitCode = 4): CommandResult {
  return { exitCode, stderr, stdout: '', timedOut: false, durationMs: 2000 };
}

// As iptables 1.8.9 and ipset 7.17 say it.
const lockHeld = `Can't lock /run/xtables.lock: Resource temporarily unavailable
Another app is currently holding the xtables lock. Stopped waiting after 1s.
`;
const noRoot =
  'iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n';
const lockFile = "Fatal: can't open lock file /run/xtables.lock: Permission denied\n";
const refused =
  'iptables-nft-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (Invalid argument): rule in chain A\n';
const parse = `iptables-restore v1.8.9 (legacy): invalid port/service \`99999' specified
Error occurred at line: 12
Try \`iptables-restore -h' or 'iptables-restore --help' for more information.
`;

test('tells contention from what the kernel refuses, which has the same exit code', () => {
  expect(isContention(failed(lockHeld))).toBe(true);
  expect(
    isContention(failed('line 2: RULE_APPEND failed (Resource temporarily unavailable): rule in chain A')),
  ).toBe(true);
  expect(isContention(failed(refused))).toBe(false);
  expect(isContention(failed(noRoot))).toBe(false);
  expect(isContention({ ...failed(lockHeld), exitCode: 0 })).toBe(false);
});

test('tells a lack of privilege', () => {
  expect(isUnprivileged(failed(noRoot))).toBe(true);
  expect(isUnprivileged(failed(lockFile))).toBe(true);
  expect(isUnprivileged(failed('ipset v7.17: Kernel error received: Operation not permitted', 1))).toBe(true);
  expect(isUnprivileged(failed("iptables-restore v1.8.9 (nf_tables): Can't open socket to ipset."))).toBe(
    true,
  );
  expect(isUnprivileged(failed(lockHeld))).toBe(false);
  expect(isUnprivileged(failed(refused))).toBe(false);
});

// As iptables 1.8.9 to 1.8.11 say it.
const noTable = [
  "ip6tables v1.8.11 (legacy): can't initialize ip6tables table `nat': Table does not exist (do you need to insmod?)\nPerhaps ip6tables or your kernel needs to be upgraded.\n",
  'ip6tables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)\n',
  "ip6tables-restore v1.8.9 (legacy): ip6tables-restore: unable to initialize table 'nat'\nError occurred at line: 1\n",
  'ip6tables-nft-restore v1.8.9 (nf_tables): \nline 4: CHAIN_ADD failed (No such file or directory): chain PREROUTING\n',
  'ip6tables-nft-restore v1.8.9 (nf_tables): \nline 4: TABLE_ADD failed (Operation not supported): table nat\n',
  'iptables v1.8.10 (nf_tables): Could not fetch rule set generation id: Invalid argument\n',
];
const unprintable = [
  "iptables v1.8.9 (nf_tables): table `filter' is incompatible, use 'nft' tool.\n",
  "iptables v1.8.9 (nf_tables): chain `FORWARD' in table `filter' is incompatible, use 'nft' tool.\n",
  'Error: meta sreg is not an immediate\niptables v1.8.11 (nf_tables): Parsing nftables rule failed\nPerhaps iptables or your kernel needs to be upgraded.\n',
];
const missing = [
  'iptables-nft-restore: line 3 failed: No chain/target/match by that name.\n',
  "iptables-nft-restore v1.8.9 (nf_tables): Chain 'NOPE' does not exist\nError occurred at line: 3\n",
];

test('tells a table that the kernel lacks, rules that cannot be printed, and chains that are not there', () => {
  const others = [lockHeld, noRoot, refused, parse, 'iptables: Cannot allocate memory\n'];
  // A base chain whose place a chain of somebody else's has taken.
  const taken = 'line 6: CHAIN_ADD failed (Operation not supported): chain PREROUTING\n';
  const held = 'line 6: CHAIN_DEL failed (Device or resource busy): chain KUBE-X\n';
  for (const [is, texts] of [
    [isNoTable, noTable],
    [isUnprintable, unprintable],
    [isMissing, missing],
  ] as const) {
    const all = [...noTable, ...unprintable, ...missing, ...others, taken, held];
    expect(all.filter((text) => is(failed(text)))).toEqual(texts);
  }
  // iptables-save shows nothing else and exits with 0.
  const saved = "# Table `nat' is incompatible, use 'nft' tool.\n";
  expect(isUnprintable({ ...failed('', 0), stdout: saved })).toBe(true);
  const baseChains = "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n*nat\n";
  expect(isUnprintable({ ...failed('', 0), stdout: baseChains })).toBe(false);
});

test.each([
  ['iptables-restore: line 5 failed', 5],
  ['iptables-nft-restore: line 3 failed: Bad rule (does a matching rule exist in that chain?).', 3],
  [parse, 12],
  [refused, 3],
  ['ipset v7.17: Error in line 4: Hash is full, cannot add more elements', 4],
  ['iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id', undefined],
])('finds the line number in %j', (stderr, line) => {
  expect(failedLine(stderr)).toBe(line);
});

test('tells what is refused for what it says from what may pass', () => {
  for (const said of [refused, parse, 'ipset v7.17: Error in line 4: Null-valued element', 'line 5 failed'])
    expect(isRefusal(failed(said))).toBe(true);
  for (const said of [
    lockHeld,
    noRoot,
    'line 2: RULE_APPEND failed (Cannot allocate memory): rule in chain A',
    'line 3: CHAIN_DEL failed (Device or resource busy): chain A',
    'ipset v7.17: Error in line 2: Set cannot be destroyed: it is in use by a kernel component',
  ])
    expect(isRefusal(failed(said))).toBe(false);
  expect(isRefusal({ ...failed(refused), exitCode: 0 })).toBe(false);
  expect(isRefusal({ ...failed(refused), exitCode: undefined })).toBe(false);
  expect(isRefusal({ ...failed(refused), timedOut: true })).toBe(false);
});

test.each([
  [
    'iptables-nft-restore v1.8.9 (nf_tables): \nline 4: RULE_APPEND failed (Invalid argument): rule in chain A\nline 7: RULE_APPEND failed (Operation not supported): rule in chain B\n',
    [
      { line: 4, why: 'RULE_APPEND failed (Invalid argument)' },
      { line: 7, why: 'RULE_APPEND failed (Operation not supported)' },
    ],
  ],
  [parse, [{ line: 12, why: "invalid port/service `99999' specified" }]],
  ['iptables-restore: line 5 failed', [{ line: 5, why: '' }]],
  [
    'ipset v7.17: Error in line 2002: Null-valued element, cannot be stored in a hash type of set',
    [{ line: 2002, why: 'Null-valued element, cannot be stored in a hash type of set' }],
  ],
  [
    'ipset v7.17: Error in line 1: Kernel error received: Invalid argument',
    [{ line: 1, why: 'Kernel error received: Invalid argument' }],
  ],
])('reads what is said against the input in %j', (stderr, expected) => {
  expect(objections(stderr)).toEqual(expected);
});

test('says in one line how a command failed', () => {
  expect(failureText(failed(parse, 2))).toBe(
    "exit code 2: iptables-restore v1.8.9 (legacy): invalid port/service `99999' specified; Error occurred at line: 12",
  );
  expect(failureText(failed('', 1))).toBe('exit code 1');
  expect(failureText({ ...failed(''), timedOut: true })).toBe('did not end within 2 s');
  const { exitCode, ...signalled } = failed('');
  expect(exitCode).toBe(4);
  expect(failureText({ ...signalled, exitCode: undefined })).toBe('was killed');
  expect(failureText({ ...signalled, exitCode: undefined, spawnError: 'ENOENT' })).toBe(
    'could not be started: ENOENT',
  );
});

test('shows the input around a line, across texts of several lines', () => {
  const input = [
    '*nat\n',
    ':A - [0:0]\n',
    '-A A -j ONE\n-A A -j TWO\n-A A -j THREE\n',
    '-A B -j FOUR\n',
    'COMMIT\n',
  ];
  expect(inputAround(input, 4)).toBe(
    ' 2: :A - [0:0]\n 3: -A A -j ONE\n>4: -A A -j TWO\n 5: -A A -j THREE\n 6: -A B -j FOUR',
  );
  expect(inputAround(input, 1)).toBe('>1: *nat\n 2: :A - [0:0]\n 3: -A A -j ONE');
  expect(inputAround(input, 7)).toBe(' 5: -A A -j THREE\n 6: -A B -j FOUR\n>7: COMMIT');
  expect(inputAround(input, 8)).toBe('');
});
