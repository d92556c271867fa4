import type { ClassificationTask, RegressionTask, Task } from './task.ts';

/**
 * The nine GLUE tasks (Wang et al. 2019, https://arxiv.org/abs/1804.07461). Label order and row counts are those of the
 * Hugging Face hub's `nyu-mll/glue`; column names are given as the GLUE download has them and as the hub has them.
 */

const glueMean =
  'Wang et al. 2019 (GLUE): a task with several metrics scores their unweighted mean; also `combined_score` of run_glue';
const glueAccuracy = 'Wang et al. 2019 (GLUE), table 1: accuracy';

const cola: ClassificationTask = {
  id: 'cola',
  title: 'CoLA',
  description: 'Is the sentence acceptable English?',
  kind: 'classification',
  labels: ['unacceptable', 'acceptable'],
  columns: { text: ['sentence'], label: ['label', 'is_acceptable'] },
  // train.tsv and dev.tsv have no header: source code, label, original mark, sentence.
  headerless: { label: 1, text: 3, cells: [4, 4] },
  metrics: ['mcc', 'accuracy'],
  score: { of: ['mcc'], source: 'Warstadt et al. 2018 and Wang et al. 2019 (GLUE), table 1: Matthews correlation' },
  splits: { train: 8551, dev: 1043, test: 1063 },
  folders: ['CoLA', 'cola'],
  emptyText: 'error',
};

const sst2: ClassificationTask = {
  id: 'sst2',
  title: 'SST-2',
  description: 'Is the phrase of a film review positive?',
  kind: 'classification',
  labels: ['negative', 'positive'],
  columns: { text: ['sentence'], label: ['label'] },
  metrics: ['accuracy'],
  score: { of: ['accuracy'], source: glueAccuracy },
  splits: { train: 67349, dev: 872, test: 1821 },
  folders: ['SST-2', 'sst2'],
  emptyText: 'error',
};

const mrpc: ClassificationTask = {
  id: 'mrpc',
  title: 'MRPC',
  description: 'Are the two sentences paraphrases?',
  kind: 'classification',
  labels: ['not_equivalent', 'equivalent'],
  columns: {
    text: ['sentence1', '#1 String'],
    pair: ['sentence2', '#2 String'],
    label: ['label', 'Quality'],
  },
  metrics: ['accuracy', 'f1'],
  score: { of: ['accuracy', 'f1'], source: glueMean },
  splits: { train: 3668, dev: 408, test: 1725 },
  folders: ['MRPC', 'mrpc'],
  emptyText: 'error',
};

const stsb: RegressionTask = {
  id: 'stsb',
  title: 'STS-B',
  description: 'How similar are the two sentences, from 0 to 5?',
  kind: 'regression',
  range: [0, 5],
  columns: { text: ['sentence1'], pair: ['sentence2'], label: ['label', 'score'] },
  // The original sts-*.csv: genre, file, year, index, score, sentence1, sentence2, and in some rows licence and source.
  headerless: { label: 4, text: 5, pair: 6, cells: [7, 9] },
  metrics: ['pearson', 'spearman'],
  score: { of: ['pearson', 'spearman'], source: glueMean },
  splits: { train: 5749, dev: 1500, test: 1379 },
  folders: ['STS-B', 'stsb'],
  emptyText: 'error',
};

const qqp: ClassificationTask = {
  id: 'qqp',
  title: 'QQP',
  description: 'Do the two questions ask the same?',
  kind: 'classification',
  labels: ['not_duplicate', 'duplicate'],
  columns: { text: ['question1'], pair: ['question2'], label: ['label', 'is_duplicate'] },
  metrics: ['accuracy', 'f1'],
  score: { of: ['accuracy', 'f1'], source: glueMean },
  splits: { train: 363846, dev: 40430, test: 390965 },
  folders: ['QQP', 'qqp'],
  // Two training pairs of the official data have an empty second question (huggingface/datasets issue 277).
  emptyText: 'allowed',
  knownFault:
    'The train.tsv of the first GLUE download holds a few rows torn by line breaks inside a question; transformers and the hub leave them out silently.',
};

const mnli: ClassificationTask = {
  id: 'mnli',
  title: 'MNLI',
  description: 'Does the premise entail the hypothesis, contradict it, or neither?',
  kind: 'classification',
  labels: ['entailment', 'neutral', 'contradiction'],
  columns: { text: ['premise', 'sentence1'], pair: ['hypothesis', 'sentence2'], label: ['label', 'gold_label'] },
  metrics: ['accuracy'],
  score: {
    of: ['accuracy'],
    source: 'Wang et al. 2019 (GLUE): accuracy, the mean of the matched and the mismatched part',
  },
  splits: { train: 392702, dev: 9815, 'dev-mismatched': 9832, test: 9796, 'test-mismatched': 9847 },
  folders: ['MNLI', 'mnli'],
  emptyText: 'error',
};

const qnli: ClassificationTask = {
  id: 'qnli',
  title: 'QNLI',
  description: 'Does the sentence answer the question?',
  kind: 'classification',
  labels: ['entailment', 'not_entailment'],
  columns: { text: ['question'], pair: ['sentence'], label: ['label'] },
  metrics: ['accuracy'],
  score: { of: ['accuracy'], source: glueAccuracy },
  splits: { train: 104743, dev: 5463, test: 5463 },
  folders: ['QNLI', 'qnli'],
  emptyText: 'error',
};

const rte: ClassificationTask = {
  id: 'rte',
  title: 'RTE',
  description: 'Does the first text entail the second?',
  kind: 'classification',
  labels: ['entailment', 'not_entailment'],
  columns: { text: ['sentence1'], pair: ['sentence2'], label: ['label'] },
  metrics: ['accuracy'],
  score: { of: ['accuracy'], source: glueAccuracy },
  splits: { train: 2490, dev: 277, test: 3000 },
  folders: ['RTE', 'rte'],
  emptyText: 'error',
};

const wnli: ClassificationTask = {
  id: 'wnli',
  title: 'WNLI',
  description: 'Does the sentence with its pronoun replaced follow from the original?',
  kind: 'classification',
  labels: ['not_entailment', 'entailment'],
  columns: { text: ['sentence1'], pair: ['sentence2'], label: ['label'] },
  metrics: ['accuracy'],
  score: { of: ['accuracy'], source: glueAccuracy },
  splits: { train: 635, dev: 71, test: 146 },
  folders: ['WNLI', 'wnli'],
  emptyText: 'error',
};

/** The GLUE tasks in the order of the benchmark's tables. */
export const glueTasks: readonly Task[] = [cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli];
