import type { RunState } from './events.ts';
import type { Lease } from './lease.ts';

/**
 * The one rule for the state of a run. Whoever has its files asks with its lease (run-state.ts); the database, which keeps no leases,
 * believes that a trainer lives until it is marked interrupted (store/state.ts).
 */

/** What the marks say of a run's present life: since it was last queued. */
export interface RunLife {
  /** False where it was started by hand, or the mark is lost. */
  readonly isQueued: boolean;
  /** The segment that its trainer was to write; undefined while nobody has claimed it. */
  readonly claimedSegment: number | undefined;
  readonly stopAsked: boolean;
  readonly isInterrupted: boolean;
}

/** The newest segment of a run's journal. */
export interface LastSegment {
  readonly segment: number;
  /** Whether training began in it: an event beyond logs was written. */
  readonly began: boolean;
  /** How it ended, by its last terminal event. */
  readonly ending: 'finished' | 'stopped' | 'failed' | undefined;
}

/** Who has the run. */
export interface RunHolder extends Pick<Lease, 'role' | 'segment'> {
  readonly isDead: boolean;
}

export interface LifeState {
  readonly state: RunState;
  /** A trainer had it and is gone without having written how the run ended. */
  readonly brokeOff: boolean;
}

/** The marks of the run's present life. */
export function marksOfThisLife<M extends { readonly type: string }>(marks: readonly M[]): readonly M[] {
  const begin = marks.findLastIndex(({ type }) => type === 'queued');
  return marks.slice(Math.max(begin, 0));
}

/**
 * Folds the marks of the run's present life.
 * @param claimed the segment that a mark of type `claimed` names
 */
export function lifeOf<M extends { readonly type: string }>(
  marks: readonly M[],
  claimed: (mark: M) => number | undefined,
): RunLife {
  const life = marksOfThisLife(marks);
  const claim = life.findLast(({ type }) => type === 'claimed');
  return {
    isQueued: life[0]?.type === 'queued',
    claimedSegment: claim === undefined ? undefined : claimed(claim),
    stopAsked: life.some(({ type }) => type === 'stop-asked'),
    isInterrupted: life.some(({ type }) => type === 'interrupted'),
  };
}

/**
 * The state of a run. The journal has the first word on how a run ended; its holder says whether someone has it now; marks tell what
 * neither can: that it waits, that it was to stop, that it broke off.
 */
export function stateOf(life: RunLife, journal: LastSegment | undefined, holder: RunHolder | undefined): LifeState {
  const { isQueued, claimedSegment, stopAsked, isInterrupted } = life;
  const isClaimed = claimedSegment !== undefined;
  // What an earlier life wrote says nothing of this one.
  const isOwn = journal !== undefined && (!isQueued || (isClaimed && journal.segment >= claimedSegment));
  if (isOwn && journal.ending !== undefined) return { state: journal.ending, brokeOff: false };
  if (holder?.isDead === false) {
    const writes = holder.role === 'trainer' && isOwn && journal.began && journal.segment === holder.segment;
    return { state: writes ? 'running' : 'starting', brokeOff: false };
  }
  const brokenOff = { state: stopAsked ? 'stopped' : 'interrupted', brokeOff: true } as const;
  // A dead trainer's lease may be of the life before, when a full disk kept everyone from giving it back.
  const trainerGone = holder?.role === 'trainer' && (isClaimed || !isQueued);
  if (isOwn || trainerGone || isInterrupted) return brokenOff;
  // Nobody trained in this life. Called off, it leaves the run as the life before it did.
  if (stopAsked) return { state: journal?.ending ?? 'stopped', brokeOff: false };
  // A power cut may take the mark of a new run, which is not waited for on the disk; of one that anybody began something else tells.
  const isNew = !isQueued && !isClaimed && journal === undefined;
  // A supervisor that died before its trainer took over leaves a run that still waits.
  const waits = isNew || (isQueued && (!isClaimed || holder !== undefined));
  return waits ? { state: 'queued', brokeOff: false } : brokenOff;
}
