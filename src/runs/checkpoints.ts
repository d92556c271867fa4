import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileError } from '../base/errors.ts';
import { readCheckpointStep } from '../engine/checkpoint-file.ts';
import { claimLease, leaseFile, releaseLease } from './lease.ts';
import { listRuns, runFolder, type Workspace } from './run-folder.ts';
import { runState } from './run-state.ts';

/** Which checkpoints of a finished run are kept: all, the best alone (the last where there is no best), or none. */
export const keptCheckpoints = ['all', 'best', 'none'] as const;

export type KeptCheckpoints = (typeof keptCheckpoints)[number];

const folderName = 'checkpoints';

/** Which of a run's checkpoints: that of its best score, or the one that it resumes from. */
export type CheckpointKind = 'best' | 'last';

/** A checkpoint's file, relative to the run's folder, with forward slashes. */
export function checkpointPath(kind: CheckpointKind): string {
  return `${folderName}/${kind}.safetensors`;
}

/** The step of a run's last checkpoint; nothing where there is none that can be read. */
export async function lastCheckpointStep(folder: string): Promise<number | undefined> {
  const file = join(folder, checkpointPath('last'));
  if (!existsSync(file)) return undefined;
  try {
    return await readCheckpointStep(file);
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

/**
 * Removes what trainers that were killed while they wrote a checkpoint left beside it, each as large as one. Only the holder of the run's
 * lease may do this.
 */
export function removeUnfinishedCheckpoints(folder: string): void {
  const place = join(folder, folderName);
  if (!existsSync(place)) return;
  for (const name of readdirSync(place))
    if (name.endsWith('.tmp')) rmSync(join(place, name), { recursive: true, force: true });
}

/** Bytes of the files below a folder; 0 where there is none. */
function bytesBelow(folder: string): number {
  let bytes = 0;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) bytes += bytesBelow(join(folder, entry.name));
      else bytes += statSync(join(folder, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    // Gone while we looked.
  }
  return bytes;
}

export interface DiskUse {
  readonly runs: number;
  /** Of everything below `.peft`. */
  readonly bytes: number;
  readonly checkpointBytes: number;
}

/** What a workspace's runs take on the disk. */
export function diskUse(workspace: Workspace): DiskUse {
  const ids = listRuns(workspace);
  return {
    runs: ids.length,
    bytes: bytesBelow(workspace.peft),
    checkpointBytes: ids.reduce((sum, id) => sum + bytesBelow(join(runFolder(workspace, id), folderName)), 0),
  };
}

/**
 * Deletes the checkpoints of a finished run that are not to be kept. Runs that have not finished keep theirs: they may be resumed.
 * @returns the bytes that were freed
 */
export function pruneCheckpoints(workspace: Workspace, id: string, keep: KeptCheckpoints): number {
  if (keep === 'all') return 0;
  const folder = runFolder(workspace, id);
  if (runState(folder).state !== 'finished') return 0;
  // Nobody takes the run up while its files go.
  const claim = claimLease(leaseFile(folder), { role: 'trainer', tidy: true });
  if (claim.kind === 'taken') return 0;
  try {
    const place = join(folder, folderName);
    const files = readdirSync(place);
    const best = files.filter((name) => name.startsWith('best.'));
    const kept = keep === 'none' ? [] : best.length > 0 ? best : files;
    let freed = 0;
    for (const name of files.filter((file) => !kept.includes(file))) {
      freed += statSync(join(place, name), { throwIfNoEntry: false })?.size ?? 0;
      rmSync(join(place, name), { recursive: true, force: true });
    }
    return freed;
  } catch {
    return 0;
  } finally {
    releaseLease(leaseFile(folder), claim.lease);
  }
}
