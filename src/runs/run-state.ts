import { existsSync } from 'node:fs';
import { journalEnd } from './journal.ts';
import type { JournalEnd } from './journal.ts';
import { leaseFile, leaseState, readLease } from './lease.ts';
import type { Lease, LeaseState } from './lease.ts';
import { readMarks } from './marks.ts';
import type { Mark } from './marks.ts';
import { lifeOf, marksOfThisLife, stateOf, type LifeState } from './run-life.ts';

/** What the files of a run say. */
export interface RunFacts {
  readonly journal: JournalEnd | undefined;
  readonly marks: readonly Mark[];
  readonly lease: { readonly lease: Lease; readonly state: LeaseState } | undefined;
  /** The run's folder was removed. */
  readonly isGone?: boolean;
}

export interface RunStatus extends LifeState {
  /** Why it failed or was interrupted, where that is known. */
  readonly reason?: string;
  /** A stop was asked for in the run's present or last life. */
  readonly stopAsked: boolean;
  /** `other-host` and `unknown`: the trainer cannot be seen from here and is believed to run. */
  readonly holder: LeaseState | 'none';
  /** When its holder last showed that it lives. */
  readonly heartbeat?: number;
}

function interruption(marks: readonly Mark[]): string {
  const last = marksOfThisLife(marks).findLast((mark) => mark.type === 'interrupted');
  return last?.reason ?? 'the trainer is gone and did not say why';
}

/** The state of a run, from its files alone, by the rule of run-life.ts. */
export function deriveState({ journal, marks, lease, isGone = false }: RunFacts): RunStatus {
  // Without it a run that was removed would look like one whose marks a power cut took, which waits.
  if (isGone)
    return {
      state: 'interrupted',
      reason: "the run's folder is gone",
      brokeOff: true,
      stopAsked: false,
      holder: 'none',
    };
  const life = lifeOf(marks, (mark) => (mark.type === 'claimed' ? mark.segment : undefined));
  const { state, brokeOff } = stateOf(
    life,
    journal === undefined ? undefined : { ...journal, ending: journal.terminal?.type },
    lease === undefined ? undefined : { ...lease.lease, isDead: lease.state === 'dead' },
  );
  const reason =
    state === 'interrupted'
      ? interruption(marks)
      : state === 'failed' && journal?.terminal?.type === 'failed'
        ? journal.terminal.message
        : undefined;
  return {
    state,
    ...(reason === undefined ? {} : { reason }),
    brokeOff,
    stopAsked: life.stopAsked,
    holder: lease?.state ?? 'none',
    ...(lease === undefined ? {} : { heartbeat: lease.lease.heartbeat }),
  };
}

/** Reads what {@link deriveState} needs; of the journal only its end. */
export function runFacts(folder: string): RunFacts {
  const file = leaseFile(folder);
  for (let attempt = 1; ; attempt++) {
    // The lease first: a trainer that ends writes its journal before it gives the lease back.
    const lease = readLease(file);
    const state = lease === undefined ? undefined : lease.tidy === true ? 'dead' : leaseState(lease);
    const marks = readMarks(folder);
    const facts: RunFacts = {
      lease: lease === undefined || state === undefined ? undefined : { lease, state },
      journal: journalEnd(folder),
      marks,
      ...(marks.length === 0 && !existsSync(folder) ? { isGone: true } : {}),
    };
    // If it changed hands meanwhile, what was read belongs to two different moments.
    if (readLease(file)?.nonce === lease?.nonce || attempt === 5) return facts;
  }
}

/** The state of a run, from its files alone. */
export function runState(folder: string): RunStatus {
  return deriveState(runFacts(folder));
}

/** Whether someone holds the run who cannot be seen from here, so that only a person can know whether the trainer lives. */
export function isUnseen({ holder }: Pick<RunStatus, 'holder'>): boolean {
  return holder === 'other-host' || holder === 'unknown';
}

/** Who holds a run and cannot be seen from here. Times are milliseconds since 1970, by the holder's clock. */
export interface UnseenHolder {
  readonly host: string;
  /** Since when it holds the run. */
  readonly claimed: number;
  /** When it last showed that it lives. */
  readonly heartbeat: number;
}

/** Who holds the run where only a person can know whether the trainer lives; nothing for any other run. */
export function unseenHolder(folder: string): UnseenHolder | undefined {
  const { lease } = runFacts(folder);
  if (lease === undefined || !isUnseen({ holder: lease.state })) return undefined;
  const { holder, claimed, heartbeat } = lease.lease;
  return { host: holder.host, claimed, heartbeat };
}

/** A trainer shows every few seconds that it lives. After so long its machine is lost rather than slow, or its clock far off. */
const lostAfterMs = 10 * 60_000;

/** Whether a holder has shown no life for so long that, where it cannot be seen, it is taken for lost. It may live all the same. */
export function isLongSilent(heartbeat: number, now = Date.now()): boolean {
  return now - heartbeat > lostAfterMs;
}

/** Whether the run is over; it may still be resumed. */
export function hasEnded({ state }: Pick<RunStatus, 'state'>): boolean {
  return state === 'finished' || canResume({ state });
}

/** Whether a run in this state can be queued again, to go on from its last checkpoint. */
export function canResume({ state }: Pick<RunStatus, 'state'>): boolean {
  return state === 'interrupted' || state === 'stopped' || state === 'failed';
}
