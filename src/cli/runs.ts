import { join } from 'node:path';
import { findRun, isRunId, readEnvironment, runFolder, type Workspace } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import type { RunSummary } from '../store/queries.ts';
import { cut, duration, percent } from './output.ts';

/** A run as the command line shows it: what the database knows, with the state that it is in at this moment. */
export interface ListedRun extends RunSummary {
  /** What tells it from the other runs of its sweep, by dotted path. */
  readonly label: Readonly<Record<string, unknown>>;
  readonly folder: string;
}

/** The label of a run's folder; none where it can't be read. */
export function labelOf(folder: string): Readonly<Record<string, unknown>> {
  try {
    return readEnvironment(folder).origin?.label ?? {};
  } catch {
    // A damaged file is told of by `show`; here it only costs the label.
    return {};
  }
}

/** The database believes that a trainer lives until someone says that it died; here the processes are asked. */
export function withPresentState<R extends RunSummary>(workspace: Workspace, run: R): R {
  if (run.state !== 'starting' && run.state !== 'running' && run.state !== 'queued') return run;
  // Someone may have put a folder of another name there.
  if (!isRunId(run.id)) return run;
  const { state, reason } = runState(runFolder(workspace, run.id));
  if (state === run.state) return run;
  const failure = state === 'interrupted' ? { kind: 'interrupted', message: reason ?? null } : run.failure;
  return { ...run, state, failure, remainingMs: state === 'running' ? run.remainingMs : null };
}

export function listed(workspace: Workspace, run: RunSummary): ListedRun {
  const folder = join(workspace.runs, run.id);
  return { ...run, label: labelOf(folder), folder };
}

/** The runs that people mean by these texts, each once, in their order. @throws UserError where one is none or several */
export function findRuns(workspace: Workspace, texts: readonly string[]): readonly string[] {
  return [...new Set(texts.map((text) => findRun(workspace, text)))];
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value);
  const { id, ...others } = value as Readonly<Record<string, unknown>>;
  const options = Object.entries(others).map(([key, each]) => `${key}=${valueText(each)}`);
  const name = typeof id === 'string' ? id : '';
  return options.length === 0 && name !== '' ? name : `${name}(${options.join(' ')})`;
}

/** `slash(dimension=64) seed=0`: what tells a run from the others of its sweep, as short as it can be told. */
export function labelLine(label: ListedRun['label']): string {
  const lastOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
  const paths = Object.keys(label);
  return Object.entries(label)
    .map(([path, value]) => {
      if (path === 'method' || path === 'task') return valueText(value);
      const isAlone = paths.every((other) => other === path || lastOf(other) !== lastOf(path));
      return `${isAlone ? lastOf(path) : path}=${valueText(value)}`;
    })
    .join(' ');
}

/** Name and label in one line. */
export function title(run: Pick<ListedRun, 'name' | 'label'>): string {
  return [run.name ?? '', labelLine(run.label)].filter((part) => part !== '').join(' · ');
}

/** How far a run is, or how it ended, in a few words. */
export function progress(run: RunSummary): string {
  const { state, step, totalSteps, remainingMs, failure } = run;
  const at = step === null || totalSteps === null ? '' : `step ${step} of ${totalSteps}`;
  switch (state) {
    case 'queued':
      return 'waits';
    case 'starting':
      return 'prepares';
    case 'running': {
      const done = step === null || totalSteps === null ? 'begins' : percent(step, totalSteps).replace(/\.\d+/, '');
      return remainingMs === null ? done : `${done}, ${duration(remainingMs)} left`;
    }
    case 'finished':
      return run.trainSeconds === null ? '' : `in ${duration(run.trainSeconds * 1000)}`;
    case 'stopped':
      return at === '' ? 'before its first step' : `at ${at}`;
    case 'failed':
    case 'interrupted': {
      const reason = failure?.message?.split('\n')[0] ?? '';
      return [at === '' ? '' : `at ${at}`, cut(reason, 80)].filter((part) => part !== '').join(': ');
    }
  }
}
