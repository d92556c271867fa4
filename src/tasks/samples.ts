import { categories } from './wordnet-categories.ts';
import type { ClassificationTask, Task, WordTask } from './task.ts';

/**
 * The tasks whose data ships with this program (samples/): real text under licences that allow it, made by scripts/samples. They are no
 * benchmarks, and no published number belongs to them.
 */

const own = 'A task of this project; samples/ says how it was made';

const supersense: ClassificationTask = {
  id: 'wordnet-supersense',
  title: 'WordNet-supersense',
  description: 'To which of 40 kinds of things or doings does the definition belong?',
  kind: 'classification',
  labels: categories,
  columns: { text: ['gloss'], label: ['category'] },
  metrics: ['accuracy', 'f1Macro'],
  score: { of: ['accuracy'], source: own },
  splits: { train: 6407, dev: 939, test: 945 },
  folders: ['wordnet-supersense'],
  emptyText: 'error',
  sample: true,
};

const relation: ClassificationTask = {
  id: 'wordnet-relation',
  title: 'WordNet-relation',
  description: 'Do the two definitions belong to a word and a broader or similar one?',
  kind: 'classification',
  labels: ['unrelated', 'related'],
  columns: { text: ['gloss1'], pair: ['gloss2'], label: ['label'] },
  metrics: ['accuracy', 'f1', 'mcc'],
  score: { of: ['accuracy'], source: own },
  splits: { train: 5000, dev: 493, test: 494 },
  folders: ['wordnet-relation'],
  emptyText: 'error',
  sample: true,
};

const wordOrder: ClassificationTask = {
  id: 'word-order',
  title: 'Word-order',
  description: 'Are the words of the sentence in their own order?',
  kind: 'classification',
  labels: ['shuffled', 'original'],
  columns: { text: ['sentence'], label: ['label'] },
  metrics: ['mcc', 'accuracy'],
  score: { of: ['mcc'], source: own },
  splits: { train: 2388, dev: 400, test: 400 },
  folders: ['word-order'],
  emptyText: 'error',
  sample: true,
};

const usage: WordTask = {
  id: 'usage-tagging',
  title: 'Usage-tagging',
  description: 'Which words of the sentence are the one that the definition explains?',
  kind: 'words',
  labels: ['O', 'B-WORD', 'I-WORD'],
  columns: { text: ['tokens'], pair: ['gloss'], label: ['tags'] },
  metrics: ['entityF1', 'entityPrecision', 'entityRecall', 'accuracy'],
  score: { of: ['entityF1'], source: own },
  splits: { train: 5000, dev: 600, test: 600 },
  folders: ['usage-tagging'],
  emptyText: 'error',
  sample: true,
};

/** The sample tasks, easiest to run first. */
export const sampleTasks: readonly Task[] = [supersense, relation, wordOrder, usage];
