import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommandRunner } from '../../pkg/runtime/index.ts';

/** Where the program under test looks first. */
const firstInPath = '/usr/local/sbin';
const timeoutMs = 20_000;
const runner = createCommandRunner();

export interface Refusal {
  readonly args?: string;
  readonly input?: string;
  readonly exitCode: number;
  /** On standard error. */
  readonly words: string;
}

/**
 * Programs that stand in front of the real ones on everybody's search path, pass on all they are asked, and fail when a
 * test says so. They are mounted, which nobody outside the sandbox sees.
 */
export class FaultyTools {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async mount(tools: readonly string[]): Promise<FaultyTools> {
    const folder = await mkdtemp(join(tmpdir(), 'weir-faulty-tools-'));
    await mkdir(join(folder, 'bin'));
    for (const tool of tools) {
      const real = (await sh(`command -v ${tool}`)).trim();
      await writeFile(join(folder, 'bin', tool), wrapper(folder, tool, real), { mode: 0o755 });
    }
    await sh(`mount --bind ${join(folder, 'bin')} ${firstInPath}`);
    return new FaultyTools(folder);
  }

  /** The next `times` runs that write say that line 2 failed and do nothing. */
  async fail(tool: string, times: number): Promise<void> {
    await this.#order(
      tool,
      Array.from({ length: times }, () => 'fail'),
    );
  }

  /** The next runs are killed with SIGKILL, each behind the transaction with this number (0: before any is complete). */
  async killAfterCommit(tool: string, ...transactions: readonly number[]): Promise<void> {
    await this.#order(
      tool,
      transactions.map((number) => `kill ${number}`),
    );
  }

  /** The next run is killed with SIGKILL when it has read this many lines. */
  async killAfterLines(tool: string, lines: number): Promise<void> {
    await this.#order(tool, [`cut ${lines}`]);
  }

  /**
   * From now on no run that writes takes lines that have this text, as the kernel would: ipset names the first, iptables-nft-restore all of
   * them, iptables-legacy-restore only the end of the transaction. `undefined`: everything is taken again.
   */
  async refuseLines(tool: string, text: string | undefined): Promise<void> {
    await writeFile(join(this.#folder, `${tool}.refused`), text ?? '');
  }

  /** The next run takes this much longer. */
  async delay(tool: string, seconds: number): Promise<void> {
    await this.#order(tool, [`delay ${seconds}`]);
  }

  /**
   * From now on these runs say `words` and do nothing: those whose arguments match, and whose input does where `input` is given (basic
   * patterns of grep -E). In place of what was refused before; `undefined`: nothing is any more.
   */
  async refuse(tool: string, refusal: Refusal | undefined): Promise<void> {
    const file = join(this.#folder, `${tool}.refusal`);
    if (refusal === undefined) {
      await rm(file, { force: true });
      return;
    }
    const { args = '.*', input = '', exitCode, words } = refusal;
    await writeFile(join(this.#folder, `${tool}.words`), `${words}\n`);
    await writeFile(`${file}.new`, `args='${args}'\ninput='${input}'\ncode=${exitCode}\n`);
    await rename(`${file}.new`, file);
  }

  /** Whether all that was ordered has happened. */
  async isSpent(tool: string): Promise<boolean> {
    return (await readFile(this.#orders(tool), 'utf8')) === '';
  }

  /** Every run so far, with its arguments. */
  async calls(): Promise<readonly string[]> {
    const text = await readFile(join(this.#folder, 'calls'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  async unmount(): Promise<void> {
    await sh(`umount ${firstInPath}`);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #orders(tool: string): string {
    return join(this.#folder, `${tool}.orders`);
  }

  #order(tool: string, lines: readonly string[]): Promise<void> {
    return writeFile(this.#orders(tool), lines.map((line) => `${line}\n`).join(''));
  }
}

function wrapper(folder: string, tool: string, real: string): string {
  return `#!/bin/sh
echo "${tool} $*" >>${folder}/calls
refusal=${folder}/${tool}.refusal
if [ -e "$refusal" ]; then
  . "$refusal"
  if printf '%s' "$*" | grep -Eq -e "$args"; then
    if [ -n "$input" ]; then
      cat >${folder}/${tool}.asked.$$
      exec <${folder}/${tool}.asked.$$
    fi
    if [ -z "$input" ] || grep -Eq -e "$input" ${folder}/${tool}.asked.$$; then
      cat ${folder}/${tool}.words >&2
      exit "$code"
    fi
  fi
fi
orders=${folder}/${tool}.orders
# Only runs that write.
case "${tool} $*" in *restore*) ;; *) exec ${real} "$@" ;; esac
if [ -s "$orders" ]; then
  read -r order number <"$orders"
  sed -i 1d "$orders"
  if [ "$order" = delay ]; then
    sleep "$number"
    exec ${real} "$@"
  fi
  cat >${folder}/${tool}.input
  if [ "$order" = fail ]; then
    echo "${tool}: line 2 failed" >&2
    exit 1
  fi
  # The tool gets the whole of the first transactions and the first lines of the next, and is killed while it waits for more.
  if [ "$order" = cut ]; then
    head -n "$number" ${folder}/${tool}.input >${folder}/${tool}.half
  else
    awk -v n="$number" '{ if (done >= n && $0 == "COMMIT") exit; print; if ($0 == "COMMIT") done++ }' ${folder}/${tool}.input >${folder}/${tool}.half
  fi
  mkfifo ${folder}/${tool}.fifo.$$
  ${real} "$@" <${folder}/${tool}.fifo.$$ &
  pid=$!
  { cat ${folder}/${tool}.half; sleep 0.5; kill -KILL $pid; } >${folder}/${tool}.fifo.$$
  rm ${folder}/${tool}.fifo.$$
  kill -KILL $$
fi
refused=${folder}/${tool}.refused
if [ -s "$refused" ]; then
  input=${folder}/${tool}.input.$$
  cat >"$input"
  if grep -qF -- "$(cat "$refused")" "$input"; then
    lines=$(grep -nF -- "$(cat "$refused")" "$input" | cut -d: -f1)
    first=$(echo "$lines" | head -n 1)
    case ${tool} in
    ipset)
      head -n $((first - 1)) "$input" | ${real} "$@"
      echo "ipset v7.17: Error in line $first: Kernel error received: Invalid argument" >&2
      code=1
      ;;
    *nft*)
      echo "${tool} v1.8.9 (nf_tables): " >&2
      for line in $lines; do echo "line $line: RULE_APPEND failed (Invalid argument): rule in chain X" >&2; done
      code=4
      ;;
    *)
      echo "iptables-restore: line $(awk -v n="$first" 'NR > n && $0 == "COMMIT" { print NR; exit }' "$input") failed" >&2
      code=1
      ;;
    esac
    rm "$input"
    exit $code
  fi
  ${real} "$@" <"$input"
  code=$?
  rm "$input"
  exit $code
fi
exec ${real} "$@"
`;
}

async function sh(script: string): Promise<string> {
  const result = await runner.run({ file: 'sh', args: ['-ec', script], captureOutput: true, timeoutMs });
  if (result.exitCode !== 0) throw new Error(`${script}: ${result.stderr.trim()}`);
  return result.stdout;
}
