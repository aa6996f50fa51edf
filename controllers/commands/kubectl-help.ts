import type { Command, Help, Option } from 'commander';

const width = 80;
const indent = '        ';

/** Lines under `Examples:`, for each command by its name. */
export type Examples = Readonly<Record<string, readonly string[]>>;

/** Help texts as kubectl prints them: description, examples, options as `--flag=default:` with the words below, usage. */
export function kubectlHelp(examples: Examples): (command: Command, helper: Help) => string {
  return (command, helper) => {
    const commands = helper.visibleCommands(command);
    const options = helper.visibleOptions(command).toSorted(byName);
    const sections = [
      helper.boxWrap(command.description(), width),
      section('Examples:', examples[command.name()] ?? []),
      section('Commands:', commandLines(commands)),
      section('Options:', optionLines(options, helper)),
      section("Accepted for kube-proxy's sake, without effect:", hiddenLines(command, helper)),
      section('Usage:', [`  ${commandPath(command)} ${command.usage()}`]),
      commands.length === 0
        ? ''
        : `Use "${command.name()} COMMAND --help" for what a command does in detail.`,
    ];
    return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
  };
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : [title, ...lines].join('\n');
}

function commandLines(commands: readonly Command[]): readonly string[] {
  const longest = Math.max(0, ...commands.map((command) => command.name().length));
  return commands.map((command) => `  ${command.name().padEnd(longest)}  ${command.summary()}`);
}

function optionLines(options: readonly Option[], helper: Help): readonly string[] {
  return options.flatMap((option, index) => {
    const short = option.short === undefined ? '' : `${option.short}, `;
    const value = option.defaultValueDescription;
    const text = helper.boxWrap(option.description, width - indent.length);
    return [
      ...(index === 0 ? [] : ['']),
      `    ${short}${option.long ?? ''}${value === undefined ? '' : `=${value}`}:`,
      ...text.split('\n').map((line) => `${indent}${line}`),
    ];
  });
}

function hiddenLines(command: Command, helper: Help): readonly string[] {
  const names = command.options.filter((option) => option.hidden).map((option) => option.long ?? '');
  if (names.length === 0) return [];
  const text = helper.boxWrap(names.toSorted().join(', '), width - 4);
  return text.split('\n').map((line) => `    ${line}`);
}

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}

function byName(a: Option, b: Option): number {
  return a.name() < b.name() ? -1 : 1;
}
