import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { isTag, longestTag } from './annotations.ts';
import { appendLines, parseJson, readIfThere } from './files.ts';

/**
 * What user and supervisor say of a run, in `marks.jsonl`: one JSON object a line, in the order it was said. The journal is the
 * trainer's alone; whatever others know of a run stands here.
 */

const time = { /** Milliseconds since 1970. */ time: z.number() };

const mark = z.discriminatedUnion('type', [
  /** The run waits to be started: said at its creation, and again with each resume. */
  z.object({ ...time, type: z.literal('queued') }),
  /** A supervisor holds the lease and is about to start the trainer. */
  z.object({
    ...time,
    type: z.literal('claimed'),
    /** The segment that the trainer will write. */
    segment: z.int().nonnegative(),
    launcher: z.string(),
    host: z.string(),
  }),
  /** The launcher took the run; `handle` is what it needs to find it again. */
  z.object({ ...time, type: z.literal('submitted'), launcher: z.string(), handle: z.unknown() }),
  /** Someone wants the run to end. `ask` is a wish to the trainer; the other two were sent to its processes by a supervisor. */
  z.object({
    ...time,
    type: z.literal('stop-asked'),
    how: z.enum(['ask', 'terminate', 'kill']),
    by: z.enum(['user', 'supervisor']).default('user'),
  }),
  /** The trainer is gone and its journal does not say how it ended. */
  z.object({
    ...time,
    type: z.literal('interrupted'),
    reason: z.string(),
    exitCode: z.int().optional(),
    signal: z.string().optional(),
    /** The last lines of its stderr. */
    output: z.string().optional(),
  }),
  z.object({ ...time, type: z.literal('tag'), tag: z.string() }),
  z.object({ ...time, type: z.literal('untag'), tag: z.string() }),
  /** Replaces the note; an empty text removes it. */
  z.object({ ...time, type: z.literal('note'), text: z.string() }),
  z.object({ ...time, type: z.literal('star'), on: z.boolean() }),
  z.object({ ...time, type: z.literal('deleted') }),
]);

export type Mark = z.output<typeof mark>;

/** A mark before it is given its time. */
export type Untimed<M extends Mark = Mark> = M extends Mark ? Omit<M, 'time'> : never;

/** Where it stands what people and supervisors did to a run: tags, notes, stars, stops. */
export function marksFile(folder: string): string {
  return join(folder, 'marks.jsonl');
}

/** Adds marks to a run. @throws DiskFullError */
export function appendMarks(folder: string, marks: readonly Untimed[], now: () => number = Date.now): void {
  const time = now();
  appendLines(
    marksFile(folder),
    marks.map((each) => ({ time, ...each })),
  );
}

/** The marks of a run, in order. Lines that are torn, or of a kind that this version does not know, are passed over. */
export function readMarks(folder: string): readonly Mark[] {
  return (readIfThere(marksFile(folder)) ?? '').split('\n').flatMap((line) => {
    const parsed = mark.safeParse(parseJson(line));
    return parsed.success ? [parsed.data] : [];
  });
}

/** Marks that tag a run. @throws UserError for what cannot be a tag */
export function tagMarks(tags: readonly string[]): readonly Untimed[] {
  const bad = tags.find((tag) => !isTag(tag));
  if (bad !== undefined)
    throw new UserError(
      `"${bad.slice(0, 40)}" cannot be a tag`,
      `A tag has 1 to ${longestTag} characters on one line, none of them a comma.`,
    );
  return tags.map((tag) => ({ type: 'tag', tag: tag.trim() }));
}
