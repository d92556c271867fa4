import type { MaskedWordsTask } from './task.ts';

/** Masked words in plain text: pretraining and continued pretraining (DAPT and TAPT, Gururangan et al. 2020). */
export const maskedWords: MaskedWordsTask = {
  id: 'mlm',
  title: 'MLM',
  description: 'Which words were masked? Pretraining, and continued pretraining on text or on the texts of a task.',
  kind: 'masked-words',
  labels: [],
  columns: { text: ['text'], label: [] },
  metrics: ['maskedAccuracy'],
  score: {
    of: ['maskedAccuracy'],
    source: 'The share of masked tokens in held-out text whose own token has the greatest score',
  },
  splits: {},
  folders: [],
  emptyText: 'allowed',
};
