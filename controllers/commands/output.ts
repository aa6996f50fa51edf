/** Where a command's text goes. */
export interface Output {
  /** Results, for standard output. */
  write(text: string): void;
  /** What a person should know besides, for standard error. */
  warn(text: string): void;
  readonly isTerminal: boolean;
}
