import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { messageOf, UserError } from '../../base/errors.ts';
import { librarySearchPath } from '../../runs/library-path.ts';
import { chooseNode, programEnvironment } from '../../runs/node-binary.ts';
import type { ProgramSettings } from './operations.ts';

const execute = promisify(execFile);

const printedError = z.object({ error: z.object({ message: z.string() }) });

/** What the command line prints of the error that it ends with, wherever it prints it; nothing where a text is something else. */
function errorIn(printed: string): string | undefined {
  try {
    return printedError.parse(JSON.parse(printed)).error.message;
  } catch {
    return undefined;
  }
}

/** What a process that failed had printed until then. */
const printedBefore = z.object({ stdout: z.string().optional(), stderr: z.string().optional() }).catch({});

interface CommandPlace extends Pick<ProgramSettings, 'nodePath' | 'libraryFolders'> {
  /** The folder that holds `.peft`. */
  readonly folder: string;
}

interface CommandOptions {
  readonly signal: AbortSignal;
  /** In milliseconds. */
  readonly timeout?: number;
  /** What it reads from standard input. */
  readonly input?: string;
}

/**
 * Runs the command line at `program`, each time in a process of its own, and reads the JSON that it prints.
 * @returns a function that throws UserError with what the command line told, and Error for a result that is none
 */
export function commandLine(program: string) {
  return async <Schema extends z.ZodType>(
    result: Schema,
    { folder, nodePath, libraryFolders }: CommandPlace,
    args: readonly string[],
    { signal, timeout = 120_000, input }: CommandOptions,
  ): Promise<z.output<Schema>> => {
    const node = await chooseNode({ configured: nodePath });
    const env = programEnvironment(node, librarySearchPath(libraryFolders));
    // Packages are looked for from the working folder upwards: as trainers of this folder do, not from where the editor was started.
    const options = { cwd: folder, env, windowsHide: true, timeout, signal, maxBuffer: 64 << 20 };
    const ended = execute(node.path, [program, '--folder', folder, '--json', ...args], options);
    ended.child.stdin?.end(input);
    const { stdout, stderr, cause } = await ended.then(
      (printed) => ({ ...printed, cause: undefined }),
      (error: unknown) => {
        const { stdout = '', stderr = '' } = printedBefore.parse(error);
        return { stdout, stderr, cause: error };
      },
    );
    signal.throwIfAborted();
    // Exit code 1 says that something is wrong with what was looked at; what, stands on stdout all the same.
    const told =
      errorIn(stdout) ?? (stdout.trim() === '' ? errorIn(stderr.trimEnd().split('\n').at(-1) ?? '') : undefined);
    if (told !== undefined) throw new UserError(told, undefined, { cause });
    if (cause !== undefined && stdout.trim() === '')
      throw new UserError(`${node.path} cannot run ${program}: ${messageOf(cause)}`, undefined, { cause });
    return result.parse(JSON.parse(stdout));
  };
}
