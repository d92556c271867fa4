import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { claimLease, leaseFile, releaseLease } from './lease.ts';
import { appendMarks } from './marks.ts';
import { keepAccount } from './privacy-accounts.ts';
import { cancelQueued, settle } from './queue.ts';
import { runFolder } from './run-folder.ts';
import type { Workspace } from './run-folder.ts';
import { hasEnded, runState } from './run-state.ts';

/**
 * Deletes a run and all its files; one that waits is called off first.
 * @throws UserError when it runs
 */
export async function removeRun(workspace: Workspace, id: string): Promise<void> {
  const folder = runFolder(workspace, id);
  await cancelQueued(workspace, id);
  const file = leaseFile(folder);
  // The claim keeps everyone else from starting it while it goes.
  const claim = claimLease(file, { role: 'trainer', tidy: true });
  const { state } = runState(folder);
  if (claim.kind === 'taken' || !hasEnded({ state })) {
    if (claim.kind === 'held') releaseLease(file, claim.lease);
    throw new UserError(`the run ${id} is ${state}`, 'Stop it before deleting it.');
  }
  try {
    keepAccount(workspace, id);
    appendMarks(folder, [{ type: 'deleted' }]);
    await settle(workspace, [id]);
  } catch (error) {
    releaseLease(file, claim.lease);
    throw error;
  }
  // Under another name it is gone at once, even where deleting takes long or is cut off.
  const leaving = join(workspace.runs, `.deleted-${id}`);
  renameSync(folder, leaving);
  rmSync(leaving, { recursive: true, force: true, maxRetries: 3 });
}

/** A deletion that was cut off has taken the run away already; this takes the rest of its files. */
function removeLeftovers(workspace: Workspace): void {
  for (const name of readdirSync(workspace.runs))
    if (name.startsWith('.deleted-'))
      rmSync(join(workspace.runs, name), { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Deletes runs with all their files.
 * @throws UserError where one of them runs; then none is deleted
 */
export async function removeRuns(workspace: Workspace, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { state } = runState(runFolder(workspace, id));
    if (state === 'running' || state === 'starting')
      throw new UserError(`the run ${id} is ${state}`, `Stop it first: peft-lab stop ${id.slice(-6)}.`);
  }
  for (const id of ids) await removeRun(workspace, id);
  removeLeftovers(workspace);
}
