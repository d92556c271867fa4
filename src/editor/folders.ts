import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import * as vscode from 'vscode';
import { openStore, type Store } from '../store/store.ts';
import type { App, FolderRuns } from './app.ts';
import {
  watchFolder,
  type FolderWatch,
  type QueueState,
  type Transition,
  type WatchChange,
} from './core/folder-watch.ts';
import { modelFolders, programSettings } from './settings.ts';
import type { WorkerClient } from './worker/client.ts';
import type { Look } from './worker/operations.ts';

/** A workspace folder with the watch over its runs. */
export interface WatchedFolder extends FolderRuns {
  readonly path: string;
  readonly watch: FolderWatch;
  queue(): QueueState;
  /** Runs wait, and nobody starts them until the user says so. */
  isPaused(): boolean;
  /** From here on what waits is started. */
  startQueue(): void;
  refresh(options?: { readonly everything?: boolean }): Promise<void>;
  dispose(): Promise<void>;
}

export interface FolderEvents {
  readonly onChange: (folder: WatchedFolder, change: WatchChange) => void;
  readonly onTransitions: (folder: WatchedFolder, transitions: readonly Transition[]) => void;
  readonly onLook: (folder: WatchedFolder) => void;
  readonly onProblem: (problem: unknown) => void;
}

const nothingThere: Look = { exists: false, claimed: [], waiting: [], appeared: [], gone: [], supervised: false };

/** How long a supervisor that was started is given to show itself before another is. */
const supervisorPatienceMs = 15_000;

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** Watches a workspace folder, and sees to it that a supervisor looks after what runs there. */
export function watchedFolder(
  { uri, name }: vscode.WorkspaceFolder,
  worker: WorkerClient,
  context: App['context'],
  log: App['log'],
  events: FolderEvents,
): WatchedFolder {
  const path = uri.fsPath;
  const runsPath = join(path, '.peft', 'runs');
  let isKnown = false;
  let startsQueued = false;
  let supervisorStarted = -Infinity;
  /** The last supervisor that was started from here leaves alone what waits. */
  let onlyAdopts = false;

  async function look(): Promise<Look> {
    // A folder without runs costs no thread.
    isKnown ||= await isThere(runsPath);
    return isKnown ? worker.ask('look', path) : nothingThere;
  }

  async function open(): Promise<Store> {
    const { path: database, journalMode, reason, runsFolder } = await worker.ask('locate', path);
    if (reason !== undefined) log.info(`The database of ${name} is ${database}: ${reason}`);
    return openStore({
      path: database,
      journalMode,
      runsFolder,
      worker: vscode.Uri.joinPath(context.extensionUri, 'dist', 'store-worker.js').fsPath,
      onNotice: (message) => log.warn(message),
    });
  }

  /** Starts a supervisor where one is needed: for what runs always, for what waits where the user wants it started. */
  function supervise({ claimed, waiting, supervised }: QueueState): void {
    if (!vscode.workspace.isTrusted || supervised || Date.now() - supervisorStarted < supervisorPatienceMs) return;
    // A run whose trainer lives was left running by an earlier session, with the queue behind it.
    if (claimed.some(({ alive }) => alive)) startsQueued = true;
    if (claimed.length === 0 && (waiting.length === 0 || !startsQueued)) return;
    supervisorStarted = Date.now();
    log.info(`Starting a supervisor for ${name}: ${claimed.length} claimed, ${waiting.length} waiting`);
    onlyAdopts = !startsQueued;
    worker
      .ask('supervise', { folder: path, ...programSettings(uri), startsQueued })
      .then((started) => {
        // One lives that the look did not see yet; should it end, the next look starts another.
        if (!started) supervisorStarted = -Infinity;
      })
      .catch(events.onProblem);
  }

  const watch = watchFolder({
    look,
    openStore: open,
    onChange: (change) => events.onChange(folder, change),
    onTransitions: (transitions) => events.onTransitions(folder, transitions),
    onLook: (queue) => {
      // Once it shows itself, its end is for the next look to see.
      if (queue.supervised) supervisorStarted = -Infinity;
      supervise(queue);
      events.onLook(folder);
    },
    onProblem: events.onProblem,
  });

  const folder: WatchedFolder = {
    uri,
    key: uri.toString(),
    name,
    path,
    store: watch.reader,
    runs: watch.runs,
    watch,
    runUri: (id) => vscode.Uri.joinPath(uri, '.peft', 'runs', id),
    queue: () => watch.queue(),
    isPaused: () => {
      const { waiting, supervised } = watch.queue();
      return waiting.length > 0 && !supervised && !startsQueued;
    },
    startQueue: () => {
      startsQueued = true;
      if (!onlyAdopts) return;
      onlyAdopts = false;
      supervisorStarted = -Infinity;
      worker.ask('endSupervisor', path).catch(events.onProblem);
    },
    refresh: (options) => watch.refresh(options),
    dispose: () => watch.dispose(),
  };
  return folder;
}

/** The folders to look for models in, as absolute paths. */
export function absoluteModelFolders(folder: WatchedFolder): readonly string[] {
  return modelFolders(folder.uri).map((each) => (isAbsolute(each) ? each : join(folder.path, each)));
}
