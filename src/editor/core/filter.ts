import { isRecord } from '../../base/is-record.ts';
import type { RunState } from '../../runs/events.ts';
import { isRunState } from '../../runs/run-states.ts';
import type { RunSummary } from '../../store/summaries.ts';
import { labelLine } from '../../store/run-text.ts';
import { stateText } from './run-item.ts';
import { deedOf } from './titles.ts';

/** Which runs the explorer shows: every condition that is given must hold. */
export interface ExplorerFilter {
  /** Words that must all occur, in any case. */
  readonly text?: string;
  /** Tags, of which the run must have all. */
  readonly tags?: readonly string[];
  readonly states?: readonly RunState[];
  readonly starred?: true;
}

export const noFilter: ExplorerFilter = {};

/** Whether a filter leaves out any run at all. */
export function isFiltering({ text = '', tags = [], states = [], starred }: ExplorerFilter): boolean {
  return text.trim() !== '' || tags.length > 0 || states.length > 0 || starred === true;
}

const haystacks = new WeakMap<RunSummary, string>();

function haystack(run: RunSummary): string {
  let text = haystacks.get(run);
  if (text === undefined) {
    const ids = [run.id, run.name, run.model, run.task, run.method];
    const parts = [...ids, deedOf(run), run.note, ...run.tags, labelLine(run.label)];
    text = parts
      .filter((part) => part !== null)
      .join('\n')
      .toLowerCase();
    haystacks.set(run, text);
  }
  return text;
}

/** Prepares the test of a filter. */
export function matcher(filter: ExplorerFilter): (run: RunSummary) => boolean {
  const { text = '', tags = [], states = [], starred } = filter;
  const words = text
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '');
  return (run) =>
    (starred !== true || run.starred) &&
    (states.length === 0 || states.includes(run.state)) &&
    tags.every((tag) => run.tags.includes(tag)) &&
    (words.length === 0 || words.every((word) => haystack(run).includes(word)));
}

/** The filter in a few words, for the view's message; empty when nothing is filtered. */
export function filterText({ text = '', tags = [], states = [], starred }: ExplorerFilter): string {
  return [
    text.trim() === '' ? '' : `“${text.trim()}”`,
    ...tags.map((tag) => `#${tag}`),
    states.map(stateText).join(', '),
    starred === true ? '★' : '',
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** A filter that was kept from an earlier session, whatever it may be by now. */
export function filterFrom(value: unknown): ExplorerFilter {
  if (!isRecord(value)) return noFilter;
  const { text, tags, states, starred } = value;
  const texts = (list: unknown): readonly string[] =>
    Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : [];
  return {
    ...(typeof text === 'string' && text !== '' ? { text } : {}),
    ...(texts(tags).length > 0 ? { tags: texts(tags) } : {}),
    ...(texts(states).filter(isRunState).length > 0 ? { states: texts(states).filter(isRunState) } : {}),
    ...(starred === true ? { starred } : {}),
  };
}
