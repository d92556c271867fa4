import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { findRun, readEnvironment, runFolder, type Workspace } from '../runs/run-folder.ts';
import type { RunDetail } from '../store/run-detail.ts';
import type { Store } from '../store/store.ts';
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

/** A run of the database with the folder that holds its files. */
export function listed(workspace: Workspace, run: RunSummary): ListedRun {
  return { ...run, folder: join(workspace.runs, run.id) };
}

/** The runs that people mean by these texts, each once, in their order. @throws UserError where one is none or several */
export function findRuns(workspace: Workspace, texts: readonly string[]): readonly string[] {
  return [...new Set(texts.map((text) => findRun(workspace, text)))];
}

/** All that the database knows of a run but its curves. @throws UserError where its folder holds none */
export async function detailOf(store: Store, workspace: Workspace, id: string): Promise<RunDetail> {
  const found = await store.show(id);
  if (found !== undefined) return found;
  throw new UserError(
    `${runFolder(workspace, id)} holds no run`,
    'It was removed meanwhile, or its files were; an empty folder can be deleted.',
  );
}
