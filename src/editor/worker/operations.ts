import type { ComparisonRow } from '../../store/comparison-rows.ts';
import type { DatabaseLocation } from '../../store/location.ts';
import type { PortableError } from '../../store/operations.ts';
import type { ComparisonOptions } from '../../analysis/comparison.ts';
import type { ComparisonFormat, RenderOptions } from '../../analysis/render.ts';
import type { GpuUse } from '../../engine/graphics/gpu-use.ts';
import type { Hindrance } from '../../engine/graphics/outlook.ts';
import type { AccountantName } from '../../privacy/accountant.ts';
import type { Phase } from '../../privacy/mechanism.ts';
import type { PrivateSchedule } from '../../privacy/schedule.ts';
import type { PrivacyAudit } from '../../runs/audit.ts';
import type { BudgetStatement } from '../../runs/budget-statement.ts';
import type { BudgetBreach } from '../../runs/privacy-budget.ts';
import type { RunPrivacy } from '../../runs/run-privacy.ts';
import type { DiskUse, KeptCheckpoints } from '../../runs/checkpoints.ts';
import type { LocatedProblem } from '../../runs/configuration.ts';
import type { RunState } from '../../runs/events.ts';
import type { Untimed } from '../../runs/marks.ts';
import type { UnseenHolder } from '../../runs/run-state.ts';
import type { Titles } from '../core/titles.ts';
import type { CudaInstallation, Diagnosis, ExportedModel, Predicted, PredictedTexts } from './printed.ts';

/**
 * What the extension's worker thread can be asked. Everything that reads or writes files of runs, plans sweeps, counts parameters or
 * starts programs happens there, so that the extension host's own thread never waits. Inputs and outputs are plain data.
 */

/** A run that a supervisor has taken up. */
export interface ClaimedLook {
  readonly id: string;
  readonly device: string;
  readonly state: RunState;
  readonly reason: string | undefined;
  readonly stopAsked: boolean;
  /** Whether its trainer is seen to live, or cannot be seen from here. */
  readonly alive: boolean;
  /** Its holder cannot be seen from here: only a person can know whether the trainer lives. */
  readonly unseen: boolean;
}

/** A run whose holder cannot be seen from here. */
export interface UnseenRun extends UnseenHolder {
  readonly id: string;
  readonly state: RunState;
}

export interface WaitingLook {
  readonly id: string;
  readonly device: string;
}

/** A look at a folder's queue and at the processes behind it. */
export interface Look {
  /** Whether there is a `.peft` with runs. */
  readonly exists: boolean;
  readonly claimed: readonly ClaimedLook[];
  /** In their order; undefined while they are what the last look told. */
  readonly waiting: readonly WaitingLook[] | undefined;
  /** Runs whose folders are new since the last look, and gone. */
  readonly appeared: readonly string[];
  readonly gone: readonly string[];
  /** Whether a detached supervisor lives. */
  readonly supervised: boolean;
}

/** How programs are started: the user's settings. */
export interface ProgramSettings {
  readonly nodePath: string;
  /** Absolute. */
  readonly libraryFolders: readonly string[];
  readonly slots: Readonly<Record<string, number>>;
}

export interface Submission {
  /** The folder that holds `.peft`. */
  readonly folder: string;
  /** Of the configuration; relative paths in it start from this file's folder. */
  readonly file: string;
  /** The text as the editor has it; read from the file without it. */
  readonly text?: string;
  readonly overrides?: readonly string[];
  /** Only the first run of a sweep. */
  readonly onlyFirst?: boolean;
  /** The user has said that the runs may go beyond the project's privacy budget. */
  readonly exceedsBudget?: boolean;
}

export interface Inspection {
  readonly problems: readonly LocatedProblem[];
  /** What is right as a text and would keep it from being trained here: missing data, a folder that is not there. */
  readonly warnings: readonly LocatedProblem[];
  /** How many runs it describes; undefined while something is wrong with it. */
  readonly runs: number | undefined;
  /** What it says of the model, for the lens. */
  readonly model: string | undefined;
}

export interface ModelChoice {
  /** What to write as `model`. */
  readonly name: string;
  readonly source: 'shipped' | 'hub' | 'folder';
  readonly family: string | undefined;
  readonly weightBytes: number;
  readonly problem: string | undefined;
}

export interface MethodChoice {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly citation: string;
  /** It has options without defaults, which have to be written. */
  readonly needsOptions: boolean;
  /** Hugging Face PEFT has it too. */
  readonly peft: boolean;
}

export interface TaskChoice {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Its data comes with the program. */
  readonly sample: boolean;
  readonly trainExamples: number | undefined;
  /** Its examples are pairs of texts. */
  readonly pair: boolean;
  readonly splits: readonly string[];
}

export interface Catalogue {
  readonly methods: readonly MethodChoice[];
  readonly tasks: readonly TaskChoice[];
  /** What can be written as `device`. */
  readonly providers: readonly string[];
  /** Whether configurations of this version may ask for a privacy budget. */
  readonly privacy: boolean;
  /** Sizes that are known without a model at hand. */
  readonly knownModels: readonly string[];
}

export interface CountRequest {
  readonly model: string;
  /** Its id; texts are classified without one. */
  readonly task: string | undefined;
  readonly method: string;
}

export interface Counted {
  readonly method: number;
  readonly head: number;
  readonly total: number;
  /** The encoder's own weights. */
  readonly encoder: number;
}

/** What a run's trainer has told so far. */
export interface RunLog {
  /** Its events in lines; empty where it has told nothing. */
  readonly text: string;
  readonly state: RunState;
  /** Why it failed or was interrupted, where that is known. */
  readonly reason: string | undefined;
  /** The end of what it wrote to stderr. */
  readonly errors: string;
}

/** What the machine has and what of it is free. */
export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly freeBytes: number;
  /** What `auto` most probably comes to. */
  readonly auto: string;
  readonly gpus: readonly GpuUse[];
  /** What keeps them from being used. */
  readonly hindrances: readonly Hindrance[];
  /** What the trainers that run hold, by their runs, where the system tells. */
  readonly runs: Readonly<Record<string, RunUse>>;
}

/** Memory that a trainer holds. */
export interface RunUse {
  readonly residentBytes: number;
  /** On GPUs; undefined where nothing tells. */
  readonly gpuBytes: number | undefined;
}

/** A private training that is thought of. */
export interface PlanRequest {
  readonly examples: number;
  /** Expected, at most the examples. */
  readonly batchSize: number;
  readonly epochs: number;
  readonly delta: number | undefined;
  readonly goal:
    | { readonly kind: 'epsilon'; readonly epsilon: number }
    | { readonly kind: 'noise'; readonly noiseMultiplier: number };
  readonly accountant: AccountantName | undefined;
  /** What was released from the same data before, and counts with it. */
  readonly spent: readonly Phase[];
  /** The delta of a budget that the plan is to be held against, whatever its own is. */
  readonly budgetDelta?: number | undefined;
}

/** What it comes to. Infinite values are null. */
export interface PlannedPrivacy extends PrivateSchedule {
  readonly noiseMultiplier: number;
  readonly epsilon: number | null;
  readonly lower: number | null;
  /** Whose bound is reported. */
  readonly accountant: AccountantName;
  readonly prv: number | null;
  readonly rdp: number | null;
  /** What it comes to as a budget counts it: at the budget's delta, by the smaller bound. */
  readonly atBudget: { readonly delta: number; readonly epsilon: number | null } | null;
  /** The steps at which epochs end, some of them where there are many. */
  readonly epochEnds: readonly number[];
}

/** A curve of what a private run knows without noise. */
export interface LocalCurve {
  readonly metric: string;
  readonly step: Float64Array;
  readonly value: Float64Array;
  /** Points before thinning. */
  readonly total: number;
}

interface Operation<Input, Output> {
  readonly input: Input;
  readonly output: Output;
}

type In<T> = T & { readonly folder: string };

export interface Operations {
  readonly locate: Operation<
    In<{ readonly trusted: boolean }>,
    DatabaseLocation & { readonly runsFolder: string; readonly exists: boolean }
  >;
  /** Tells a watcher, whose name is its own alone, what changed since it looked last; all there is where another looked since. */
  readonly look: Operation<In<{ readonly watcher: string }>, Look>;
  /** Answers whether one was started: where one lives there is nothing to do. */
  readonly supervise: Operation<In<ProgramSettings & { readonly startsQueued: boolean }>, boolean>;
  readonly endSupervisor: Operation<string, boolean>;
  readonly inspect: Operation<{ readonly file: string; readonly text: string }, Inspection>;
  readonly submit: Operation<Submission, readonly string[]>;
  /** Waits until a run has written a checkpoint, and tells at which step. */
  readonly saveCheckpoint: Operation<In<{ readonly id: string }>, number>;
  readonly stop: Operation<In<{ readonly ids: readonly string[]; readonly force: boolean }>, undefined>;
  /** The budgets that a submission would exceed; nothing is made. */
  readonly budgetBreaches: Operation<Submission, readonly BudgetBreach[]>;
  /** Those of the runs whose holders cannot be seen from here. */
  readonly unseen: Operation<In<{ readonly ids: readonly string[] }>, readonly UnseenRun[]>;
  /** `givenUp`: runs with unseen holders whose trainers the user knows to be gone. */
  readonly resume: Operation<
    In<{ readonly ids: readonly string[]; readonly exceedsBudget?: boolean; readonly givenUp?: readonly string[] }>,
    undefined
  >;
  readonly resumeBreaches: Operation<In<{ readonly ids: readonly string[] }>, readonly BudgetBreach[]>;
  /** `givenUp` as with `resume`. */
  readonly remove: Operation<In<{ readonly ids: readonly string[]; readonly givenUp?: readonly string[] }>, undefined>;
  readonly mark: Operation<In<{ readonly ids: readonly string[]; readonly marks: readonly Untimed[] }>, undefined>;
  /** The configuration of a run as a person would write it, and the folder and name for its file. */
  readonly clone: Operation<
    In<{ readonly id: string }>,
    { readonly text: string; readonly folder: string; readonly name: string }
  >;
  readonly log: Operation<In<{ readonly id: string }>, RunLog>;
  readonly titles: Operation<undefined, Titles>;
  readonly catalogue: Operation<undefined, Catalogue>;
  readonly models: Operation<{ readonly folders: readonly string[] }, readonly ModelChoice[]>;
  readonly count: Operation<CountRequest, Counted>;
  readonly doctor: Operation<In<ProgramSettings>, Diagnosis>;
  /** Brings the runtime's CUDA provider into the user's own folder, which may take many minutes. */
  readonly installCuda: Operation<In<ProgramSettings>, CudaInstallation>;
  /** What a run's model says of texts: one a line, the second one of a pair behind a tab. */
  readonly predictTexts: Operation<
    In<ProgramSettings & { readonly id: string; readonly lines: string }>,
    PredictedTexts
  >;
  /** Predicts a file, or a split of the run's own data, and writes a file. */
  readonly predictInto: Operation<
    In<
      ProgramSettings & {
        readonly id: string;
        readonly from:
          { readonly kind: 'file'; readonly path: string } | { readonly kind: 'split'; readonly name: string };
        readonly output: string;
      }
    >,
    Predicted
  >;
  /** Writes a run's model, or its adapter for Hugging Face PEFT, into a folder that is not there yet, or is empty. */
  readonly exportModel: Operation<
    In<ProgramSettings & { readonly id: string; readonly target: string; readonly format: 'model' | 'peft' }>,
    ExportedModel
  >;
  /** The machine, and what the runs of these folders take of it. */
  readonly machine: Operation<readonly string[], Machine>;
  readonly diskUse: Operation<string, DiskUse>;
  readonly prune: Operation<In<{ readonly ids: readonly string[]; readonly keep: KeptCheckpoints }>, number>;
  readonly planPrivacy: Operation<PlanRequest, PlannedPrivacy>;
  /** A point of a curve of epsilon; null where it is infinite. */
  readonly sketchEpsilon: Operation<
    { readonly phases: readonly Phase[]; readonly delta: number; readonly accountant: AccountantName | undefined },
    number | null
  >;
  /** What was spent on each data set of a folder. */
  readonly dataSets: Operation<string, readonly BudgetStatement[]>;
  readonly runPrivacy: Operation<In<{ readonly id: string }>, RunPrivacy | undefined>;
  readonly localCurves: Operation<In<{ readonly id: string; readonly points: number }>, readonly LocalCurve[]>;
  readonly audit: Operation<In<{ readonly id: string }>, PrivacyAudit>;
  readonly render: Operation<
    Pick<ComparisonOptions, 'metric' | 'at'> &
      Pick<RenderOptions, 'parameters'> & {
        readonly rows: readonly ComparisonRow[];
        readonly format: ComparisonFormat;
      },
    string
  >;
}

export type OperationName = keyof Operations;

/** What the thread is started with. */
export interface WorkerSetting {
  /** The command line's program. */
  readonly program: string;
}

/** From the client to the thread. */
export type Request =
  | { readonly kind: 'ask'; readonly id: number; readonly operation: OperationName; readonly input: unknown }
  /** Nobody waits for the answer any longer; what was started for it is to end. */
  | { readonly kind: 'cancel'; readonly id: number };

export type Reply =
  | { readonly id: number; readonly kind: 'done'; readonly output: unknown }
  | { readonly id: number; readonly kind: 'failed'; readonly error: PortableError };
