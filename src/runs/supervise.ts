import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asDiskFull } from './files.ts';
import { claimLease, leaseState, readLease, releaseLease, renewLease, type Lease } from './lease.ts';
import { librarySearchPath } from './library-path.ts';
import { programEnvironment, type NodeBinary } from './node-binary.ts';
import { signalGroup } from './process-identity.ts';
import { readQueue } from './queue.ts';
import type { Workspace } from './run-folder.ts';
import { createSupervisor, type SupervisorOptions } from './supervisor.ts';

/**
 * A supervisor in a process of its own, which outlives whoever started it. One for a workspace is enough, so each holds a lease
 * (`supervisor.json`) while it works; should there be two all the same, they do no harm.
 */

function supervisorLease(workspace: Workspace): string {
  return join(workspace.peft, 'supervisor.json');
}

/** The lease of the detached supervisor that looks after the workspace now, or nothing where there is none on this machine. */
export function livingSupervisor(workspace: Workspace): Lease | undefined {
  const lease = readLease(supervisorLease(workspace));
  if (lease === undefined) return undefined;
  const state = leaseState(lease);
  return state === 'alive' || state === 'unknown' ? lease : undefined;
}

export interface SuperviseOptions extends SupervisorOptions {
  /** Ends it early; what runs goes on. */
  readonly signal?: AbortSignal;
  /** The trainer's program: without it (an update removed it) nothing can be started, and a newer supervisor should take over. */
  readonly entry: string;
}

const renewEveryMs = 5000;
const lookEveryMs = 1000;

/** Works while `pending` says that there is something to do. @returns whether its place was taken away from it */
async function workUnderLease(
  options: SuperviseOptions,
  lease: Lease | undefined,
  pending: () => boolean,
): Promise<boolean> {
  const file = supervisorLease(options.workspace);
  const supervisor = createSupervisor(options);
  let renewed = Date.now();
  supervisor.start();
  try {
    do {
      await delay(lookEveryMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      );
      if (lease !== undefined && Date.now() - renewed > renewEveryMs) {
        renewed = Date.now();
        if (!renewLease(file, lease)) return true;
      }
    } while (pending());
    return false;
  } finally {
    await supervisor.close();
    if (lease !== undefined) releaseLease(file, lease);
  }
}

/**
 * Looks after the queue until nothing waits or runs (with `startsQueued: false`: until nothing runs), or until its lease is taken away. While
 * another supervisor of this machine does, it waits for that one's end.
 */
export async function superviseUntilIdle(options: SuperviseOptions): Promise<void> {
  const { workspace, startsQueued = true, signal, entry } = options;
  const pending = (): boolean =>
    signal?.aborted !== true &&
    existsSync(entry) &&
    readQueue(workspace).some(({ claimed }) => claimed || startsQueued);
  let first = true;
  while (first || pending()) {
    first = false;
    const claim = claimLease(supervisorLease(workspace), { role: 'lock' });
    // Of another machine's nobody here can tell whether it lives.
    if (claim.kind === 'taken' && claim.state !== 'other-host') await delay(lookEveryMs);
    else if (await workUnderLease(options, claim.kind === 'held' ? claim.lease : undefined, pending)) return;
  }
}

/** Ends the workspace's detached supervisor, so that another can take its place; what runs goes on. */
export function endSupervisor(workspace: Workspace): boolean {
  const lease = livingSupervisor(workspace);
  if (lease === undefined) return false;
  // Windows has no signal that asks: there it ends when it finds its lease gone.
  if (!signalGroup(lease.holder, 'terminate')) releaseLease(supervisorLease(workspace), lease);
  return true;
}

export interface SupervisorProgram {
  readonly node: NodeBinary;
  /** The command line's program. */
  readonly entry: string;
  /** The Node for trainers, where the user chose one. */
  readonly nodePath?: string | undefined;
  /** Where it and its trainers look for shared libraries first. */
  readonly libraryFolders?: readonly string[];
  readonly slots?: Readonly<Record<string, number>>;
  readonly startsQueued?: boolean;
}

/**
 * Starts `peft-lab supervise` and leaves it behind; what it has to tell goes to `supervisor.log`.
 * @throws DiskFullError
 */
export function startSupervisor(workspace: Workspace, program: SupervisorProgram): void {
  const { node, entry, nodePath, libraryFolders = [], slots = {}, startsQueued = true } = program;
  let log: number;
  try {
    log = openSync(join(workspace.peft, 'supervisor.log'), 'a');
  } catch (error) {
    throw asDiskFull(error, workspace.peft);
  }
  try {
    const child = spawn(
      node.path,
      [
        ...[entry, '--folder', workspace.folder, 'supervise'],
        ...(nodePath === undefined || nodePath === '' ? [] : ['--node', nodePath]),
        ...Object.entries(slots).flatMap(([device, count]) => ['--slots', `${device}=${count}`]),
        ...(startsQueued ? [] : ['--adopt']),
      ],
      {
        detached: true,
        stdio: ['ignore', log, log],
        windowsHide: true,
        env: programEnvironment(node, librarySearchPath(libraryFolders)),
      },
    );
    // A program that can't be started shows in that nothing takes the lease.
    child.on('error', () => undefined);
    child.unref();
  } finally {
    closeSync(log);
  }
}
