import { join } from 'node:path';
import { findRun, readEnvironment, type Workspace } from '../runs/run-folder.ts';
import type { RunSummary } from '../store/summaries.ts';

/** A run as the command line shows it: what the database knows, with the state that it is in at this moment. */
export interface ListedRun extends RunSummary {
  readonly folder: string;
}

/** The label of a run's folder; none where it can't be read. */
export function labelOf(folder: string): RunSummary['label'] {
  try {
    return readEnvironment(folder).origin?.label ?? {};
  } catch {
    // A damaged file is told of by `show`; here it only costs the label.
    return {};
  }
}

export function listed(workspace: Workspace, run: RunSummary): ListedRun {
  return { ...run, folder: join(workspace.runs, run.id) };
}

/** The runs that people mean by these texts, each once, in their order. @throws UserError where one is none or several */
export function findRuns(workspace: Workspace, texts: readonly string[]): readonly string[] {
  return [...new Set(texts.map((text) => findRun(workspace, text)))];
}
