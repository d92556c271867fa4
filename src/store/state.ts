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
  readonly startedAt: number | null;
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

type Turn = 'queued' | 'claimed' | 'interrupted';

const turns: Readonly<Record<Turn, RunState>> = {
  queued: 'queued',
  claimed: 'starting',
  interrupted: 'interrupted',
};

function isTurn(mark: Mark): mark is Mark & { readonly type: Turn } {
  return Object.hasOwn(turns, mark.type);
}

/**
 * The marks that were made after the newest segment was claimed. Their order in the file tells, so clocks of different machines
 * need not agree; only where nobody claimed the segment do times decide.
 */
function turnsSince(latest: LatestSegment, marks: readonly (Mark & { readonly type: Turn })[]) {
  const claim = marks.findLastIndex(({ type, members }) => {
    const segment = type === 'claimed' ? count(members.segment) : null;
    return segment !== null && segment <= latest.segment;
  });
  if (claim >= 0) return marks.slice(claim + 1);
  return marks.filter(({ type, time }) => {
    const since = type === 'interrupted' ? latest.startedAt : latest.lastAt;
    return time !== null && since !== null && time > since;
  });
}

/**
 * The state that journal and marks tell. A terminal event decides for its segment, whatever was marked meanwhile; a run without
 * one is running until it is marked interrupted; a mark that queues or claims the run afterwards begins the next segment.
 */
export function deriveState(latest: LatestSegment | undefined, marks: readonly Mark[]): RunState {
  const lifecycle = marks.filter(isTurn);
  if (latest === undefined) return turns[lifecycle.at(-1)?.type ?? 'queued'];
  const since = turnsSince(latest, lifecycle);
  const next = since.findIndex(({ type }) => type !== 'interrupted');
  if (next >= 0) return turns[since.at(-1)?.type ?? 'queued'];
  if (latest.ending !== undefined) return latest.ending;
  if (since.length > 0) return 'interrupted';
  return latest.began ? 'running' : 'starting';
}

/** When the run was last marked interrupted. */
export function interruptedAt(marks: readonly Mark[]): number | null {
  return marks.findLast(({ type }) => type === 'interrupted')?.time ?? null;
}
