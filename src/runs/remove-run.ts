import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { insistently } from '../engine/insistently.ts';
import { claimLease, leaseFile, releaseLease } from './lease.ts';
import { appendMarks } from './marks.ts';
import { keepAccount } from './privacy-accounts.ts';
import { cancelQueued, giveUp, settle, unseenAdvice } from './queue.ts';
import { runFolder } from './run-folder.ts';
import type { Workspace } from './run-folder.ts';
import { hasEnded, isUnseen, runState } from './run-state.ts';

export interface RemoveOptions {
  /** Also a run whose trainer is on a machine that cannot be seen from here: only a person can know that it is gone. */
  readonly force?: boolean;
}

/**
 * Deletes a run and all its files; one that waits is called off first.
 * @throws UserError when it runs
 */
export async function removeRun(
  workspace: Workspace,
  id: string,
  { force = false }: RemoveOptions = {},
): Promise<void> {
  const folder = runFolder(workspace, id);
  await cancelQueued(workspace, id);
  if (force && isUnseen(runState(folder))) giveUp(folder);
  const file = leaseFile(folder);
  // The claim keeps everyone else from starting it while it goes.
  const claim = claimLease(file, { role: 'trainer', tidy: true });
  const status = runState(folder);
  if (claim.kind === 'taken' || !hasEnded(status)) {
    if (claim.kind === 'held') releaseLease(file, claim.lease);
    throw new UserError(
      `the run ${id} is ${status.state}`,
      isUnseen(status) ? unseenAdvice(id) : 'Stop it before deleting it.',
    );
  }
  try {
    await keepAccount(workspace, id);
    appendMarks(folder, [{ type: 'deleted' }]);
    await settle(workspace, [id]);
  } catch (error) {
    releaseLease(file, claim.lease);
    throw error;
  }
  // Under another name it is gone at once, even where deleting takes long or is cut off.
  const leaving = join(workspace.runs, `.deleted-${id}`);
  insistently(() => renameSync(folder, leaving));
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
export async function removeRuns(
  workspace: Workspace,
  ids: readonly string[],
  options: RemoveOptions = {},
): Promise<void> {
  for (const id of ids) {
    const status = runState(runFolder(workspace, id));
    const { state } = status;
    if ((state !== 'running' && state !== 'starting') || (options.force === true && isUnseen(status))) continue;
    throw new UserError(
      `the run ${id} is ${state}`,
      isUnseen(status) ? unseenAdvice(id) : `Stop it first: peft-lab stop ${id.slice(-6)}.`,
    );
  }
  for (const id of ids) await removeRun(workspace, id, options);
  removeLeftovers(workspace);
}
