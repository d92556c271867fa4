import { z } from 'zod';

/** What the command line prints with `--json`, as far as the editor shows it. */

export const diagnosis = z.object({
  ok: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      level: z.enum(['ok', 'warning', 'problem']),
      message: z.string(),
      advice: z.string().nullable(),
    }),
  ),
  providers: z.array(z.string()),
});

/** What `peft-lab doctor` prints. */
export type Diagnosis = z.output<typeof diagnosis>;

export const cudaInstallation = z.object({ folder: z.string(), already: z.boolean() });

/** What `peft-lab doctor --install cuda` prints. */
export type CudaInstallation = z.output<typeof cudaInstallation>;

export const predicted = z.object({
  examples: z.number(),
  /** Where the true labels are known. */
  metrics: z.record(z.string(), z.number().nullable()).optional(),
  /** The scores tell of private data. */
  coveredByEpsilon: z.literal(false).optional(),
});

/** What `peft-lab predict` prints beside the predictions. */
export type Predicted = z.output<typeof predicted>;

export const predictedTexts = predicted.extend({
  predictions: z.array(
    z.object({
      /** A label, a score, or the label of each word; null for a word that was cut off. */
      prediction: z.union([z.string(), z.number(), z.array(z.string().nullable())]),
      probabilities: z.record(z.string(), z.number()).optional(),
      words: z.array(z.string()).optional(),
    }),
  ),
});

/** What `peft-lab predict` prints of texts. */
export type PredictedTexts = z.output<typeof predictedTexts>;

export const exportedModel = z.object({
  folder: z.string(),
  /** The class of `transformers` that loads it with its head; null where the head is none of its. */
  architecture: z.string().nullable(),
});

/** What `peft-lab export` prints. */
export type ExportedModel = z.output<typeof exportedModel>;
