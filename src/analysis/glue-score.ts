import { glueTasks } from '../tasks/glue.ts';
import { meanOf } from './sample.ts';

/** Metrics by name; null where one was not a number. */
export type Metrics = Readonly<Record<string, number | null>>;

/** The metrics of each evaluated part: `dev`, `dev-mismatched`. */
export type SplitMetrics = Readonly<Record<string, Metrics>>;

/** The single number of a task. */
export interface TaskScore {
  /** A fraction, not a percentage. */
  readonly score: number;
  /** Parts that the task's number should include and that were not evaluated. */
  readonly missingSplits: readonly string[];
}

/** The tasks that the average is over. WNLI is none of them: its dev set contradicts its training set, and papers drop it. */
export const glueAverageTasks: readonly string[] = glueTasks.map(({ id }) => id).filter((id) => id !== 'wnli');

const tasksById = new Map(glueTasks.map((task) => [task.id, task]));

/** The metrics whose mean is the single number of a task; nothing where that is not known. */
export function scoreMetrics(taskId: string): readonly string[] | undefined {
  return tasksById.get(taskId)?.score.of;
}

/**
 * The single number of a task as GLUE defines it: the mean of the task's metrics (accuracy and F1 for MRPC and QQP, both
 * correlations for STS-B), and of both parts for MNLI. Null where a metric is not there; for a task that is none of GLUE's, the
 * metric called `score`.
 */
export function taskScore(taskId: string, splits: SplitMetrics): TaskScore | null {
  const task = tasksById.get(taskId);
  const parts = task === undefined ? ['dev'] : Object.keys(task.splits).filter((split) => split.startsWith('dev'));
  const metrics: readonly string[] = task?.score.of ?? ['score'];
  const evaluated = parts.filter((split) => splits[split] !== undefined);
  if (evaluated.length === 0) return null;
  const scores: number[] = [];
  for (const split of evaluated) {
    const values = metrics.map((name) => splits[split]?.[name]);
    const known = values.filter((value) => typeof value === 'number');
    // A task's metrics may be recorded under the single number alone.
    const score = known.length === metrics.length ? meanOf(known) : splits[split]?.score;
    if (typeof score !== 'number') return null;
    scores.push(score);
  }
  return { score: meanOf(scores), missingSplits: parts.filter((split) => !evaluated.includes(split)) };
}

/** The average over tasks, which says what it is an average of. */
export interface GlueAverage {
  /** Of the tasks that are there; null when none is. */
  readonly average: number | null;
  readonly tasks: readonly string[];
  readonly missing: readonly string[];
}

/**
 * The unweighted mean over CoLA, SST-2, MRPC, QQP, STS-B, MNLI, QNLI and RTE of what is known of them.
 * @param scores the single number of each task; others than those eight are left out
 */
export function glueAverage(scores: Readonly<Record<string, number | null | undefined>>): GlueAverage {
  const known = glueAverageTasks.flatMap((id) => {
    const score = Object.hasOwn(scores, id) ? scores[id] : undefined;
    return typeof score === 'number' ? [{ id, score }] : [];
  });
  const tasks = known.map(({ id }) => id);
  return {
    average: known.length === 0 ? null : meanOf(known.map(({ score }) => score)),
    tasks,
    missing: glueAverageTasks.filter((id) => !tasks.includes(id)),
  };
}
