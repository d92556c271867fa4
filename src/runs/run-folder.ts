import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { FileError, messageOf, UserError } from '../base/errors.ts';
import { closestName } from '../base/suggest.ts';
import { insistently } from '../engine/insistently.ts';
import type { Catalogue } from './catalogue.ts';
import { dotted } from './configuration-problems.ts';
import { recordedConfiguration } from './configuration-schema.ts';
import type { Configuration, RecordedConfiguration } from './configuration-schema.ts';
import { parseConfiguration, resolveConfiguration } from './configuration.ts';
import { environmentSchema } from './environment.ts';
import type { Environment } from './environment.ts';
import { appendLines, asDiskFull, errorCode, nonce, parseJson, readIfThere, writeAtomically } from './files.ts';
import { marksFile } from './marks.ts';

/** A workspace's `.peft` folder, where everything that this program keeps lies. */
export interface Workspace {
  /** The folder that holds `.peft`. */
  readonly folder: string;
  readonly peft: string;
  readonly runs: string;
}

/** The places of a workspace. Nothing is created. */
export function workspaceAt(folder: string): Workspace {
  const absolute = resolve(folder);
  const peft = join(absolute, '.peft');
  return { folder: absolute, peft, runs: join(peft, 'runs') };
}

/**
 * Makes sure that the workspace's `.peft` exists, with a `.gitignore` that keeps all of it out of version control.
 * @throws UserError when the folder does not exist or cannot be written
 */
export function openWorkspace(folder: string): Workspace {
  const workspace = workspaceAt(folder);
  if (statSync(workspace.folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UserError(`there is no folder ${workspace.folder}`);
  try {
    mkdirSync(workspace.runs, { recursive: true });
    writeFileSync(join(workspace.peft, '.gitignore'), '*\n', { flag: 'wx' });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST' || statSync(workspace.runs, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw folderError(error, workspace.peft);
  }
  return workspace;
}

function folderError(error: unknown, folder: string): unknown {
  const code = errorCode(error);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST')
    return new UserError(`${folder} cannot be made or written (${code})`, undefined, { cause: error });
  return asDiskFull(error, folder);
}

const idForm = /^\d{8}-\d{9}-[0-9a-hjkmnp-tv-z]{6}$/;

/** Whether a text has the form of a run's id. Only such texts ever become part of a path. */
export function isRunId(text: string): boolean {
  return idForm.test(text);
}

let lastIdTime = 0;

/**
 * A new run id, `20261121-041512123-4f9k2a`: the time in UTC to the millisecond, so that ids sort by age (those of one process strictly),
 * and 30 random bits.
 */
export function newRunId(now: number = Date.now()): string {
  lastIdTime = Math.max(now, lastIdTime + 1);
  const digits = new Date(lastIdTime).toISOString().replaceAll(/\D/g, '');
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  const random = [...randomBytes(6)].map((byte) => alphabet[byte & 31] ?? '0').join('');
  return `${digits.slice(0, 8)}-${digits.slice(8)}-${random}`;
}

/** The folder of a run. @throws UserError for a text that is no run id, whatever else it may be */
export function runFolder(workspace: Workspace, id: string): string {
  if (!isRunId(id))
    throw new UserError(`"${id}" is not the id of a run`, 'An id looks like 20261121-041512123-4f9k2a.');
  return join(workspace.runs, id);
}

/** The ids of all runs, oldest first. */
export function listRuns(workspace: Workspace): readonly string[] {
  try {
    return readdirSync(workspace.runs, { withFileTypes: true })
      .filter((entry) => isRunId(entry.name) && (entry.isDirectory() || entry.isSymbolicLink()))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * The run that a person means: its id, the beginning or the end of it where only one run has that, or `latest`.
 * @throws UserError when there is none or more than one
 */
export function findRun(workspace: Workspace, text: string): string {
  const ids = listRuns(workspace);
  const wanted = text.trim().toLowerCase();
  if (wanted === 'latest') {
    const latest = ids.at(-1);
    if (latest === undefined) throw new UserError(`there is no run in ${workspace.folder}`);
    return latest;
  }
  if (ids.includes(wanted)) return wanted;
  const matching = wanted === '' ? [] : ids.filter((id) => id.startsWith(wanted) || id.endsWith(`-${wanted}`));
  const [only, another] = matching;
  if (only !== undefined && another === undefined) return only;
  if (only !== undefined)
    throw new UserError(
      `"${text}" could be ${matching.length} runs`,
      `For example ${matching.slice(0, 3).join(', ')}.`,
    );
  const close = closestName(wanted, [...ids, ...ids.map((id) => id.slice(-6))]);
  throw new UserError(
    `there is no run "${text}" in ${workspace.folder}`,
    close === undefined ? 'The runs there are: peft-lab ls.' : `Did you mean "${close}"?`,
  );
}

export interface NewRun {
  readonly configuration: Configuration;
  readonly environment: Environment;
  readonly id?: string;
  readonly now?: () => number;
}

/** A run's files, by their names in its folder. */
const configFile = 'config.json';
const environmentFile = 'environment.json';

/**
 * Makes the folder of a run that waits to be started. It appears whole or not at all.
 * @returns the run's id
 * @throws UserError when there is such a folder already
 */
export function createRun(workspace: Workspace, run: NewRun): string {
  const id = run.id ?? newRunId(run.now?.());
  const folder = runFolder(workspace, id);
  const exists = new UserError(`the run ${id} exists already`, `Its folder is ${folder}.`);
  if (lstatSync(folder, { throwIfNoEntry: false }) !== undefined) throw exists;
  const unfinished = join(workspace.runs, `.new-${nonce()}`);
  try {
    mkdirSync(join(unfinished, 'checkpoints'), { recursive: true });
    // Of a run that a power cut took before it began, only what it was to be matters: without the rest it waits and begins all the same.
    writeAtomically(join(unfinished, configFile), `${JSON.stringify(run.configuration, undefined, 2)}\n`);
    writeAtomically(join(unfinished, environmentFile), `${JSON.stringify(run.environment, undefined, 2)}\n`, {
      sync: false,
    });
    appendLines(marksFile(unfinished), [{ time: (run.now ?? Date.now)(), type: 'queued' }], { sync: false });
    insistently(() => renameSync(unfinished, folder));
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') throw exists;
    throw folderError(error, folder);
  }
  return id;
}

function readJsonFile<S extends z.ZodType>(file: string, schema: S): z.output<S> {
  let text: string | undefined;
  try {
    text = readIfThere(file);
  } catch (error) {
    throw new FileError(file, undefined, `cannot be read: ${messageOf(error)}`, undefined, { cause: error });
  }
  if (text === undefined) throw new FileError(file, undefined, 'there is no such file; the run is damaged');
  const value = parseJson(text);
  if (value === undefined) throw new FileError(file, undefined, 'not JSON; the run is damaged');
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = dotted((issue?.path ?? []).map((key) => (typeof key === 'symbol' ? String(key) : key)));
  throw new FileError(file, undefined, `${place === '' ? '' : `${place}: `}${issue?.message ?? 'malformed'}`);
}

/** What a run was made from, as far as every version of this program can tell. @throws FileError */
export function readRecordedConfiguration(folder: string): RecordedConfiguration {
  return readJsonFile(join(folder, configFile), recordedConfiguration);
}

/**
 * The configuration that a run is to be trained by, checked against the methods and tasks of this version.
 * @throws FileError also when this version does not know what the run was made with, or its model or data are gone
 */
export function readConfiguration(folder: string, catalogue: Catalogue): Configuration {
  const file = join(folder, configFile);
  const text = readIfThere(file);
  if (text === undefined)
    throw new FileError(file, undefined, 'there is no such file; this is not the folder of a run');
  return resolveConfiguration(parseConfiguration(text, file, catalogue), catalogue);
}

/** @throws FileError */
export function readEnvironment(folder: string): Environment {
  return readJsonFile(join(folder, environmentFile), environmentSchema);
}

/** As {@link readEnvironment}; nothing where the file is gone or damaged. */
export function readableEnvironment(folder: string): Environment | undefined {
  try {
    return readEnvironment(folder);
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

/** Replaces what is known of a run's environment, for facts that only its start brings to light. @throws DiskFullError */
export function writeEnvironment(folder: string, environment: Environment): void {
  writeAtomically(join(folder, environmentFile), `${JSON.stringify(environment, undefined, 2)}\n`);
}
