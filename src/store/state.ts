import type { RunState } from '../runs/events.ts';
import { lifeOf, stateOf, type LastSegment } from '../runs/run-life.ts';
import { count, text, type Mark } from './records.ts';

/** What a person attached to a run, and who holds it. */
export interface MarkSummary {
  readonly tags: readonly string[];
  readonly note: string;
  readonly starred: boolean;
  readonly deleted: boolean;
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
  const tags = new Set(first.tags);
  let { note } = first;
  let [starred, deleted] = [false, false];
  let host: string | null = null;
  for (const { type, members } of marks) {
    if (type === 'tag' && typeof members.tag === 'string') tags.add(members.tag);
    else if (type === 'untag' && typeof members.tag === 'string') tags.delete(members.tag);
    else if (type === 'note') note = text(members.text) ?? note;
    else if (type === 'star') starred = members.on !== false;
    else if (type === 'deleted') deleted = true;
    else if (type === 'claimed') host = text(members.host) ?? host;
  }
  return { tags: [...tags], note, starred, deleted, host };
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
