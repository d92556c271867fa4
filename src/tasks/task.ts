/**
 * What a task is: the columns of its files, its labels, its metrics and its single score. A task is data; the readers, the
 * metrics and the heads work from this description alone.
 */

/** The parts of a task's data, named as the journal names them. The mismatched parts belong to MNLI. */
export type SplitName = 'train' | 'dev' | 'dev-mismatched' | 'test' | 'test-mismatched';

/** Metrics of examples: `mcc` is Matthews' correlation; `f1` is the F1 of class 1; all are fractions, never percentages. */
export type ExampleMetric = 'accuracy' | 'f1' | 'f1Macro' | 'f1Micro' | 'mcc' | 'pearson' | 'spearman';

/** Metrics of labelled words: of the entities that the labels mark, and `accuracy` of the single words. */
export type WordMetric = 'entityF1' | 'entityPrecision' | 'entityRecall' | 'accuracy';

export type MetricName = ExampleMetric | WordMetric | 'maskedAccuracy';

/** The names under which a column is known, best first; compared without regard to case. */
export type ColumnNames = readonly string[];

export interface Columns {
  readonly text: ColumnNames;
  /** The second text of a pair; absent in single-sentence tasks. */
  readonly pair?: ColumnNames;
  readonly label: ColumnNames;
}

/** Where the columns stand in a table that has no header line. */
export interface HeaderlessLayout {
  readonly text: number;
  readonly pair?: number;
  readonly label: number;
  /** The least and the greatest number of cells that a row may have. */
  readonly cells: readonly [least: number, most: number];
}

interface TaskBase {
  readonly id: string;
  /** The name that the literature uses, which is also the folder's name in the GLUE download. */
  readonly title: string;
  readonly description: string;
  readonly columns: Columns;
  /** The layout of this task's files that are distributed without a header, if there are any. */
  readonly headerless?: HeaderlessLayout;
  /** Every metric that an evaluation reports. */
  readonly metrics: readonly MetricName[];
  /** The single number: the unweighted mean of `of`, and of the dev splits where there are two. `source` says who defines it so. */
  readonly score: { readonly of: readonly MetricName[]; readonly source: string };
  /** The splits that exist, with the number of examples that the official distribution holds. */
  readonly splits: Readonly<Partial<Record<SplitName, number>>>;
  /** Subfolders to look in when the data folder holds several tasks: the GLUE download's name, then the hub's. */
  readonly folders: readonly string[];
  /** Whether the official files hold examples one of whose texts is empty. */
  readonly emptyText: 'error' | 'allowed';
  /** What is known to be wrong with the official files; shown with the error when a row is refused. */
  readonly knownFault?: string;
  /** The data ships with this program, so a configuration need not say where it is. */
  readonly sample?: true;
}

export interface ClassificationTask extends TaskBase {
  readonly kind: 'classification';
  /** Label names by index, in the order of the Hugging Face hub's `glue` data set. */
  readonly labels: readonly string[];
}

export interface RegressionTask extends TaskBase {
  readonly kind: 'regression';
  /** The scale of the gold scores, both ends included. */
  readonly range: readonly [least: number, greatest: number];
}

/** Every word of the first text has a label. */
export interface WordTask extends TaskBase {
  readonly kind: 'words';
  /** Label names by index: `O`, and `B-NAME` and `I-NAME` for the first and the other words of an entity. */
  readonly labels: readonly string[];
}

/** Masked tokens of plain text are to be predicted. */
export interface MaskedWordsTask extends TaskBase {
  readonly kind: 'masked-words';
  /** None: the vocabulary is the model's. */
  readonly labels: readonly string[];
}

export type Task = ClassificationTask | RegressionTask | WordTask | MaskedWordsTask;

/** The label of an example whose gold label is not public. */
export const unlabelled = -1;

/** One example: `label` is a class index, a gold score, or {@link unlabelled}; where words are labelled, it only tells whether they are. */
export interface Example {
  readonly text: string;
  readonly pair?: string;
  readonly label: number;
  /** The words of `text` and their labels' indices (none where they are not public), in tasks that label words. */
  readonly words?: { readonly texts: readonly string[]; readonly labels: readonly number[] };
}

/** The number of outputs of the task's head, for each word where words are labelled: one per class, or one for a regression; none for masked words. */
export function outputCount(task: Task): number {
  return task.kind === 'regression' ? 1 : task.labels.length;
}

/** Whether an example of the task is a pair of texts. */
export function isPair(task: Task): boolean {
  return task.columns.pair !== undefined;
}
