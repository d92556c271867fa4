import { isRunId, runFolder, type Workspace } from '../runs/run-folder.ts';
import { runState, type RunStatus } from '../runs/run-state.ts';
import type { RunSummary } from './queries.ts';

/** A row with the state that a look at the run's processes told. */
export function withStatus<R extends RunSummary>(run: R, { state, reason }: Pick<RunStatus, 'state' | 'reason'>): R {
  if (state === run.state) return run;
  const failure = state === 'interrupted' ? { kind: 'interrupted', message: reason ?? null } : run.failure;
  return { ...run, state, failure, remainingMs: state === 'running' ? run.remainingMs : null };
}

/** The database believes that a trainer lives until someone says that it died; here the processes are asked. */
export function withPresentState<R extends RunSummary>(workspace: Workspace, run: R): R {
  if (run.state !== 'starting' && run.state !== 'running' && run.state !== 'queued') return run;
  // Someone may have put a folder of another name there.
  if (!isRunId(run.id)) return run;
  return withStatus(run, runState(runFolder(workspace, run.id)));
}
