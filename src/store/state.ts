import type { RunState } from '../runs/events.ts';
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
export interface LatestSegment {
  readonly segment: number;
  /** When its newest event was written. */
  readonly lastAt: number;
  /** Whether training began in it: an event beyond logs was written. */
  readonly began: boolean;
  /** How it ended, by its last terminal event. */
  readonly ending: 'finished' | 'stopped' | 'failed' | undefined;
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

/** The marks of the run's present life: since it was last queued. */
function marksOfThisLife(marks: readonly Mark[]): readonly Mark[] {
  return marks.slice(
    Math.max(
      marks.findLastIndex(({ type }) => type === 'queued'),
      0,
    ),
  );
}

/**
 * The state that journal and marks tell, as runs/run-state.ts derives it, but without the lease, which is no record: a trainer is
 * believed to live until it is marked interrupted. A terminal event decides for the life that it belongs to.
 */
export function deriveState(latest: LatestSegment | undefined, marks: readonly Mark[]): RunState {
  const life = marksOfThisLife(marks);
  const claim = life.findLast(({ type }) => type === 'claimed');
  const stopAsked = life.some(({ type }) => type === 'stop-asked');
  // What an earlier life wrote says nothing of this one.
  const isOwn =
    life[0]?.type !== 'queued' ||
    (claim !== undefined && (latest?.segment ?? -1) >= (count(claim.members.segment) ?? 0));
  const own = isOwn ? latest : undefined;
  if (own?.ending !== undefined) return own.ending;
  if (life.some(({ type }) => type === 'interrupted')) return stopAsked ? 'stopped' : 'interrupted';
  if (own !== undefined) return own.began ? 'running' : 'starting';
  if (claim !== undefined) return 'starting';
  // Called off before anyone took it, it is left as the life before left it.
  return stopAsked ? (latest?.ending ?? 'stopped') : 'queued';
}

/** When a run ended of which the journal does not tell the end. */
export function brokenOffAt(marks: readonly Mark[]): number | null {
  return marks.findLast(({ type }) => type === 'interrupted' || type === 'stop-asked')?.time ?? null;
}

/** Why the run was last marked interrupted. */
export function interruptionOf(marks: readonly Mark[]): string | null {
  return text(marks.findLast(({ type }) => type === 'interrupted')?.members.reason);
}
