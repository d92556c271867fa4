import { z } from 'zod';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';

const options = z.strictObject({ head: headOption('native') });

/** Head only (linear probing): the encoder is frozen, the task's head alone is trained. */
export const head: Method<z.infer<typeof options>> = {
  id: 'head',
  title: 'Head only',
  citation: 'Linear probing; the baseline of Hambardzumyan et al., WARP, 2021, arXiv 2101.00121',
  description: "Trains the task's head on a frozen encoder.",
  options,
  training: { learningRate: 5e-3 },
  build: (chosen) => ({ hooks: {}, head: chosen.head, dropout: true, folding: { kind: 'folds' } }),
};
