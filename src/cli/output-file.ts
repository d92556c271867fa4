import { accessSync, constants, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf, UserError } from '../base/errors.ts';
import { isSameFile, writeAtomically } from '../runs/files.ts';

/** Where a command writes what it would print otherwise. */
export interface OutputFile {
  readonly path: string;
  /** Puts the text there, all of it or nothing. @throws UserError where the system refuses it */
  readonly write: (text: string) => void;
}

/**
 * Opens the file that `--output` names, before anything is computed for it.
 * @param read the file that the command reads, which it must not replace
 * @throws UserError where it may not or cannot be written
 */
export function outputFile(
  name: string,
  { overwrite, read }: { readonly overwrite: boolean; readonly read?: string | undefined },
): OutputFile {
  const refuse = (problem: string, hint: string, cause?: unknown): never => {
    throw new UserError(`--output: ${problem}`, hint, { cause });
  };
  if (name.trim() === '') refuse('there is no file ""', 'Give the name of a file.');
  const path = resolve(name);
  const write = (text: string, put: (text: string) => void): void => {
    try {
      put(text);
    } catch (error) {
      refuse(`${path} cannot be written: ${messageOf(error)}`, 'Choose another place.', error);
    }
  };
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    requireFolder(dirname(path), refuse);
    return { path, write: (text) => write(text, (all) => writeAtomically(path, all)) };
  }
  if (stat.isDirectory()) refuse(`${path} is a folder`, 'Give the name of a file.');
  // A pipe or a terminal holds nothing that could be lost, and is not to be replaced by a file.
  if (!stat.isFile()) return { path, write: (text) => write(text, (all) => writeFileSync(path, all)) };
  if (!overwrite) refuse(`${path} is there already`, 'Choose another name, or give --overwrite.');
  if (read !== undefined && isSameFile(read, path)) refuse(`${path} is the file that is read`, 'Choose another name.');
  const real = realpathSync(path);
  requireFolder(dirname(real), refuse);
  return { path, write: (text) => write(text, (all) => writeAtomically(real, all)) };
}

function requireFolder(folder: string, refuse: (problem: string, hint: string, cause?: unknown) => never): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    refuse(`there is no folder ${folder}`, 'Make it, or choose another place.');
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    refuse(`nothing can be written to ${folder}`, 'Choose another place.', error);
  }
}
