import { entityScores } from './entities.ts';
import type { ExampleMetric, MetricName, SplitName, Task, WordTask } from './task.ts';
import { outputCount } from './task.ts';

/**
 * The metrics of GLUE as scikit-learn and scipy compute them, as fractions. Undefined correlations (a constant side) are 0.
 */

export type Numbers = ArrayLike<number>;

function sameLength(predictions: Numbers, labels: Numbers): number {
  if (predictions.length !== labels.length)
    throw new RangeError(`${predictions.length} predictions for ${labels.length} labels`);
  if (labels.length === 0) throw new RangeError('a metric of no examples is not defined');
  return labels.length;
}

/** The share of predictions that equal their label. */
export function accuracy(predictions: Numbers, labels: Numbers): number {
  const count = sameLength(predictions, labels);
  let right = 0;
  for (let i = 0; i < count; i++) if (predictions[i] === labels[i]) right++;
  return right / count;
}

interface ClassCounts {
  readonly truePositives: number;
  readonly predicted: number;
  readonly actual: number;
}

/** Counts for every class that occurs among predictions or labels, in ascending order of class. */
function countClasses(predictions: Numbers, labels: Numbers): ReadonlyMap<number, ClassCounts> {
  const count = sameLength(predictions, labels);
  const counts = new Map<number, { truePositives: number; predicted: number; actual: number }>();
  const of = (label: number): { truePositives: number; predicted: number; actual: number } => {
    let entry = counts.get(label);
    if (entry === undefined) counts.set(label, (entry = { truePositives: 0, predicted: 0, actual: 0 }));
    return entry;
  };
  for (let i = 0; i < count; i++) {
    const predicted = of(predictions[i] as number);
    const actual = of(labels[i] as number);
    predicted.predicted++;
    actual.actual++;
    if (predicted === actual) actual.truePositives++;
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** F1 = 2 TP / (2 TP + FP + FN), 0 where there is nothing to find and nothing found. */
function f1Of({ truePositives, predicted, actual }: ClassCounts): number {
  return predicted + actual === 0 ? 0 : (2 * truePositives) / (predicted + actual);
}

/** F1 of one class, 1 unless told otherwise; 0 when the class neither occurs nor is predicted. */
export function f1(predictions: Numbers, labels: Numbers, positive = 1): number {
  const counts = countClasses(predictions, labels).get(positive);
  return counts === undefined ? 0 : f1Of(counts);
}

/** The unweighted mean of the F1 of every class that occurs among predictions or labels. */
export function f1Macro(predictions: Numbers, labels: Numbers): number {
  const each = [...countClasses(predictions, labels).values()].map(f1Of);
  return mean(each);
}

/** F1 of the pooled counts of all classes, or of `classes` alone (as when a "none" class is left out). */
export function f1Micro(predictions: Numbers, labels: Numbers, classes?: ReadonlySet<number>): number {
  let truePositives = 0;
  let predicted = 0;
  let actual = 0;
  for (const [label, counts] of countClasses(predictions, labels)) {
    if (classes !== undefined && !classes.has(label)) continue;
    truePositives += counts.truePositives;
    predicted += counts.predicted;
    actual += counts.actual;
  }
  return f1Of({ truePositives, predicted, actual });
}

/**
 * Matthews' correlation, for any number of classes (Gorodkin 2004): with c right of n, class k occurring t_k and predicted p_k
 * times, (c n - sum p_k t_k) / sqrt((n^2 - sum p_k^2) (n^2 - sum t_k^2)); 0 when either side is of one class.
 */
export function matthews(predictions: Numbers, labels: Numbers): number {
  const count = sameLength(predictions, labels);
  let right = 0;
  let predictedTimesActual = 0;
  let predictedSquares = 0;
  let actualSquares = 0;
  for (const { truePositives, predicted, actual } of countClasses(predictions, labels).values()) {
    right += truePositives;
    predictedTimesActual += predicted * actual;
    predictedSquares += predicted ** 2;
    actualSquares += actual ** 2;
  }
  const spread = (count ** 2 - predictedSquares) * (count ** 2 - actualSquares);
  return spread === 0 ? 0 : (right * count - predictedTimesActual) / Math.sqrt(spread);
}

function mean(values: Numbers): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum / values.length;
}

function isConstant(values: Numbers): boolean {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return false;
  return true;
}

/** Pearson's correlation; 0 when either side is constant or not finite. */
export function pearson(predictions: Numbers, labels: Numbers): number {
  const count = sameLength(predictions, labels);
  // A mean of equal values may differ from them by rounding, so constancy can't be told from the sums below.
  if (isConstant(predictions) || isConstant(labels)) return 0;
  const centreX = mean(predictions);
  const centreY = mean(labels);
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (let i = 0; i < count; i++) {
    const x = (predictions[i] as number) - centreX;
    const y = (labels[i] as number) - centreY;
    xx += x * x;
    yy += y * y;
    xy += x * y;
  }
  const correlation = xy / Math.sqrt(xx * yy);
  return Number.isFinite(correlation) ? Math.max(-1, Math.min(1, correlation)) : 0;
}

/** Ranks from 1; equal values share the mean of their ranks. */
export function averageRanks(values: Numbers): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => (values[a] as number) - (values[b] as number),
  );
  const ranks = new Float64Array(values.length);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++;
    for (let i = from; i < to; i++) ranks[order[i] as number] = (from + 1 + to) / 2;
    from = to;
  }
  return ranks;
}

/** Spearman's correlation: Pearson's of the average ranks; 0 when either side is constant or holds a NaN. */
export function spearman(predictions: Numbers, labels: Numbers): number {
  for (const side of [predictions, labels]) for (let i = 0; i < side.length; i++) if (Number.isNaN(side[i])) return 0;
  return pearson(averageRanks(predictions), averageRanks(labels));
}

const metrics: Readonly<Record<ExampleMetric, (predictions: Numbers, labels: Numbers) => number>> = {
  accuracy,
  f1,
  f1Macro,
  f1Micro,
  mcc: matthews,
  pearson,
  spearman,
};

/**
 * The predictions that a head's outputs mean: the class of the greatest logit (the first of equals), or the output itself.
 * @param outputs one row of `outputCount(task)` numbers per example, rows one after another
 */
export function predictionsOf(task: Task, outputs: Numbers): Float64Array {
  const width = outputCount(task);
  if (outputs.length % width !== 0)
    throw new RangeError(`${outputs.length} outputs are not rows of ${width} for ${task.title}`);
  return Float64Array.from({ length: outputs.length / width }, (_, row) => {
    if (task.kind === 'regression') return outputs[row] as number;
    return greatest(outputs, row * width, width);
  });
}

/** Where the greatest of `width` numbers from `start` on stands, counted from there; the first of equals. */
export function greatest(values: Numbers, start: number, width: number): number {
  let best = 0;
  for (let k = 1; k < width; k++) if ((values[start + k] as number) > (values[start + best] as number)) best = k;
  return best;
}

/**
 * Every metric of the task by name, and `score`: the unweighted mean of the metrics that the task's score is made of.
 * @param predictions class indices or scores, see {@link predictionsOf}
 * @param labels the gold labels, none of them `unlabelled`
 */
export function evaluateTask(task: Task, predictions: Numbers, labels: Numbers): Readonly<Record<string, number>> {
  return reported(task, (name) => {
    if (!(name in metrics)) throw new Error(`${task.id} has no labelled words to score by ${name}`);
    return metrics[name as ExampleMetric](predictions, labels);
  });
}

/**
 * As {@link evaluateTask}, for labelled words: every word of every example, example after example.
 * @param starts where each example's words begin, and where the last one's end
 */
export function evaluateWords(
  task: WordTask,
  predictions: Numbers,
  labels: Numbers,
  starts: Numbers,
): Readonly<Record<string, number>> {
  const entities = entityScores(task.labels, predictions, labels, starts);
  return reported(task, (name) => {
    switch (name) {
      case 'entityF1':
        return entities.f1;
      case 'entityPrecision':
        return entities.precision;
      case 'entityRecall':
        return entities.recall;
      case 'accuracy':
        return accuracy(predictions, labels);
      default:
        throw new Error(`${task.id} can't be scored by ${name}`);
    }
  });
}

function reported(task: Task, value: (name: MetricName) => number): Readonly<Record<string, number>> {
  return {
    ...Object.fromEntries(task.metrics.map((name) => [name, value(name)] as const)),
    score: mean(task.score.of.map(value)),
  };
}

/** What an evaluation of one split of a task adds to its metrics' names. */
function suffixOf(split: string): string {
  return split.endsWith('-mismatched') ? 'Mismatched' : '';
}

/** The names of all that evaluations of these splits together give ({@link combineSplits}), `score` first. */
export function metricNames(task: Task, splits: readonly string[]): readonly string[] {
  return ['score', ...splits.flatMap((split) => task.metrics.map((name) => `${name}${suffixOf(split)}`))];
}

/**
 * One evaluation of a task that is evaluated on two dev splits (MNLI): the first split's metrics under their own names, the
 * mismatched split's with `Mismatched` appended, and `score`, the mean of the splits' scores. With one split, its metrics unchanged.
 */
export function combineSplits(
  evaluations: Readonly<Partial<Record<SplitName, Readonly<Record<string, number>>>>>,
): Readonly<Record<string, number>> {
  const combined: Record<string, number> = {};
  const scores: number[] = [];
  for (const [split, values] of Object.entries(evaluations)) {
    const suffix = suffixOf(split);
    for (const [name, value] of Object.entries(values)) {
      if (name === 'score') scores.push(value);
      else combined[`${name}${suffix}`] = value;
    }
  }
  return { ...combined, score: mean(scores) };
}
