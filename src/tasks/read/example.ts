import type { Example, Task, WordTask } from '../task.ts';
import { unlabelled } from '../task.ts';
import type { Row } from './columns.ts';

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'string' && decimal.test(value.trim())) return Number(value);
  return undefined;
}

/** A class index from a label's name or index (in a task of words: of one word), or a gold score from a number; nothing when it is neither. */
function parseLabel(task: Task, value: unknown): number | undefined {
  if (task.kind === 'regression') {
    const score = numberOf(value);
    return score !== undefined && score >= task.range[0] && score <= task.range[1] ? score : undefined;
  }
  const named = typeof value === 'string' ? task.labels.indexOf(value.trim()) : -1;
  if (named >= 0) return named;
  const index = numberOf(value);
  return index !== undefined && Number.isInteger(index) && index >= 0 && index < task.labels.length ? index : undefined;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  const text = typeof value === 'bigint' ? `${value}` : (JSON.stringify(value) as string | undefined);
  const short = text ?? typeof value;
  return short.length > 60 ? `${short.slice(0, 60)}…` : short;
}

function labelProblem(task: Task, value: unknown): string {
  if (task.kind === 'regression')
    return `the score ${shown(value)} is not a number from ${task.range[0]} to ${task.range[1]}`;
  const known = task.labels.map((name, index) => `${index} (${name})`).join(', ');
  return `the label ${shown(value)} is not one of ${known}`;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '' || numberOf(value) === unlabelled;
}

function textProblem(task: Task, name: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return `the ${name} is missing`;
  if (typeof value !== 'string') return `the ${name} is ${shown(value)} where text is expected`;
  if (task.emptyText === 'error' && value.trim() === '') return `the ${name} is empty`;
  return undefined;
}

/**
 * The example that a row holds, or what is wrong with it. Where labels are not needed, an absent one and -1 (as the hub marks
 * hidden test labels) both give {@link unlabelled}.
 */
export function toExample(task: Task, row: Row & { kind: 'row' }, needsLabel: boolean): Example | string {
  if (task.kind === 'words') return toWords(task, row, needsLabel);
  const { text, pair } = row;
  const [textName = 'text'] = task.columns.text;
  const problem = textProblem(task, textName, text);
  if (problem !== undefined) return problem;
  const label = !needsLabel && isAbsent(row.label) ? unlabelled : parseLabel(task, row.label);
  if (label === undefined) return labelProblem(task, row.label);
  if (task.columns.pair === undefined) return { text: text as string, label };
  const [pairName = 'pair'] = task.columns.pair;
  const pairFault = textProblem(task, pairName, pair);
  return pairFault ?? { text: text as string, pair: pair as string, label };
}

/** An example whose first text is given as its words, with a label for each. */
function toWords(task: WordTask, row: Row & { kind: 'row' }, needsLabel: boolean): Example | string {
  const [wordsName = 'words'] = task.columns.text;
  const [labelName = 'labels'] = task.columns.label;
  const { text: texts, label: labels, pair } = row;
  if (!isListOf(texts, (word) => typeof word === 'string'))
    return `the ${wordsName} are ${shown(texts)} where a list of words is expected`;
  if (texts.length === 0) return `the list of ${wordsName} is empty`;
  const empty = texts.findIndex((word) => word.trim() === '');
  if (empty >= 0) return `word ${empty + 1} of the ${wordsName} is empty`;
  const hidden = !needsLabel && (labels === undefined || labels === null);
  if (!hidden && !Array.isArray(labels))
    return `the ${labelName} are ${shown(labels)} where a list of labels is expected`;
  const given: readonly unknown[] = hidden ? [] : (labels as readonly unknown[]);
  if (!hidden && given.length !== texts.length)
    return `there are ${given.length} ${labelName} for ${texts.length} ${wordsName}`;
  const indices: number[] = [];
  for (const value of given) {
    const index = parseLabel(task, value);
    if (index === undefined) return labelProblem(task, value);
    indices.push(index);
  }
  const example = { text: texts.join(' '), label: hidden ? unlabelled : 0, words: { texts, labels: indices } };
  if (task.columns.pair === undefined) return example;
  const [pairName = 'pair'] = task.columns.pair;
  return textProblem(task, pairName, pair) ?? { ...example, pair: pair as string };
}

function isListOf<T>(value: unknown, is: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.every(is);
}
