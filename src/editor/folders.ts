import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { UserError } from '../base/errors.ts';
import { openStore, type Store } from '../store/store.ts';
import type { App, FolderRuns } from './app.ts';
import {
  watchFolder,
  type FolderWatch,
  type QueueState,
  type Transition,
  type WatchChange,
} from './core/folder-watch.ts';
import { t } from './core/l10n.ts';
import { supervision } from './core/supervision.ts';
import { useTitles } from './core/titles.ts';
import { programSettings } from './settings.ts';
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
  const watcher = randomUUID();
  const supervisor = supervision();

  async function look(): Promise<Look> {
    // A folder without runs costs no thread.
    isKnown ||= await isThere(runsPath);
    return isKnown ? worker.ask('look', { folder: path, watcher }) : nothingThere;
  }

  async function open(): Promise<Store> {
    useTitles(await worker.ask('titles', undefined));
    const {
      path: database,
      journalMode,
      reason,
      runsFolder,
    } = await worker.ask('locate', {
      folder: path,
      trusted: vscode.workspace.isTrusted,
    });
    if (reason !== undefined) log.info(`The database of ${name} is ${database}: ${reason}`);
    return openStore({
      path: database,
      journalMode,
      runsFolder,
      worker: vscode.Uri.joinPath(context.extensionUri, 'dist', 'store-worker.js').fsPath,
      onNotice: (message) => log.warn(message),
    });
  }

  function supervise(queue: QueueState): void {
    if (!vscode.workspace.isTrusted) return;
    const step = supervisor.next(queue, performance.now());
    if (step === 'nothing') return;
    if (step === 'give-up') {
      const file = vscode.Uri.joinPath(uri, '.peft', 'supervisor.log').fsPath;
      events.onProblem(
        new UserError(
          t('The process that looks after the runs of {0} does not start.', name),
          t('What it told is in {0}. "PEFT: Check Environment" looks at the Node that it runs on.', file),
        ),
      );
      return;
    }
    log.info(`Starting a supervisor for ${name}: ${queue.claimed.length} claimed, ${queue.waiting.length} waiting`);
    worker
      .ask('supervise', { folder: path, ...programSettings(uri), startsQueued: step === 'start' })
      .then((started) => {
        if (!started) supervisor.found();
      })
      .catch((problem: unknown) => {
        supervisor.failed();
        events.onProblem(problem);
      });
  }

  const watch = watchFolder({
    look,
    openStore: open,
    onChange: (change) => events.onChange(folder, change),
    onTransitions: (transitions) => events.onTransitions(folder, transitions),
    onLook: (queue) => {
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
    isUnseen: (id) => watch.isUnseen(id),
    queue: () => watch.queue(),
    isPaused: () => supervisor.isPaused(watch.queue()),
    startQueue: () => {
      if (supervisor.startQueue()) worker.ask('endSupervisor', path).catch(events.onProblem);
    },
    refresh: (options) => watch.refresh(options),
    dispose: () => watch.dispose(),
  };
  return folder;
}
