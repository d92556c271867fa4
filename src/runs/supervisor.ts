import { existsSync } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import { awaitEnd } from './await-end.ts';
import { wishStop } from './control.ts';
import { claimLease, leaseFile, releaseLease } from './lease.ts';
import type { Launcher } from './launcher.ts';
import { appendMarks } from './marks.ts';
import { cancelQueued, claimNext, occupiedDevice, readQueue, repairQueue, requeue, settle, slotsOf } from './queue.ts';
import type { ClaimedRun, QueueEntry, Slots } from './queue.ts';
import { readRecordedConfiguration, runFolder } from './run-folder.ts';
import type { Workspace } from './run-folder.ts';
import { marksOfThisLife } from './run-life.ts';
import { deriveState, hasEnded, runFacts, runState } from './run-state.ts';
import type { RunFacts, RunStatus } from './run-state.ts';
import {
  cancelTrainer,
  endLingering,
  handleOf,
  markOf,
  pressToStop,
  type Patience,
  type TrainerControl,
} from './stop-trainer.ts';
import { launchStatus, recordInterruption } from './trainer-end.ts';

export interface SupervisorOptions {
  readonly workspace: Workspace;
  readonly launcher: Launcher;
  readonly slots?: Partial<Slots>;
  readonly patience?: Partial<Patience>;
  readonly pollMs?: number;
  /** Whether runs that wait are started; a supervisor that only stops or waits for runs leaves them. */
  readonly startsQueued?: boolean;
  /** Told of what goes wrong beside the runs themselves, such as a full disk; supervision goes on. */
  readonly onProblem?: (problem: unknown, run: string | undefined) => void;
}

export interface Supervisor {
  /** Adopts what runs, then starts what waits and looks after it until {@link Supervisor.close}. */
  start(): void;
  /** One round of that. Rounds never overlap. */
  round(): Promise<void>;
  /**
   * Ends a run: one that waits is called off, one that runs is asked to write a checkpoint and stop, and made to if it does not.
   * @param force kill it at once
   * @throws UserError when it has ended already
   */
  stop(run: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Waits until a run has ended and its process is gone. */
  ended(run: string, signal?: AbortSignal): Promise<RunStatus>;
  /** Tells of every change of a run's state. @returns a function that ends this */
  subscribe(listener: (run: string, status: RunStatus) => void): () => void;
  /** Stops looking after runs. They go on; another supervisor can adopt them. */
  close(): Promise<void>;
}

const usualPatience: Patience = { terminateAfterMs: 30_000, killAfterMs: 10_000, lingerMs: 15_000 };

/** The device that a run's configuration asks for; a damaged run will say so itself when it is started. */
function deviceOf(folder: string): string {
  try {
    return occupiedDevice(readRecordedConfiguration(folder).device);
  } catch {
    return 'auto';
  }
}

/** Asks a run to stop without waiting for it. @throws UserError when it has ended already */
export async function requestStop(workspace: Workspace, run: string): Promise<void> {
  const folder = runFolder(workspace, run);
  if (await cancelQueued(workspace, run)) return;
  const { state } = runState(folder);
  if (hasEnded({ state })) throw new UserError(`the run ${run} has ended already: it is ${state}`);
  appendMarks(folder, [{ type: 'stop-asked', how: 'ask', by: 'user' }]);
  wishStop(folder);
}

/**
 * Supervises a workspace's queue: starts what waits as devices have slots, ends what was asked to stop, records what died. Several may do
 * so at once.
 */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { workspace, launcher, pollMs = 500, startsQueued = true, onProblem } = options;
  const slots: Slots = { perDevice: {}, auto: 'cpu', ...options.slots };
  const control: TrainerControl = { launcher, patience: { ...usualPatience, ...options.patience } };
  /** Runs that this supervisor handed to the launcher and whose trainer has not taken over the lease. */
  const handedOver = new Map<string, { readonly claimed: ClaimedRun; readonly handle: unknown }>();
  const shown = new Map<string, string>();
  const listeners = new Set<(run: string, status: RunStatus) => void>();
  let running = false;
  let woken = false;
  let repaired = false;
  let timer: NodeJS.Timeout | undefined;
  let current: Promise<void> | undefined;

  function problem(error: unknown, run: string | undefined): void {
    onProblem?.(error, run);
  }

  function show(run: string, status: RunStatus): void {
    const text = JSON.stringify([status.state, status.reason, status.stopAsked, status.holder]);
    if (shown.get(run) === text) return;
    shown.set(run, text);
    for (const listener of listeners) listener(run, status);
  }

  /** Settles a run that nobody alive holds. @returns whether it is over */
  async function tidyUp(entry: QueueEntry, folder: string, before: RunFacts): Promise<boolean> {
    const role = before.lease?.lease.role ?? 'trainer';
    const claim = claimLease(leaseFile(folder), { role, tidy: true });
    if (claim.kind === 'taken') return false;
    try {
      const facts = runFacts(folder);
      const status = deriveState(facts);
      const life = marksOfThisLife(facts.marks);
      if (status.state === 'queued') {
        appendMarks(folder, [{ type: 'queued' }]);
        await requeue(workspace, entry);
        return false;
      }
      const handle = handleOf(launcher, life);
      // What the trainer started may have outlived it.
      if (handle !== undefined) await launcher.cancel(handle, 'kill');
      if (status.brokeOff && markOf(life, 'interrupted') === undefined)
        await recordInterruption(launcher, handle, folder);
      return true;
    } finally {
      releaseLease(leaseFile(folder), claim.lease);
    }
  }

  /** A trainer of ours that has not taken over yet: has it, or has it died? @returns whether the run is over */
  async function watchStart(run: string, facts: RunFacts): Promise<boolean> {
    const started = handedOver.get(run);
    if (started === undefined || facts.lease?.lease.nonce !== started.claimed.lease.nonce) return false;
    const { claimed, handle } = started;
    if ((await launchStatus(launcher, handle))?.state !== 'ended') {
      await pressToStop(control, claimed.folder, facts);
      return false;
    }
    // It may have taken over and ended between our looking at the lease and at the process.
    const lease = claimLease(leaseFile(claimed.folder), { role: 'supervisor', from: claimed.lease.nonce });
    handedOver.delete(run);
    if (lease.kind === 'taken') return false;
    try {
      await recordInterruption(launcher, handle, claimed.folder);
    } finally {
      releaseLease(leaseFile(claimed.folder), lease.lease);
    }
    return true;
  }

  /** Looks after one claimed run. @returns whether it is over and its device free */
  async function watch(entry: QueueEntry): Promise<boolean> {
    const folder = runFolder(workspace, entry.run);
    if (!existsSync(folder)) {
      // Deleted by hand: nothing is left to be recorded. A trainer that lives ends when it misses its lease.
      const started = handedOver.get(entry.run);
      handedOver.delete(entry.run);
      if (started !== undefined) await launcher.cancel(started.handle, 'kill');
      return true;
    }
    const facts = runFacts(folder);
    const status = deriveState(facts);
    show(entry.run, status);
    const { lease } = facts;
    if (lease?.lease.role === 'trainer') handedOver.delete(entry.run);
    if (lease === undefined) {
      if (status.state === 'queued') await requeue(workspace, entry);
      const told = !status.brokeOff || markOf(marksOfThisLife(facts.marks), 'interrupted') !== undefined;
      return told ? hasEnded(status) : tidyUp(entry, folder, facts);
    }
    if (lease.state === 'dead') return tidyUp(entry, folder, facts);
    if (lease.state === 'other-host') return false;
    if (lease.lease.role === 'supervisor') return watchStart(entry.run, facts);
    await (hasEnded(status) ? endLingering(control, facts) : pressToStop(control, folder, facts));
    return false;
  }

  async function launch(claimed: ClaimedRun): Promise<void> {
    const { folder, lease, id } = claimed;
    const sharers = slotsOf(slots, claimed.device);
    try {
      const handle = await launcher.submit({ folder, lease: lease.nonce, sharers });
      handedOver.set(id, { claimed, handle });
      // What waits behind it need not wait for the next round.
      void launcher.ended?.(handle)?.then(wake, wake);
      appendMarks(folder, [{ type: 'submitted', launcher: launcher.id, handle }]);
    } catch (error) {
      problem(error, id);
      if (handedOver.has(id)) return; // It is started; only the mark is missing.
      try {
        appendMarks(folder, [{ type: 'interrupted', reason: messageOf(error) }]);
      } finally {
        releaseLease(leaseFile(folder), lease);
      }
    }
  }

  async function oneRound(): Promise<void> {
    if (!repaired) {
      await repairQueue(workspace, deviceOf, problem);
      repaired = true;
    }
    const ended: string[] = [];
    for (const entry of readQueue(workspace)) {
      if (!entry.claimed) continue;
      try {
        if (await watch(entry)) ended.push(entry.run);
      } catch (error) {
        problem(error, entry.run);
      }
    }
    await settle(workspace, ended);
    for (const run of ended) show(run, runState(runFolder(workspace, run)));
    while (startsQueued) {
      const claimed = await claimNext(workspace, slots, launcher.id, problem);
      if (claimed === undefined) break;
      await launch(claimed);
      show(claimed.id, runState(claimed.folder));
    }
  }

  function round(): Promise<void> {
    current ??= oneRound().finally(() => {
      current = undefined;
    });
    return current;
  }

  function loop(): void {
    timer = undefined;
    if (!running) return;
    woken = false;
    round()
      .catch((error: unknown) => problem(error, undefined))
      .finally(() => {
        if (running) timer = setTimeout(loop, woken ? 0 : pollMs);
      });
  }

  /** Looks at once, or once more after the round that is under way. */
  function wake(): void {
    woken = true;
    if (timer === undefined) return;
    clearTimeout(timer);
    loop();
  }

  async function stop(run: string, { force = false } = {}): Promise<void> {
    const folder = runFolder(workspace, run);
    await requestStop(workspace, run);
    if (force && !hasEnded(runState(folder))) {
      appendMarks(folder, [{ type: 'stop-asked', how: 'kill', by: 'user' }]);
      await cancelTrainer(launcher, runFacts(folder), 'kill');
    }
    show(run, runState(folder));
  }

  return {
    start: () => {
      if (running) return;
      running = true;
      loop();
    },
    round,
    stop,
    ended: (run, signal) =>
      awaitEnd(runFolder(workspace, run), {
        pollMs: Math.min(pollMs, 200),
        isSupervised: () => running,
        signal,
      }),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      running = false;
      clearTimeout(timer);
      await current?.catch(() => undefined);
    },
  };
}
