import { cut, duration, percent } from '../base/format.ts';
import { isRecord } from '../base/is-record.ts';
import type { RunStatus } from '../runs/run-state.ts';
import type { RunSummary } from './summaries.ts';

function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!isRecord(value)) return JSON.stringify(value);
  const { id, ...others } = value;
  const options = Object.entries(others).map(([key, each]) => `${key}=${valueText(each)}`);
  const name = typeof id === 'string' ? id : '';
  return options.length === 0 && name !== '' ? name : `${name}(${options.join(' ')})`;
}

/** `slash(dimension=64) seed=0`: what tells a run from the others of its sweep, as short as it can be told. */
export function labelLine(label: RunSummary['label']): string {
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
export function title(run: Pick<RunSummary, 'name' | 'label'>): string {
  return [run.name ?? '', labelLine(run.label)].filter((part) => part !== '').join(' · ');
}

/** How far a run is, or how it ended, in a few words. */
export function progress(run: RunSummary): string {
  const { state, step, totalSteps, remainingMs, failure } = run;
  const at = step === null || totalSteps === null ? '' : `step ${step} of ${totalSteps}`;
  if (failure?.kind === 'unreadable') return cut(failure.message?.split('\n')[0] ?? '', 80);
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

/** A row with the state that a look at the run's processes told. */
export function withStatus<R extends RunSummary>(run: R, { state, reason }: Pick<RunStatus, 'state' | 'reason'>): R {
  if (state === run.state) return run;
  const failure = state === 'interrupted' ? { kind: 'interrupted', message: reason ?? null } : run.failure;
  return { ...run, state, failure, remainingMs: state === 'running' ? run.remainingMs : null };
}
