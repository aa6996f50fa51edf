import { styleText } from 'node:util';

const width = Math.min(process.stdout.columns || 96, 96);
const indent = '   ';
/** Of a bar that stands for all. */
const barWidth = 72;

/** Prints what people read. Colours are left out where the output is no terminal, or `NO_COLOR` is set. */
export class Stage {
  #steps = 0;

  title(text: string): void {
    console.log(`\n${styleText('bold', text)}`);
  }

  step(title: string): void {
    this.#steps += 1;
    console.log(`\n${styleText(['bold', 'cyan'], `${this.#steps}. ${title}`)}`);
  }

  say(text: string): void {
    for (const line of wrap(text, width - indent.length)) console.log(`${indent}${line}`);
  }

  gap(): void {
    console.log('');
  }

  /** Something that was claimed and has just been observed. */
  observed(text: string): void {
    const [first = '', ...rest] = wrap(text, width - indent.length - 2);
    console.log(`${indent}${styleText('green', '✓')} ${first}`);
    for (const line of rest) console.log(`${indent}  ${line}`);
  }

  /** Columns as wide as their widest cell. The first row is the heading. */
  table([heading = [], ...rows]: readonly (readonly string[])[]): void {
    const widths = heading.map((_, column) =>
      Math.max(...[heading, ...rows].map((row) => row[column]?.length ?? 0)),
    );
    const lineOf = (row: readonly string[]): string =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd();
    console.log(`${indent}${styleText('dim', lineOf(heading))}`);
    for (const row of rows) console.log(`${indent}${lineOf(row)}`);
  }

  /** A bar for each count, in the order given. */
  histogram(counts: Readonly<Record<string, number>>): void {
    const names = Object.keys(counts);
    const nameWidth = Math.max(...names.map((name) => name.length));
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const name of names) {
      const count = counts[name] ?? 0;
      const bar = '█'.repeat(total === 0 ? 0 : Math.round((count / total) * barWidth));
      console.log(
        `${indent}  ${name.padEnd(nameWidth)}  ${String(count).padStart(4)}  ${styleText('cyan', bar)}`,
      );
    }
  }

  /** A command line that is being run, or that people may try. */
  command(text: string): void {
    console.log(`${indent}${styleText('dim', '$')} ${styleText('bold', text)}`);
  }

  failure(lines: readonly string[]): void {
    const [first = '', ...rest] = lines;
    console.log(`\n${indent}${styleText('red', '✗')} ${styleText('bold', first)}`);
    for (const line of rest) console.log(`${indent}  ${line}`);
  }
}

/** A duration for people. */
export function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
