import { z } from 'zod';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';

const options = z.strictObject({ head: headOption('native') });

/** Full fine-tuning: every tensor of the encoder is trained, from the checkpoint's values, and the head (section 3.2). */
export const full: Method<z.infer<typeof options>> = {
  id: 'full',
  title: 'Full fine-tuning',
  citation: 'Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019, arXiv 1810.04805',
  description: 'Trains every weight of the encoder and the head.',
  options,
  training: { learningRate: 5e-5 },
  build: ({ head }) => ({ hooks: { trains: () => true }, head, dropout: true, folding: { kind: 'folds' } }),
};
