import type { RunState } from './events.ts';
import { journalEnd } from './journal.ts';
import type { JournalEnd } from './journal.ts';
import { leaseFile, leaseState, readLease } from './lease.ts';
import type { Lease, LeaseState } from './lease.ts';
import { readMarks } from './marks.ts';
import type { Mark } from './marks.ts';

/** What the files of a run say. */
export interface RunFacts {
  readonly journal: JournalEnd | undefined;
  readonly marks: readonly Mark[];
  readonly lease: { readonly lease: Lease; readonly state: LeaseState } | undefined;
}

export interface RunStatus {
  readonly state: RunState;
  /** Why it failed or was interrupted, where that is known. */
  readonly reason?: string;
  /** A trainer had it and is gone without having written how the run ended. */
  readonly brokeOff: boolean;
  /** A stop was asked for in the run's present or last life. */
  readonly stopAsked: boolean;
  /** `other-host` and `unknown`: the trainer cannot be seen from here and is believed to run. */
  readonly holder: LeaseState | 'none';
  /** When its holder last showed that it lives. */
  readonly heartbeat?: number;
}

type MarkOf<T extends Mark['type']> = Extract<Mark, { type: T }>;

/** The marks of the run's present life: since it was last queued. */
export function marksOfThisLife(marks: readonly Mark[]): readonly Mark[] {
  const begin = marks.findLastIndex(({ type }) => type === 'queued');
  return marks.slice(Math.max(begin, 0));
}

function lastOf<T extends Mark['type']>(marks: readonly Mark[], type: T): MarkOf<T> | undefined {
  return marks.findLast((mark): mark is MarkOf<T> => mark.type === type);
}

function interruption(marks: readonly Mark[]): string {
  return lastOf(marks, 'interrupted')?.reason ?? 'the trainer is gone and did not say why';
}

/** How a life that is over ended, by the journal where it tells. */
function outcome(
  journal: JournalEnd | undefined,
  marks: readonly Mark[],
  stopAsked: boolean,
): Pick<RunStatus, 'state' | 'reason' | 'brokeOff'> {
  if (journal?.terminal?.type === 'failed')
    return { state: 'failed', reason: journal.terminal.message, brokeOff: false };
  if (journal?.terminal !== undefined) return { state: journal.terminal.type, brokeOff: false };
  if (stopAsked) return { state: 'stopped', brokeOff: true };
  return { state: 'interrupted', reason: interruption(marks), brokeOff: true };
}

/**
 * The state of a run, from its files alone. The journal has the first word on how a run ended; the lease says whether someone has it now;
 * marks tell what neither can: that it waits, that it was to stop, why it broke off.
 */
export function deriveState({ journal, marks, lease }: RunFacts): RunStatus {
  const life = marksOfThisLife(marks);
  const claimed = lastOf(life, 'claimed');
  const stopAsked = life.some(({ type }) => type === 'stop-asked');
  // What an earlier life wrote says nothing of this one.
  const ownJournal =
    journal !== undefined &&
    (life[0]?.type !== 'queued' || (claimed !== undefined && journal.segment >= claimed.segment))
      ? journal
      : undefined;
  const common = {
    stopAsked,
    holder: lease?.state ?? ('none' as const),
    ...(lease === undefined ? {} : { heartbeat: lease.lease.heartbeat }),
  };

  if (ownJournal?.terminal !== undefined) return { ...outcome(ownJournal, life, stopAsked), ...common };
  if (lease !== undefined && lease.state !== 'dead') {
    const writing =
      lease.lease.role === 'trainer' && ownJournal?.began === true && ownJournal.segment === lease.lease.segment;
    return { state: writing ? 'running' : 'starting', brokeOff: false, ...common };
  }
  // A dead trainer's lease may be of the life before, when a full disk kept everyone from giving it back.
  const trainerGone = lease?.lease.role === 'trainer' && (claimed !== undefined || life[0]?.type !== 'queued');
  const over = ownJournal !== undefined || trainerGone || life.some(({ type }) => type === 'interrupted');
  if (over) return { ...outcome(ownJournal, life, stopAsked), ...common };
  // Nobody trained in this life. Called off, it leaves the run as the life before it did.
  if (stopAsked) return { ...outcome(journal, marks, true), brokeOff: false, ...common };
  if (life[0]?.type !== 'queued') return { ...outcome(undefined, life, stopAsked), ...common };
  // A supervisor that died before its trainer took over leaves a run that still waits.
  if (claimed === undefined || lease !== undefined) return { state: 'queued', brokeOff: false, ...common };
  return { ...outcome(undefined, life, stopAsked), ...common };
}

/** Reads what {@link deriveState} needs; of the journal only its end. */
export function runFacts(folder: string): RunFacts {
  const file = leaseFile(folder);
  for (let attempt = 1; ; attempt++) {
    // The lease first: a trainer that ends writes its journal before it gives the lease back.
    const lease = readLease(file);
    const state = lease === undefined ? undefined : lease.tidy === true ? 'dead' : leaseState(lease);
    const facts: RunFacts = {
      lease: lease === undefined || state === undefined ? undefined : { lease, state },
      journal: journalEnd(folder),
      marks: readMarks(folder),
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
