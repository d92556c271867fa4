import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf, UserError } from '../base/errors.ts';
import { clearControl, wishStop } from './control.ts';
import { appendLines, DiskFullError, nonce, parseJson, readIfThere, writeAtomically } from './files.ts';
import { journalFile, nextSegment } from './journal.ts';
import { claimLease, leaseFile, leaseState, readLease, releaseLease } from './lease.ts';
import type { Lease } from './lease.ts';
import { appendMarks } from './marks.ts';
import { createRun, isRunId, listRuns, runFolder } from './run-folder.ts';
import type { NewRun, Workspace } from './run-folder.ts';
import { canResume, hasEnded, isLongSilent, isUnseen, runState } from './run-state.ts';
import type { RunStatus } from './run-state.ts';

/**
 * What waits and what occupies a device, in `queue.jsonl`: one JSON object a line. It gives the order and spares looking into every run;
 * the state of a run is always taken from the run's own files. All changes are made by the holder of the queue's lock.
 */

const queueLine = z.discriminatedUnion('type', [
  /** `device` is what {@link occupiedDevice} says. */
  z.object({ type: z.literal('enqueued'), time: z.number(), run: z.string(), device: z.string() }),
  z.object({ type: z.literal('claimed'), time: z.number(), run: z.string() }),
  z.object({ type: z.literal('removed'), time: z.number(), run: z.string() }),
]);

type QueueLine = z.output<typeof queueLine>;
type Untimed<L extends QueueLine = QueueLine> = L extends QueueLine ? Omit<L, 'time'> : never;

export interface QueueEntry {
  readonly run: string;
  readonly device: string;
  /** Whether a supervisor has taken it to start it. */
  readonly claimed: boolean;
}

/**
 * The device that a run occupies: the provider that its configuration asks for, and which of several GPUs, as `cuda:1`; the first has no
 * number. Each takes runs by itself.
 */
export function occupiedDevice({
  provider,
  index = 0,
}: {
  readonly provider: string;
  readonly index?: number | undefined;
}): string {
  return index === 0 ? provider : `${provider}:${index}`;
}

function queueFile(workspace: Workspace): string {
  return join(workspace.peft, 'queue.jsonl');
}

const parsedQueues = new Map<string, { readonly version: string; readonly entries: readonly QueueEntry[] }>();

/** The queue in its order: what waits, and what was claimed and is not known to have ended. */
export function readQueue(workspace: Workspace): readonly QueueEntry[] {
  const file = queueFile(workspace);
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  // Lines are only ever added, or the file replaced, so these tell one content from another.
  const version = stats === undefined ? 'none' : `${stats.ino} ${stats.size} ${stats.mtimeNs}`;
  const known = parsedQueues.get(file);
  if (known?.version === version) return known.entries;
  const entries = parseQueue(readIfThere(file) ?? '');
  parsedQueues.set(file, { version, entries });
  return entries;
}

function parseQueue(content: string): readonly QueueEntry[] {
  const entries = new Map<string, QueueEntry>();
  for (const text of content.split('\n')) {
    const parsed = queueLine.safeParse(parseJson(text));
    if (!parsed.success || !isRunId(parsed.data.run)) continue;
    const line = parsed.data;
    const known = entries.get(line.run);
    // What is queued again keeps the place it has.
    if (line.type === 'enqueued') entries.set(line.run, { run: line.run, device: line.device, claimed: false });
    else if (line.type === 'removed') entries.delete(line.run);
    else if (known !== undefined) entries.set(line.run, { ...known, claimed: true });
  }
  return [...entries.values()];
}

function append(workspace: Workspace, lines: readonly Untimed[]): void {
  const time = Date.now();
  appendLines(
    queueFile(workspace),
    lines.map((line) => ({ time, ...line })),
  );
}

const compactAboveBytes = 1 << 20;

/** Ends of runs pile up in the file; from time to time it is written anew without them. */
function compact(workspace: Workspace): void {
  const file = queueFile(workspace);
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size < compactAboveBytes) return;
  const time = Date.now();
  const lines = readQueue(workspace).flatMap(({ run, device, claimed }): readonly QueueLine[] => [
    { type: 'enqueued', time, run, device },
    ...(claimed ? [{ type: 'claimed', time, run } as const] : []),
  ]);
  const content = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  if (content.length < size / 2) writeAtomically(file, content);
}

/** Between 0 and 1, and another in each process. */
function chance(): number {
  return Number.parseInt(nonce().slice(0, 8), 16) / 0x100000000;
}

/** The lock is held for milliseconds. One that another machine has held for so long was left behind. */
const abandonedAfterMs = 60_000;
const lockPatienceMs = 30_000;

/**
 * Runs `change` while no one else changes the queue.
 * @throws UserError when the lock cannot be had
 */
export async function withQueue<T>(workspace: Workspace, change: () => T): Promise<T> {
  const file = join(workspace.peft, 'queue.lock.json');
  const begun = Date.now();
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 50)) {
    const seen = claimLease(file, { role: 'lock' });
    const claim =
      seen.kind === 'taken' && seen.state !== 'alive' && Date.now() - (seen.by?.claimed ?? Infinity) > abandonedAfterMs
        ? claimLease(file, { role: 'lock', force: true })
        : seen;
    if (claim.kind === 'held') {
      try {
        const result = change();
        compact(workspace);
        return result;
      } finally {
        releaseLease(file, claim.lease);
      }
    }
    if (Date.now() - begun > lockPatienceMs) {
      const holder = claim.by?.holder;
      throw new UserError(
        `the queue of ${workspace.folder} is locked${holder === undefined ? '' : ` by process ${holder.processId} on ${holder.host}`}`,
        `If that process no longer exists, remove ${file}.`,
      );
    }
    // Some chance keeps those that wait from always asking at the same moment.
    await delay(wait * (0.5 + chance()));
  }
}

/** So many new runs are made before the queue hears of them: the first can start while the last are being made. */
const submittedTogether = 50;

/**
 * Makes runs and puts them at the end of the queue, in their order.
 * @returns their ids
 * @throws UserError when one cannot be made; those before it are queued
 */
export async function submitRuns(workspace: Workspace, runs: readonly NewRun[]): Promise<readonly string[]> {
  const all: string[] = [];
  for (let from = 0; from < runs.length; from += submittedTogether) {
    const made: Untimed[] = [];
    try {
      for (const run of runs.slice(from, from + submittedTogether)) {
        const id = createRun(workspace, run);
        all.push(id);
        made.push({ type: 'enqueued', run: id, device: occupiedDevice(run.configuration.device) });
      }
    } finally {
      await withQueue(workspace, () => append(workspace, made));
    }
  }
  return all;
}

/** Declares a run dead whose trainer cannot be seen from here. Should it live after all, it ends when it notices. */
export function giveUp(folder: string): void {
  const claim = claimLease(leaseFile(folder), { role: 'trainer', tidy: true, force: true });
  if (claim.kind === 'taken') return;
  try {
    const host = claim.before?.holder.host ?? 'another machine';
    appendMarks(folder, [{ type: 'interrupted', reason: `given up by hand; its trainer was on ${host}` }]);
  } finally {
    releaseLease(leaseFile(folder), claim.lease);
  }
}

/** What a person may do about a run whose trainer cannot be seen from here. */
export function unseenAdvice(id: string): string {
  const short = id.slice(-6);
  return `Its trainer is on a machine that cannot be seen from here. If you know that it is dead: peft-lab resume --force ${short}, or rm --force ${short}.`;
}

/**
 * @param force also a run whose trainer is on a machine that cannot be seen from here
 * @throws UserError when the run cannot go on
 */
export function requireResumable(id: string, status: RunStatus, { force }: { readonly force: boolean }): void {
  if (canResume(status) || (force && isUnseen(status) && status.state !== 'finished')) return;
  throw new UserError(
    `the run ${id} cannot be resumed: it is ${status.state}`,
    status.state === 'finished'
      ? 'Start a new run with more epochs instead.'
      : isUnseen(status)
        ? unseenAdvice(id)
        : undefined,
  );
}

/**
 * Queues runs again that ended before they were finished, all of them or none; they go on from their last checkpoints.
 * @param force also runs whose trainer is on a machine that cannot be seen from here: only a person can know that it is gone
 * @throws UserError when one of them cannot go on
 */
export async function resumeRuns(
  workspace: Workspace,
  runs: readonly Pick<QueueEntry, 'run' | 'device'>[],
  { force = false }: { readonly force?: boolean } = {},
): Promise<void> {
  await withQueue(workspace, () => {
    const found = runs.map((each) => ({ ...each, folder: runFolder(workspace, each.run) }));
    for (const { run, folder } of found) requireResumable(run, runState(folder), { force });
    for (const { run, folder } of found) {
      if (force && isUnseen(runState(folder))) giveUp(folder);
      // Another may have been quicker, or the trainer have come to its end.
      requireResumable(run, runState(folder), { force: false });
    }
    for (const { run, device, folder } of found) {
      appendMarks(folder, [{ type: 'queued' }]);
      append(workspace, [{ type: 'enqueued', run, device }]);
    }
  });
}

/** As {@link resumeRuns}, of one run. */
export async function resumeRun(
  workspace: Workspace,
  run: string,
  device: string,
  options: { readonly force?: boolean } = {},
): Promise<void> {
  await resumeRuns(workspace, [{ run, device }], options);
}

/** Calls off a run that still waits. @returns false when it does not wait (any more) */
export async function cancelQueued(
  workspace: Workspace,
  id: string,
  by: 'user' | 'supervisor' = 'user',
): Promise<boolean> {
  const folder = runFolder(workspace, id);
  return withQueue(workspace, () => {
    if (runState(folder).state !== 'queued') return false;
    appendMarks(folder, [{ type: 'stop-asked', how: 'ask', by }]);
    // A trainer whose supervisor died before handing over may be about to begin all the same.
    wishStop(folder);
    append(workspace, [{ type: 'removed', run: id }]);
    return true;
  });
}

/** Takes runs out of the queue's account that have ended, unless they were queued again meanwhile. */
export async function settle(workspace: Workspace, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await withQueue(workspace, () => {
    const ended = ids.filter((run) => hasEnded(runState(runFolder(workspace, run))));
    append(
      workspace,
      ended.map((run) => ({ type: 'removed', run })),
    );
  });
}

/** Lets runs wait again that were claimed and never began. */
export async function requeue(
  workspace: Workspace,
  { run, device }: Pick<QueueEntry, 'run' | 'device'>,
): Promise<void> {
  await withQueue(workspace, () => {
    if (runState(runFolder(workspace, run)).state === 'queued') append(workspace, [{ type: 'enqueued', run, device }]);
  });
}

/** Told of a run whose files cannot be read or written; what was to be done with others is done. */
export type OnBadRun = (problem: unknown, run: string) => void;

/** What `work` comes to, or nothing where the run's own files stand against it. */
function unlessBad<T>(run: string, onBadRun: OnBadRun, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    // That concerns them all.
    if (error instanceof DiskFullError) throw error;
    const hint = 'Mend the folder, or delete it by hand.';
    onBadRun(new UserError(`its files cannot be read or written: ${messageOf(error)}`, hint, { cause: error }), run);
    return undefined;
  }
}

/**
 * Puts back what the queue lost sight of: runs that wait or run by their own files. For the start of a supervisor; looks at every run.
 * @param deviceOf the provider that a run's configuration asks for
 */
export async function repairQueue(
  workspace: Workspace,
  deviceOf: (folder: string) => string,
  onBadRun: OnBadRun = () => undefined,
): Promise<readonly string[]> {
  const known = new Set(readQueue(workspace).map(({ run }) => run));
  const suspects = listRuns(workspace).filter((id) => {
    if (known.has(id)) return false;
    const folder = runFolder(workspace, id);
    const exists = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;
    return unlessBad(id, onBadRun, () => exists(leaseFile(folder)) || !exists(journalFile(folder)));
  });
  if (suspects.length === 0) return [];
  return withQueue(workspace, () => {
    const present = new Set(readQueue(workspace).map(({ run }) => run));
    const lost: string[] = [];
    for (const run of suspects) {
      const folder = runFolder(workspace, run);
      const status = unlessBad(run, onBadRun, () => runState(folder));
      if (status === undefined || present.has(run)) continue;
      const { state, holder } = status;
      if (state !== 'queued' && holder === 'none') continue;
      append(workspace, [
        { type: 'enqueued', run, device: deviceOf(folder) },
        ...(state === 'queued' ? [] : [{ type: 'claimed', run } as const]),
      ]);
      lost.push(run);
    }
    return lost;
  });
}

/** How many runs a device takes at once. */
export interface Slots {
  /** By provider, for each of its GPUs; 1 where nothing is said. */
  readonly perDevice: Readonly<Record<string, number>>;
  /** What `auto` comes to on this machine. */
  readonly auto: string;
}

export interface ClaimedRun {
  readonly id: string;
  readonly folder: string;
  readonly device: string;
  readonly lease: Lease;
}

/** Claims a run that waits, holding the queue's lock. Nothing when it turns out not to wait, or to be another's. */
function claim(workspace: Workspace, { run, device }: QueueEntry, launcher: string): ClaimedRun | undefined {
  const folder = runFolder(workspace, run);
  const { state } = runState(folder);
  if (state !== 'queued') {
    append(workspace, [{ type: state === 'starting' || state === 'running' ? 'claimed' : 'removed', run }]);
    return undefined;
  }
  const claimed = claimLease(leaseFile(folder), { role: 'supervisor' });
  if (claimed.kind === 'taken') return undefined;
  try {
    clearControl(folder);
    appendMarks(folder, [{ type: 'claimed', segment: nextSegment(folder), launcher, host: hostname() }]);
    append(workspace, [{ type: 'claimed', run }]);
  } catch (error) {
    releaseLease(leaseFile(folder), claimed.lease);
    throw error;
  }
  return { id: run, folder, device, lease: claimed.lease };
}

/** The device that a queued run will most probably compute on. */
function likelyDevice({ auto }: Slots, device: string): string {
  return device === 'auto' ? auto : device;
}

/** How many runs a device takes at once. */
export function slotsOf(slots: Slots, device: string): number {
  return slots.perDevice[likelyDevice(slots, device).replace(/:\d+$/, '')] ?? 1;
}

/** Whether the holder of a claimed run is long silent on a machine that cannot be seen from here: it takes no slot any more. */
function holdsNothing(workspace: Workspace, { run }: QueueEntry): boolean {
  try {
    const lease = readLease(leaseFile(runFolder(workspace, run)));
    // Whether the process lives is asked last: on some systems that starts a program.
    return lease !== undefined && isLongSilent(lease.heartbeat) && isUnseen({ holder: leaseState(lease) });
  } catch {
    return false;
  }
}

/**
 * Claims the first run that waits for a device with a free slot. Its lease is then this process's, to be handed to the trainer. Runs whose
 * files cannot be written are passed over.
 * @throws DiskFullError
 */
export async function claimNext(
  workspace: Workspace,
  slots: Slots,
  launcher: string,
  onBadRun: OnBadRun = () => undefined,
): Promise<ClaimedRun | undefined> {
  const free = (entries: readonly QueueEntry[]): ReadonlySet<string> => {
    const devices = new Set(entries.map(({ device }) => likelyDevice(slots, device)));
    return new Set(
      [...devices].filter((device) => {
        const claimed = entries.filter((entry) => entry.claimed && likelyDevice(slots, entry.device) === device);
        const limit = slotsOf(slots, device);
        if (claimed.length < limit) return true;
        return claimed.filter((entry) => !holdsNothing(workspace, entry)).length < limit;
      }),
    );
  };
  const ready = (entries: readonly QueueEntry[]): readonly QueueEntry[] => {
    if (entries.every(({ claimed }) => claimed)) return [];
    const open = free(entries);
    return entries.filter((entry) => !entry.claimed && open.has(likelyDevice(slots, entry.device)));
  };
  // Most of the time there is nothing to do, and that can be seen without the lock.
  if (ready(readQueue(workspace)).length === 0) return undefined;
  return withQueue(workspace, () => {
    const tried = new Set<string>();
    for (;;) {
      const next = ready(readQueue(workspace)).find(({ run }) => !tried.has(run));
      if (next === undefined) return undefined;
      tried.add(next.run);
      const claimed = unlessBad(next.run, onBadRun, () => claim(workspace, next, launcher));
      if (claimed !== undefined) return claimed;
    }
  });
}
