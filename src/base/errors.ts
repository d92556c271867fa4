/**
 * An error that the user can mend: a malformed configuration, a truncated file, an unknown task. Its message says what is
 * wrong, where (file, key, line) and what to do. The command line prints the message alone and exits with 2; the editor shows it.
 * Anything else that is thrown is a defect of ours and is shown with its stack.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  /** @param hint what to do about it, in one sentence */
  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(hint === undefined ? message : `${message}\n  ${hint}`, options);
  }
}

/** A user's error in a file, with the place: `train.tsv:17: label "7" is not one of 0, 1`. `line` counts from 1. */
export class FileError extends UserError {
  override readonly name = 'FileError';
  readonly file: string;
  readonly line: number | undefined;

  constructor(file: string, line: number | undefined, problem: string, hint?: string, options?: ErrorOptions) {
    super(`${file}${line === undefined ? '' : `:${line}`}: ${problem}`, hint, options);
    this.file = file;
    this.line = line;
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
