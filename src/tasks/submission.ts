import { UserError } from '../base/errors.ts';
import { glueTasks } from './glue.ts';
import type { SplitName, Task } from './task.ts';

/** Predictions as GLUE's server takes them (https://gluebenchmark.com/faq): one TSV a task, `index` and `prediction`. */

/** Tasks whose labels are submitted by name; the other classes go by their number. */
const namedLabels: ReadonlySet<string> = new Set(['mnli', 'qnli', 'rte']);

/**
 * What the server calls a task's file.
 * @throws UserError where the task is none of GLUE's
 */
export function submissionName(task: Task, split: SplitName | undefined): string {
  if (!glueTasks.includes(task))
    throw new UserError(
      `${task.title} is no task of GLUE, whose server takes predictions of its own tasks`,
      'Choose the format csv or jsonl.',
    );
  if (task.id !== 'mnli') return `${task.title}.tsv`;
  return split?.endsWith('-mismatched') === true ? 'MNLI-mm.tsv' : 'MNLI-m.tsv';
}

/**
 * The file's text.
 * @param predictions class indices, or scores, which are brought into the task's range
 */
export function submissionText(task: Task, predictions: readonly number[]): string {
  const shown = (value: number): string => {
    if (task.kind === 'regression') {
      const [least, greatest] = task.range;
      return Math.min(greatest, Math.max(least, value)).toFixed(3);
    }
    return namedLabels.has(task.id) ? (task.labels[value] ?? '') : String(value);
  };
  return `index\tprediction\n${predictions.map((value, index) => `${index}\t${shown(value)}\n`).join('')}`;
}
