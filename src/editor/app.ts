import type * as vscode from 'vscode';
import type { RunState } from '../runs/events.ts';
import type { RunSummary } from '../store/summaries.ts';
import type { Store } from '../store/store.ts';
import type { View } from '../webviews/compare/messages.ts';
import type { StartState } from './core/start-steps.ts';
import type { FinishedPlan } from './panels/plan-session.ts';
import type { WorkerClient } from './worker/client.ts';

/**
 * The seams of the extension: what its parts (views, commands, panels) are given and may rely on. Everything here is
 * asynchronous or in memory; nothing reads a file or a database on the extension host's thread.
 */

/** A run's identity, small enough to be kept in a panel's state: the folder's URI as text, and the run's id. */
export interface RunRef {
  readonly folder: string;
  readonly id: string;
}

/** The questions that the database answers; see Store. Where a folder has no runs yet, the answers are empty. */
export type RunReader = Pick<Store, 'list' | 'show' | 'curves' | 'comparison' | 'logs'>;

/** One workspace folder: its `.peft` and the database over it. */
export interface FolderRuns {
  readonly uri: vscode.Uri;
  /** `uri.toString()`: the `folder` of its runs' references. */
  readonly key: string;
  readonly name: string;
  /** Answers with the states that processes have at this moment, not those that the files last told. */
  readonly store: RunReader;
  /** Every run's row, by id, kept up to date in memory. Complete after {@link App.ready}. */
  readonly runs: ReadonlyMap<string, RunSummary>;
  /** The run's folder. */
  runUri(id: string): vscode.Uri;
  /** Whether a machine holds the run that cannot be seen from here, so that only a person can know whether it still trains. */
  isUnseen(id: string): boolean;
}

/** What changed since the last event; at most two events a second. */
export interface RunsChange {
  readonly folder: FolderRuns;
  /** Runs that are new or have something new: state, numbers, points, marks. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Everything may have changed: the database was built anew. Then the lists are empty. */
  readonly everything: boolean;
}

/** What a comparison shows. */
export type ComparisonSelection =
  | { readonly kind: 'runs'; readonly runs: readonly RunRef[] }
  /** `sweep` is what `RunSummary.sweep` holds. */
  | { readonly kind: 'sweep'; readonly folder: string; readonly sweep: string }
  | { readonly kind: 'everything' };

/** A comparison in a panel, and how the panel looks at it. */
export interface ShownComparison {
  readonly selection: ComparisonSelection;
  readonly view: View;
}

/** Panels, as commands and views open them. src/editor/panels/register.ts makes them. */
export interface Panels extends vscode.Disposable {
  /** Opens the run's panel, or brings the one that shows it to the front. */
  openRunPanel(run: RunRef, options?: { readonly preserveFocus?: boolean }): Promise<void>;
  /** Opens a comparison beside the active editor, or brings the one of the same selection to the front. */
  openComparePanel(selection: ComparisonSelection): Promise<void>;
  /** What the comparison that is in front shows and how, for "Export Comparison". */
  activeComparison(): ShownComparison | undefined;
  /** Opens the privacy planner, for the answers of "Start Run" where there are any. */
  openPlanPanel(begun?: BegunRun): Promise<void>;
}

/** Answers of "Start Run" that a plan completes. */
export interface BegunRun extends StartState {
  /** How many training examples the task has, where that is known. */
  readonly examples?: number;
}

/** `src/editor/panels/register.ts` exports a function `registerPanels` of this type. */
export type RegisterPanels = (app: App) => Panels;

export interface App {
  readonly context: vscode.ExtensionContext;
  /** The thread for whatever computes, or reads files of runs. */
  readonly worker: Pick<WorkerClient, 'ask'>;
  /** The one output channel. Never write run content into it above `trace`. */
  readonly log: vscode.LogOutputChannel;
  /** In the order of the workspace. */
  readonly folders: readonly FolderRuns[];
  readonly onDidChangeFolders: vscode.Event<void>;
  readonly onDidChangeRuns: vscode.Event<RunsChange>;
  /** Settles when the rows of all folders have been read once. */
  readonly ready: Promise<void>;
  folder(key: string): FolderRuns | undefined;
  /** The run's row as it is now; undefined for a run that is not there (any more). */
  run(ref: RunRef): RunSummary | undefined;
  /**
   * The actions that change things. They check Workspace Trust, ask what has to be asked, and tell the user of what goes wrong, so
   * that callers need not: a panel's button does exactly what the command does. False where the user declined or it failed.
   */
  readonly actions: RunActions;
}

export interface StartOptions {
  /** `key=value`, as the command line's `--set` takes them. */
  readonly overrides?: readonly string[];
  /** Only the first run of a sweep, to try it. */
  readonly onlyFirst?: boolean;
}

export interface RunActions {
  /** Starts what a configuration file describes. @returns the new runs */
  start(file: vscode.Uri, options?: StartOptions): Promise<readonly RunRef[]>;
  /** Has runs write a checkpoint and go on, and waits until they have. */
  saveCheckpoint(runs: readonly RunRef[]): Promise<boolean>;
  stop(runs: readonly RunRef[], options?: { readonly force?: boolean }): Promise<boolean>;
  resume(runs: readonly RunRef[]): Promise<boolean>;
  /** Opens the run's configuration as a new file beside the one that it came from. */
  clone(run: RunRef): Promise<boolean>;
  /** Asks first. */
  remove(runs: readonly RunRef[]): Promise<boolean>;
  /** Asks for the tags where none are given. */
  tag(runs: readonly RunRef[], tags?: readonly string[]): Promise<boolean>;
  note(run: RunRef, text?: string): Promise<boolean>;
  star(runs: readonly RunRef[], on: boolean): Promise<boolean>;
  /** Opens a configuration that trains as planned. */
  openPlan(plan: FinishedPlan, begun: BegunRun): Promise<boolean>;
  showLogs(run: RunRef): Promise<boolean>;
  revealFolder(run: RunRef): Promise<boolean>;
}

/** States in which a run has, or may soon have, a process. */
export const activeStates: readonly RunState[] = ['queued', 'starting', 'running'];
