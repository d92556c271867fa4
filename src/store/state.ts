import { annotationsOf, type Annotations } from '../runs/annotations.ts';
import type { RunState } from '../runs/events.ts';
import { lifeOf, stateOf, type LastSegment } from '../runs/run-life.ts';
import { count, text, type Mark } from './records.ts';

/** What a person attached to a run, and who holds it. */
export interface MarkSummary extends Annotations {
  /** The machine of the last supervisor. */
  readonly host: string | null;
}

/** The newest segment of a journal. */
export interface LatestSegment extends LastSegment {
  /** When its newest event was written. */
  readonly lastAt: number;
}

/**
 * Folds the marks in the order in which they were written. Unknown types have no effect.
 * @param first the tags and the note of the configuration, which hold until a mark changes them
 */
export function summariseMarks(
  marks: readonly Mark[],
  first: { readonly tags: readonly string[]; readonly note: string },
): MarkSummary {
  const hosts = marks.flatMap(({ type, members }) => (type === 'claimed' ? (text(members.host) ?? []) : []));
  const said = marks.map(({ type, members: { tag, text: words, on } }) => ({ type, tag, text: words, on }));
  return { ...annotationsOf(said, first), host: hosts.at(-1) ?? null };
}

/**
 * The state that journal and marks tell, without the lease, which is no record: whoever was told to have the run is believed to have it
 * until it is marked interrupted, and what nothing is told of is believed to wait.
 */
export function deriveState(latest: LatestSegment | undefined, marks: readonly Mark[]): RunState {
  // Marks of the first versions name no segment.
  const life = lifeOf(marks, ({ members }) => count(members.segment) ?? 0);
  const isClaimed = life.claimedSegment !== undefined;
  const isHeld = !life.isInterrupted && (isClaimed || (!life.isQueued && latest !== undefined));
  const isUntold = !isClaimed && latest === undefined;
  return stateOf(
    { ...life, isQueued: life.isQueued || isUntold },
    latest,
    isHeld ? { role: 'trainer', segment: latest?.segment, isDead: false } : undefined,
  ).state;
}

/** When a run ended of which the journal does not tell the end. */
export function brokenOffAt(marks: readonly Mark[]): number | null {
  return marks.findLast(({ type }) => type === 'interrupted' || type === 'stop-asked')?.time ?? null;
}

/** Why the run was last marked interrupted. */
export function interruptionOf(marks: readonly Mark[]): string | null {
  return text(marks.findLast(({ type }) => type === 'interrupted')?.members.reason);
}
