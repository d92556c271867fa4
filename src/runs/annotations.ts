/** What a person attached to a run. */
export interface Annotations {
  readonly tags: readonly string[];
  /** Empty without one. */
  readonly note: string;
  readonly starred: boolean;
  readonly deleted: boolean;
}

export const longestTag = 100;

/** A tag stands on one line, without a comma, which separates tags where several are given. */
export const tagPattern = /^[^,\p{Cc}]+$/u;

/** Whether a text, without the space around it, can be a tag. */
export function isTag(text: string): boolean {
  const tag = text.trim();
  return tag.length <= longestTag && tagPattern.test(tag);
}

/** A line of `marks.jsonl`, as far as it attaches something to a run. */
export interface AnnotatingMark {
  readonly type: string;
  readonly tag?: unknown;
  readonly text?: unknown;
  readonly on?: unknown;
}

/**
 * Folds marks, in the order in which they were written, over what the configuration gave from the start. Marks of other types, and those
 * that lack what theirs needs, have no effect.
 */
export function annotationsOf(
  marks: Iterable<AnnotatingMark>,
  start: { readonly tags?: readonly string[] | undefined; readonly note?: string | undefined } = {},
): Annotations {
  const tags = new Set(start.tags);
  let note = start.note ?? '';
  let [starred, deleted] = [false, false];
  for (const { type, tag, text, on } of marks) {
    if (type === 'tag' && typeof tag === 'string') tags.add(tag);
    else if (type === 'untag' && typeof tag === 'string') tags.delete(tag);
    else if (type === 'note' && typeof text === 'string') note = text;
    else if (type === 'star') starred = on !== false;
    else if (type === 'deleted') deleted = true;
  }
  return { tags: [...tags], note, starred, deleted };
}
