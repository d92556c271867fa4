import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, UserError } from '../base/errors.ts';
import { programSearch } from './library-path.ts';
import { compileCacheFolder } from './user-cache.ts';

/** A Node that trainers can run on. */
export interface NodeBinary {
  readonly path: string;
  readonly version: string;
  /** Whether it is an editor's executable, which is Node only when it is told so. */
  readonly electron: boolean;
}

const leastMajor = 22;

function majorOf(version: string): number {
  return Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0);
}

const execute = promisify(execFile);

async function versionOf(path: string): Promise<string> {
  const { stdout } = await execute(path, ['--version'], { timeout: 20_000, windowsHide: true });
  return stdout.trim().replace(/^v/, '');
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function onPath(environment: NodeJS.ProcessEnv): string | undefined {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  return (environment['PATH'] ?? environment['Path'] ?? '')
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, name))
    .find(executable);
}

export interface NodeChoice {
  /** What the user set (`peft.nodePath`); it is taken or refused, never passed over. */
  readonly configured?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  /** This process; for tests. */
  readonly own?: { readonly path: string; readonly version: string; readonly electron: boolean };
}

/**
 * Chooses the Node for trainers: the one the user set, else this process's own, else the one on PATH, else the editor's executable.
 * @throws UserError when the one that was set does not run or is too old, or there is none
 */
export async function chooseNode(choice: NodeChoice = {}): Promise<NodeBinary> {
  const { configured, environment = process.env } = choice;
  const own = choice.own ?? {
    path: process.execPath,
    version: process.versions.node,
    electron: process.versions['electron'] !== undefined,
  };
  if (configured !== undefined && configured !== '') {
    let version: string;
    try {
      version = await versionOf(configured);
    } catch (error) {
      throw new UserError(`the Node that is set, ${configured}, does not run: ${messageOf(error)}`, undefined, {
        cause: error,
      });
    }
    if (majorOf(version) < leastMajor)
      throw new UserError(
        `the Node that is set, ${configured}, is ${version}`,
        `Trainers need Node ${leastMajor} or later.`,
      );
    return { path: configured, version, electron: false };
  }
  const suitable = majorOf(own.version) >= leastMajor;
  if (suitable && !own.electron) return own;
  const found = onPath(environment);
  if (found !== undefined) {
    const version = await versionOf(found).catch(() => '');
    if (majorOf(version) >= leastMajor) return { path: found, version, electron: false };
  }
  if (suitable) return own;
  throw new UserError(
    `there is no Node ${leastMajor} or later to run trainers on`,
    `Install one from nodejs.org, or set peft.nodePath. This program runs on Node ${own.version}.`,
  );
}

let compiled: { readonly folder: string | undefined } | undefined;

/** Lets Node keep what it compiled of our programs, unless the user has said where, or that it should not. */
function compileCache({ electron }: Pick<NodeBinary, 'electron'>): Readonly<Record<string, string>> {
  const { env } = process;
  if (electron || env['NODE_COMPILE_CACHE'] !== undefined || env['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return {};
  compiled ??= { folder: compileCacheFolder() };
  return compiled.folder === undefined ? {} : { NODE_COMPILE_CACHE: compiled.folder };
}

/** The environment for a program of ours: this process's, without what an editor or a batch system means for this process alone. */
export function programEnvironment(
  node: Pick<NodeBinary, 'electron'>,
  given: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
  const debugged = process.env['VSCODE_INSPECTOR_OPTIONS'] !== undefined;
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(VSCODE_|ELECTRON_|SLURM_|NODE_CHANNEL_FD$|NODE_UNIQUE_ID$)/.test(name) &&
      !(debugged && name === 'NODE_OPTIONS'),
  );
  return {
    ...Object.fromEntries(kept),
    ...programSearch(),
    ...compileCache(node),
    ...given,
    ...(node.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
  };
}
