import { CommanderError } from 'commander';
import { FileError, messageOf, UserError } from '../base/errors.ts';
import { errorCode } from '../runs/files.ts';
import { programSearch } from '../runs/library-path.ts';
import { jsonText, plainLines } from './output.ts';
import { makeProgram } from './program.ts';

interface Failure {
  readonly message: string;
  readonly kind: 'user' | 'defect';
  readonly file?: string;
  readonly line?: number;
}

/** What a file system refuses that only a person can mend. */
const refusals: ReadonlySet<string | undefined> = new Set([
  'EACCES',
  'EBUSY',
  'EEXIST',
  'EIO',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOTDIR',
  'EPERM',
  'EROFS',
]);

/** An error of the file system as the user's to mend; any other stays what it is. */
function asUsers(error: unknown): unknown {
  return refusals.has(errorCode(error))
    ? new UserError(messageOf(error), 'The system refused that; mend the file or folder.', { cause: error })
    : error;
}

function failureOf(error: unknown): Failure {
  if (error instanceof FileError)
    return {
      message: error.message,
      kind: 'user',
      file: error.file,
      ...(error.line === undefined ? {} : { line: error.line }),
    };
  if (error instanceof UserError) return { message: error.message, kind: 'user' };
  return { message: messageOf(error), kind: 'defect' };
}

/** Tells on stderr what is wrong; stdout stays empty, so that nothing is taken for a result. */
function tell(failure: Failure, json: boolean, stack?: string): void {
  process.stderr.write(
    json
      ? jsonText({ error: failure })
      : `peft-lab: ${plainLines(failure.kind === 'user' ? failure.message : (stack ?? failure.message))}\n`,
  );
}

/** Whether JSON was asked for; also where the rest of the line can't be understood. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

/** Runs the command line. @returns the exit code: 0 done, 1 failed, 2 wrong usage or configuration */
async function main(argv: readonly string[]): Promise<number> {
  const json = asksForJson(argv);
  let code = 0;
  try {
    const program = makeProgram(
      (result) => {
        code = result;
      },
      {
        wrong: (text, help) => tell({ message: json ? text : `${text}\nSee: ${help}`, kind: 'user' }, json),
        missing: (help) => {
          if (json) tell({ message: 'a command is missing\n  See: peft-lab --help', kind: 'user' }, json);
          else process.stderr.write(help);
        },
      },
    );
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = asUsers(thrown);
    tell(failureOf(error), json, error instanceof Error ? error.stack : undefined);
    return error instanceof UserError ? 2 : 1;
  }
}

/**
 * A reader that has seen enough (`| head`) is no error, nor is a terminal that was closed (`EIO`). Without anyone to read results, there is
 * nothing left to do.
 */
function endQuietlyWithoutReader(stream: NodeJS.WriteStream, ends: boolean): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    if (ends) process.exit(process.exitCode ?? 0);
  });
}

Object.assign(process.env, programSearch());
endQuietlyWithoutReader(process.stdout, true);
// Progress that nobody reads must not end the supervision of what trains.
endQuietlyWithoutReader(process.stderr, false);
process.exitCode = await main(process.argv.slice(2));
