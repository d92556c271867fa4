import { existsSync } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import { wishStop } from './control.ts';
import { claimLease, leaseFile, releaseLease } from './lease.ts';
import type { Launcher, LaunchStatus } from './launcher.ts';
import { appendMarks } from './marks.ts';
import type { Mark } from './marks.ts';
import { signalGroup } from './process-identity.ts';
import { cancelQueued, claimNext, occupiedDevice, readQueue, repairQueue, requeue, settle, slotsOf } from './queue.ts';
import type { ClaimedRun, QueueEntry, Slots } from './queue.ts';
import { readRecordedConfiguration, runFolder } from './run-folder.ts';
import type { Workspace } from './run-folder.ts';
import { marksOfThisLife } from './run-life.ts';
import { deriveState, hasEnded, runFacts, runState } from './run-state.ts';
import type { RunFacts, RunStatus } from './run-state.ts';

/** How long a run that was asked to stop is left in peace before the next, harsher step. */
export interface Patience {
  /** From the wish to SIGTERM; a checkpoint has to fit in. */
  readonly terminateAfterMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly killAfterMs: number;
  /** From the end of a run, as its journal tells it, to SIGTERM for a process that does not go; as long again to SIGKILL. */
  readonly lingerMs: number;
}

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

const nativeCrash = 'outside of JavaScript, in the runtime or a driver; peft-lab doctor tries them';
const missingInstructions = 'a library uses instructions that this processor lacks; peft-lab doctor tries them';

/** What signals of a crash mean, and exit codes of Windows (NTSTATUS). JavaScript itself causes none of them. */
const crashes: Readonly<Record<string, string>> = {
  SIGSEGV: nativeCrash,
  SIGBUS: nativeCrash,
  SIGFPE: nativeCrash,
  SIGILL: missingInstructions,
  '0xC0000005': nativeCrash,
  '0xC0000374': nativeCrash,
  '0xC000001D': missingInstructions,
  '0xC0000017': 'there was no memory left',
  '0xC000012D': 'there was no memory left',
};

/** The least exit code by which Windows tells of a crash. */
const LEAST_CRASH = 0xc0000000;

/** How a trainer ended whose run did not. */
export function describeEnd(status: LaunchStatus | undefined): string {
  if (status === undefined || status.state !== 'ended') return 'the trainer is gone';
  const { signal, exitCode } = status;
  if (signal === 'SIGKILL') return 'the trainer was killed by SIGKILL, perhaps for want of memory';
  const code =
    exitCode !== undefined && exitCode >= LEAST_CRASH ? `0x${exitCode.toString(16).toUpperCase()}` : undefined;
  const crash = crashes[signal ?? code ?? ''];
  if (crash !== undefined) return `the trainer crashed (${signal ?? code ?? ''}): ${crash}`;
  if (signal !== undefined) return `the trainer was killed by ${signal}`;
  if (status.exitCode !== undefined) return `the trainer ended with exit code ${status.exitCode} before its run did`;
  return status.detail ?? 'the trainer is gone; it was killed, or crashed';
}

/** The line of a crash's output that says most: the error itself rather than its stack. */
function telling(output: string | undefined): string | undefined {
  const lines = (output ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^Node\.js v\d/.test(line));
  return lines.findLast((line) => /^(\w*Error( \[\w+\])?|FATAL ERROR|fatal): /i.test(line)) ?? lines.at(-1);
}

function markOf<T extends Mark['type']>(marks: readonly Mark[], type: T): Extract<Mark, { type: T }> | undefined {
  return marks.findLast((mark): mark is Extract<Mark, { type: T }> => mark.type === type);
}

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
  const patience: Patience = { terminateAfterMs: 30_000, killAfterMs: 10_000, lingerMs: 15_000, ...options.patience };
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

  function handleOf(marks: readonly Mark[]): unknown {
    const submitted = markOf(marks, 'submitted');
    return submitted?.launcher === launcher.id ? submitted.handle : undefined;
  }

  async function endOf(handle: unknown): Promise<LaunchStatus | undefined> {
    return handle === undefined ? undefined : (await launcher.poll([handle]))[0];
  }

  async function recordInterruption(folder: string, handle: unknown): Promise<void> {
    const status = await endOf(handle);
    const output = launcher.output(handle, folder);
    const line = telling(output);
    appendMarks(folder, [
      {
        type: 'interrupted',
        reason: `${describeEnd(status)}${line === undefined ? '' : `: ${line}`}`,
        ...(status?.state === 'ended' && status.exitCode !== undefined ? { exitCode: status.exitCode } : {}),
        ...(status?.state === 'ended' && status.signal !== undefined ? { signal: status.signal } : {}),
        ...(output === undefined ? {} : { output }),
      },
    ]);
  }

  /** Signals everything that belongs to a run's trainer. */
  async function cancel({ lease, marks }: RunFacts, how: 'terminate' | 'kill'): Promise<void> {
    const handle = handleOf(marksOfThisLife(marks));
    if (handle !== undefined) await launcher.cancel(handle, how);
    else if (lease?.lease.role === 'trainer') signalGroup(lease.lease.holder, how);
  }

  /** The next step against a run that was asked to stop and has not, when its time has come. */
  async function press(folder: string, facts: RunFacts): Promise<void> {
    const stops = marksOfThisLife(facts.marks).filter((mark) => mark.type === 'stop-asked');
    const timeOf = (how: 'ask' | 'terminate' | 'kill'): number | undefined =>
      stops.find((mark) => mark.how === how)?.time;
    const [asked, terminated, killed] = [timeOf('ask'), timeOf('terminate'), timeOf('kill')];
    const now = Date.now();
    if (killed !== undefined) {
      if (now - killed > patience.killAfterMs) await cancel(facts, 'kill');
    } else if (terminated !== undefined) {
      if (now - terminated <= patience.killAfterMs) return;
      appendMarks(folder, [{ type: 'stop-asked', how: 'kill', by: 'supervisor' }]);
      await cancel(facts, 'kill');
    } else if (asked !== undefined && now - asked > patience.terminateAfterMs) {
      appendMarks(folder, [{ type: 'stop-asked', how: 'terminate', by: 'supervisor' }]);
      await cancel(facts, 'terminate');
    }
  }

  /** A run whose result is written but whose process stays would hold its device for ever. */
  async function endLingering(facts: RunFacts): Promise<void> {
    const since = Date.now() - (facts.journal?.time ?? Date.now());
    if (since > patience.lingerMs) await cancel(facts, since > 2 * patience.lingerMs ? 'kill' : 'terminate');
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
      const handle = handleOf(life);
      // What the trainer started may have outlived it.
      if (handle !== undefined) await launcher.cancel(handle, 'kill');
      if (status.brokeOff && markOf(life, 'interrupted') === undefined) await recordInterruption(folder, handle);
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
    if ((await endOf(handle))?.state !== 'ended') {
      await press(claimed.folder, facts);
      return false;
    }
    // It may have taken over and ended between our looking at the lease and at the process.
    const lease = claimLease(leaseFile(claimed.folder), { role: 'supervisor', from: claimed.lease.nonce });
    handedOver.delete(run);
    if (lease.kind === 'taken') return false;
    try {
      await recordInterruption(claimed.folder, handle);
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
    await (hasEnded(status) ? endLingering(facts) : press(folder, facts));
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
      await cancel(runFacts(folder), 'kill');
    }
    show(run, runState(folder));
  }

  function ended(run: string, signal?: AbortSignal): Promise<RunStatus> {
    const folder = runFolder(workspace, run);
    return new Promise((resolve, reject) => {
      let poll: NodeJS.Timeout | undefined;
      const abandon = (): void => {
        clearTimeout(poll);
        reject(signal?.reason instanceof Error ? signal.reason : new Error('no longer waited for'));
      };
      const look = (): void => {
        try {
          const status = runState(folder);
          // A dead holder's end is still to be recorded, where that is done here.
          if (hasEnded(status) && (status.holder === 'none' || (status.holder === 'dead' && !running))) {
            signal?.removeEventListener('abort', abandon);
            resolve(status);
          } else poll = setTimeout(look, Math.min(pollMs, 200));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      signal?.addEventListener('abort', abandon, { once: true });
      if (signal?.aborted === true) abandon();
      else look();
    });
  }

  return {
    start: () => {
      if (running) return;
      running = true;
      loop();
    },
    round,
    stop,
    ended,
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
