import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '../base/errors.ts';
import { createSupervisor, type Supervisor } from '../runs/supervisor.ts';
import { localLauncher } from '../runs/local-launcher.ts';
import { chooseNode } from '../runs/node-binary.ts';
import { openWorkspace, workspaceAt, type Workspace } from '../runs/run-folder.ts';
import { databaseLocation } from '../store/location.ts';
import { openStore, type Store } from '../store/store.ts';
import { plainLines, type Terminal } from './output.ts';

/** What every command works with: where the runs are and where to write. */
export interface App {
  readonly terminal: Terminal;
  /** Print JSON instead of text. */
  readonly json: boolean;
  /** The folder that holds `.peft`. */
  readonly folder: string;
}

/** The version in package.json, which lies one folder above the bundle and two above this file. */
export function programVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    const file = new URL(place, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
  }
  return 'unknown';
}

/** The version of an installed package that computes, for the record of a run. */
export function packageVersions(names: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of names) {
    for (const place of [`../node_modules/${name}/package.json`, `../../node_modules/${name}/package.json`]) {
      const file = new URL(place, import.meta.url);
      if (!existsSync(file)) continue;
      const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) found[name] = String(parsed.version);
      break;
    }
  }
  return found;
}

/** The workspace's `.peft`, made if need be. */
export function makeWorkspace(app: App): Workspace {
  return openWorkspace(app.folder);
}

/** The workspace for reading; nothing is made. */
export function readWorkspace(app: App): Workspace {
  return workspaceAt(app.folder);
}

/** The trainer's program: beside the bundle, or the source itself. */
function trainerEntry(): string {
  const bundled = import.meta.url.endsWith('.js');
  return fileURLToPath(new URL(bundled ? './trainer.js' : '../runs/trainer-process.ts', import.meta.url));
}

/** Rounds that may fail for the same reason before someone who waits is told to give up: some seconds. */
const patientRounds = 20;

/** @param onHopeless told of a problem of the user's that has stood for many rounds, such as a full disk */
export function makeSupervisor(
  app: App,
  workspace: Workspace,
  startsQueued: boolean,
  onHopeless?: (problem: UserError) => void,
): Supervisor {
  let last = '';
  let times = 0;
  return createSupervisor({
    workspace,
    launcher: localLauncher({ entry: trainerEntry(), node: () => chooseNode() }),
    startsQueued,
    onProblem: (problem, run) => {
      const text = `${run === undefined ? '' : `${run}: `}${plainLines(messageOf(problem))}\n`;
      times = text === last ? times + 1 : 1;
      // Every round meets it anew; once is enough to know.
      if (text !== last) app.terminal.err(text);
      last = text;
      if (times === patientRounds && problem instanceof UserError) onHopeless?.(problem);
    },
  });
}

/** Whether the folder has runs, or had some; commands that only read make nothing where it has not. */
export function hasWorkspace(app: App): boolean {
  const workspace = readWorkspace(app);
  if (!existsSync(workspace.folder)) throw new UserError(`there is no folder ${workspace.folder}`);
  return existsSync(workspace.runs);
}

/** Opens the workspace's database, brought up to date with the run folders, for as long as `work` takes. */
export async function withStore<T>(app: App, work: (store: Store) => Promise<T>): Promise<T> {
  const workspace = readWorkspace(app);
  const { path, journalMode } = databaseLocation(app.folder);
  const bundled = import.meta.url.endsWith('.js');
  const store = await openStore({
    path,
    journalMode,
    runsFolder: workspace.runs,
    onNotice: (message) => app.terminal.err(`${plainLines(message)}\n`),
    ...(bundled ? { worker: new URL('./store-worker.js', import.meta.url) } : {}),
  });
  try {
    await store.ingest();
    return await work(store);
  } finally {
    await store.close();
  }
}
