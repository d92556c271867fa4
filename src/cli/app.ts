import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '../base/errors.ts';
import { likelyProvider } from '../engine/device.ts';
import { readMachine } from '../engine/graphics/machine.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from '../runs/supervisor.ts';
import { localLauncher } from '../runs/local-launcher.ts';
import { chooseNode } from '../runs/node-binary.ts';
import { openWorkspace, workspaceAt, type Workspace } from '../runs/run-folder.ts';
import { databaseLocation } from '../store/location.ts';
import { openStore, type Store } from '../store/store.ts';
import { plain, plainLines, type Terminal } from './output.ts';

/** What every command works with: where the runs are and where to write. */
export interface App {
  readonly terminal: Terminal;
  /** Print JSON instead of text. */
  readonly json: boolean;
  /** The folder that holds `.peft`. */
  readonly folder: string;
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
export function trainerEntry(): string {
  const bundled = import.meta.url.endsWith('.js');
  return fileURLToPath(new URL(bundled ? './trainer.js' : '../runs/trainer-process.ts', import.meta.url));
}

/** Rounds that may fail for the same reason before someone who waits is told to give up: some seconds. */
const patientRounds = 20;

export interface SupervisorChoices {
  readonly startsQueued: boolean;
  /** Told of a problem of the user's that has stood for many rounds, such as a full disk; `run` where it is that run's alone. */
  readonly onHopeless?: (problem: UserError, run: string | undefined) => void;
  /** The Node for trainers, where the user chose one. */
  readonly nodePath?: string | undefined;
  readonly slots?: SupervisorOptions['slots'];
}

/** How supervision works on the command line: local trainers, problems to stderr. */
export function supervisorOptions(
  app: App,
  workspace: Workspace,
  { startsQueued, onHopeless, nodePath, slots }: SupervisorChoices,
): SupervisorOptions {
  const last = new Map<string | undefined, { readonly text: string; readonly times: number }>();
  return {
    workspace,
    launcher: localLauncher({ entry: trainerEntry(), node: () => chooseNode({ configured: nodePath }) }),
    startsQueued,
    slots: { auto: likelyProvider(readMachine()), ...slots },
    onProblem: (problem, run) => {
      const text = `${run === undefined ? '' : `${run}: `}${plainLines(messageOf(problem))}\n`;
      const before = last.get(run);
      const times = text === before?.text ? before.times + 1 : 1;
      // Every round meets it anew; once is enough to know.
      if (times === 1) app.terminal.err(text);
      last.set(run, { text, times });
      if (times === patientRounds && problem instanceof UserError) onHopeless?.(problem, run);
    },
  };
}

/** A supervisor of the workspace's queue that starts trainers as the command line does. */
export function makeSupervisor(app: App, workspace: Workspace, choices: SupervisorChoices): Supervisor {
  return createSupervisor(supervisorOptions(app, workspace, choices));
}

/** Whether the folder has runs, or had some; commands that only read make nothing where it has not. */
export function hasWorkspace(app: App): boolean {
  return existsSync(readWorkspace(app).runs);
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
    const { problems } = await store.ingest();
    for (const { run, message } of problems)
      app.terminal.err(`${plain(run)}: its files cannot be read: ${plain(message)}\n`);
    return await work(store);
  } finally {
    await store.close();
  }
}
