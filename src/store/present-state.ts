import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Workspace } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import type { RunSummary } from './summaries.ts';
import { isRunId } from './run-folder.ts';
import { withStatus } from './run-text.ts';

/** The database believes that a trainer lives until someone says that it died; here the processes are asked. */
export function withPresentState<R extends RunSummary>(workspace: Workspace, run: R): R {
  if (run.state !== 'starting' && run.state !== 'running' && run.state !== 'queued') return run;
  if (!isRunId(run.id)) return run;
  try {
    return withStatus(run, runState(join(workspace.runs, run.id)));
  } catch (error) {
    // One damaged run must not hide the others.
    return { ...run, failure: { kind: 'unreadable', message: `its files cannot be read: ${messageOf(error)}` } };
  }
}
