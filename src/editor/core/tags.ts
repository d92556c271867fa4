import { isTag } from '../../runs/annotations.ts';
import type { Untimed } from '../../runs/marks.ts';

/**
 * The marks that give several runs the chosen tags. A tag that only some of them had and that was not chosen stays with those; one
 * that all had is taken off.
 */
export function tagChanges(before: readonly (readonly string[])[], chosen: readonly string[]): readonly Untimed[] {
  const [first = []] = before;
  const common = first.filter((tag) => before.every((tags) => tags.includes(tag)));
  return [
    ...chosen.filter((tag) => !common.includes(tag)).map((tag) => ({ type: 'tag', tag }) as const),
    ...common.filter((tag) => !chosen.includes(tag)).map((tag) => ({ type: 'untag', tag }) as const),
  ];
}

/** The tags in what was typed, several of them between commas. */
export function typedTags(typed: string): readonly string[] {
  const tags = typed.split(',').map((tag) => tag.trim());
  return [...new Set(tags)].filter(isTag);
}
