import { z } from 'zod';

/** The run that both sides are given. */
export const endToEndPlan = z.object({
  encoder: z.string(),
  /** A folder with the very sentences to train on and to evaluate, as train.tsv and dev.tsv. */
  data: z.string(),
  threads: z.int(),
  seed: z.int(),
  epochs: z.int(),
  batchSize: z.int(),
  maxLength: z.int(),
  learningRate: z.number(),
  warmup: z.number(),
  weightDecay: z.number(),
  maxGradNorm: z.number(),
  rank: z.int(),
  alpha: z.number(),
});

export type EndToEndPlan = z.output<typeof endToEndPlan>;
