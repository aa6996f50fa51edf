/** Where a command's text goes. */
export interface Output {
  /** Results, for standard output. */
  write(text: string): void;
  /** What a person should know besides, for standard error. */
  warn(text: string): void;
  /** Whether results may carry colours: only on a terminal, and not when NO_COLOR asks for none. */
  readonly isColoured: boolean;
}
