import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FileError } from '../base/errors.ts';
import { checkPhase, type Phase } from '../privacy/mechanism.ts';
import { sampleFolder } from '../tasks/sample-data.ts';
import { findTask } from '../tasks/registry.ts';
import { lastCheckpointStep } from './checkpoints.ts';
import { journalEvent, type JournalEvent, type RunState } from './events.ts';
import { appendLines, isMissing, parseJson, readIfThere } from './files.ts';
import { journalFile } from './journal.ts';
import { releasedSteps, releasesOf } from './released-steps.ts';
import type { EventOf } from './replay.ts';
import { listRuns, readRecordedConfiguration, runFolder, type Workspace } from './run-folder.ts';
import { hasEnded, runState } from './run-state.ts';

/** What each private run of a project has released, or may still release, from which data. */

export type Ledger = EventOf<'privacy'>;

/** `deleted`: the run is gone, what it released is not. */
export type AccountState = RunState | 'deleted';

export interface RunAccount {
  readonly run: string;
  readonly state: AccountState;
  /** Where its training data lay: a folder or a file. */
  readonly place: string | undefined;
  /** What tells its training data from others; empty where nothing was recorded. */
  readonly trainingData: readonly string[];
  /** All its steps under its noise; undefined while nothing is known of them: the run waits, or ended before it began. */
  readonly phase: Phase | undefined;
  /** Whether the phase counts what was released, or what a run under way may come to. */
  readonly counted: 'released' | 'planned';
  /** The epsilon that its noise was calibrated to, and the delta that this is meant at. */
  readonly target: number | undefined;
  readonly delta: number | undefined;
  /** The number of its training examples. */
  readonly examples: number | undefined;
}

/** A run of the project that has begun and is not private. */
export interface OpenRun {
  readonly run: string;
  readonly place: string | undefined;
}

export interface ProjectAccounts {
  readonly runs: readonly RunAccount[];
  readonly open: readonly OpenRun[];
}

/** Events beside steps that tell how far a run came, or under which noise. As an event says of itself; in a message the quotes would be escaped. */
const accounted = /"type":"(?:privacy|started|evaluation|checkpoint|finished|stopped|failed)"/;

/** What of a journal the account needs, without reading each of its thousands of steps as an event. */
function accountedEvents(text: string): readonly JournalEvent[] {
  const events: JournalEvent[] = [];
  // Of the steps between two other events the last one counts; a crash may have cut its line, and then the one before it does.
  let steps: readonly string[] = [];
  const parsed = (line: string): readonly JournalEvent[] => {
    const event = journalEvent.safeParse(parseJson(line));
    return event.success ? [event.data] : [];
  };
  const takeSteps = (): void => {
    events.push(...steps.flatMap(parsed).slice(-1));
    steps = [];
  };
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? text.length : end);
    start = end < 0 ? text.length : end + 1;
    if (line.includes('"type":"step"')) steps = [...steps.slice(-1), line];
    else if (accounted.test(line)) {
      takeSteps();
      events.push(...parsed(line));
    }
  }
  takeSteps();
  return events;
}

const known = new Map<string, { readonly seen: string; readonly events: readonly JournalEvent[] }>();

function eventsOf(folder: string): readonly JournalEvent[] {
  const file = journalFile(folder);
  const { size, mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
  const seen = `${size} ${mtimeMs}`;
  const before = known.get(file);
  if (before?.seen === seen) return before.events;
  const events = size === 0 ? [] : accountedEvents(readFileSync(file, 'utf8'));
  known.set(file, { seen, events });
  return events;
}

/** Nothing bounds what so many steps released. */
function unbounded(steps: number): Phase {
  return { samplingRate: 1, noiseMultiplier: 0, steps };
}

/**
 * What a ledger and so many steps come to. It hides nothing where draws and noise come from a known seed, or where the ledger was edited and
 * says what no mechanism can have.
 */
function phaseOf({ samplingRate, noiseMultiplier, insecure }: Ledger, steps: number): Phase {
  const phase = { samplingRate, noiseMultiplier: insecure ? 0 : noiseMultiplier, steps };
  try {
    checkPhase(phase);
    return phase;
  } catch (error) {
    if (error instanceof RangeError) return unbounded(steps);
    throw error;
  }
}

/** The place of a configuration's training data, as far as every version writes it. */
export function placeOfData(task: { readonly id: string; readonly [key: string]: unknown }): string | undefined {
  const { data } = task;
  if (typeof data === 'string') return data;
  if (typeof data === 'object' && data !== null && 'train' in data)
    return typeof data.train === 'string' ? data.train : undefined;
  try {
    return sampleFolder(findTask(task.id));
  } catch {
    // A task of another version.
    return undefined;
  }
}

async function accountOf(folder: string, run: string, place: string | undefined): Promise<RunAccount> {
  // Before the journal, which tells of a step before there is a checkpoint of it.
  const reached = await lastCheckpointStep(folder);
  const events = eventsOf(folder);
  const { state } = runState(folder);
  const ledger = events.findLast((event) => event.type === 'privacy');
  const ended = hasEnded({ state });
  const released = releasedSteps(releasesOf(events), reached);
  const base = { run, state, place, trainingData: ledger?.trainingData ?? [] };
  if (ledger === undefined)
    return {
      ...base,
      // A trainer writes its ledger before its first step, so that this one was lost.
      phase: released === 0 ? undefined : unbounded(released),
      counted: ended ? 'released' : 'planned',
      target: undefined,
      delta: undefined,
      examples: undefined,
    };
  const steps = ended ? released : Math.max(released, ledger.plannedSteps + ledger.repeatedSteps);
  return {
    ...base,
    phase: phaseOf(ledger, steps),
    counted: ended ? 'released' : 'planned',
    target: ledger.targetEpsilon,
    delta: ledger.delta,
    examples: ledger.examples,
  };
}

const removedRun = z.object({
  run: z.string(),
  place: z.string().optional(),
  trainingData: z.array(z.string()),
  samplingRate: z.number(),
  noiseMultiplier: z.number(),
  steps: z.int().nonnegative(),
  delta: z.number().optional(),
  targetEpsilon: z.number().optional(),
});

function removedFile({ peft }: Workspace): string {
  return join(peft, 'removed-private-runs.jsonl');
}

/** Keeps what a private run has released before its folder is deleted: deleting a record takes nothing back. */
export async function keepAccount(workspace: Workspace, run: string): Promise<void> {
  const folder = runFolder(workspace, run);
  const data = dataOf(folder);
  if (!data.isPrivate) return;
  const { place, trainingData, phase, target, delta } = await accountOf(folder, run, data.place);
  if (phase === undefined || phase.steps === 0) return;
  appendLines(removedFile(workspace), [
    { run, place, trainingData, ...phase, delta, ...(target === undefined ? {} : { targetEpsilon: target }) },
  ]);
}

/** @param there the runs that have not been deleted @throws FileError where a line cannot be read: what that run released is not known */
function removedAccounts(workspace: Workspace, there: ReadonlySet<string>): readonly RunAccount[] {
  const file = removedFile(workspace);
  const lines = (readIfThere(file) ?? '').split('\n');
  const found = new Map<string, RunAccount>();
  const unread: { readonly line: number; readonly run: string | undefined }[] = [];
  for (const [index, line] of lines.entries()) {
    const parsed = removedRun.safeParse(parseJson(line));
    if (!parsed.success) {
      if (line.trim() !== '') unread.push({ line: index + 1, run: /^\{"run":"([^"]+)"/.exec(line)?.[1] });
      continue;
    }
    const { run, place, trainingData, samplingRate, noiseMultiplier, steps, delta, targetEpsilon } = parsed.data;
    found.set(run, {
      run,
      state: 'deleted',
      place,
      trainingData,
      phase: { samplingRate, noiseMultiplier, steps },
      counted: 'released',
      target: targetEpsilon,
      delta,
      examples: undefined,
    });
  }
  // A deletion that was cut off inside its line left the run, or has deleted it since with a line of its own.
  const lost = unread.find(({ run }) => run === undefined || (!there.has(run) && !found.has(run)));
  if (lost !== undefined)
    throw new FileError(
      file,
      lost.line,
      'this line is damaged, so that nothing tells what a deleted private run has released',
      'Restore the file. Whoever deletes the line drops that run from what was spent.',
    );
  return [...found.values()].filter(({ run }) => !there.has(run));
}

interface RunData {
  readonly isPrivate: boolean;
  readonly place: string | undefined;
}

const configured = new Map<string, RunData>();

/** What a run's configuration says, which never changes; where it cannot be read, what its journal shows. */
function dataOf(folder: string): RunData {
  const before = configured.get(folder);
  if (before !== undefined) return before;
  try {
    const { privacy, task } = readRecordedConfiguration(folder);
    const data = { isPrivate: privacy !== undefined, place: placeOfData(task) };
    configured.set(folder, data);
    return data;
  } catch {
    return { isPrivate: readIfThere(journalFile(folder))?.includes('"type":"privacy"') === true, place: undefined };
  }
}

/**
 * What all runs of a project, deleted ones included, have released or may still release. Nothing bounds a private run whose ledger is damaged.
 * @throws FileError where what was kept of a deleted run is damaged
 */
export async function projectAccounts(workspace: Workspace): Promise<ProjectAccounts> {
  const runs: RunAccount[] = [];
  const open: OpenRun[] = [];
  for (const run of listRuns(workspace)) {
    const folder = runFolder(workspace, run);
    try {
      const data = dataOf(folder);
      if (data.isPrivate) runs.push(await accountOf(folder, run, data.place));
      else if ((statSync(journalFile(folder), { throwIfNoEntry: false })?.size ?? 0) > 0)
        open.push({ run, place: data.place });
    } catch (error) {
      // Of a run that was deleted meanwhile, an account is among those of deleted runs.
      if (!isMissing(error)) throw error;
    }
  }
  return { runs: [...removedAccounts(workspace, new Set(runs.map(({ run }) => run))), ...runs], open };
}
