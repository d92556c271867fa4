import { z } from 'zod';
import { stays } from './folding.ts';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';
import { declarePrompt, placeOptions, promptInit } from './prompt-rows.ts';

const options = z.strictObject({
  prompts: z.int().positive().max(4096).default(20).describe('n: the number of rows.'),
  enter: z
    .enum(['before-layers', 'before-embedding'])
    .default('before-layers')
    .describe(
      'Where the rows enter: before the first layer, without position or norm (as Gupta et al. compare with), or before the embedding layer, where they get both and the text moves on (as the paper).',
    ),
  ...placeOptions,
  init: z
    .enum(promptInit)
    // Rows from the normal law (Gupta et al.) learn or not as the seed has it, and rows that are all alike stay so where they have no positions
    // (docs/results.md).
    .default('vocabulary')
    .describe(
      "What the rows start from: a law (normal: N(0, 1/h), as Gupta et al.), the embeddings of words that the seed draws, the mask token's as in the paper, or zeros. Rows that are alike stay alike where they enter before the layers, which tells them apart by no position.",
    ),
  initScale: z.number().positive().default(1).describe('Multiplies the deviation of both laws, 1/√h.'),
  transform: z
    .boolean()
    .default(false)
    .describe(
      "Whether the head reads through the checkpoint's own transform for masked words (dense, activation, norm), which the paper keeps in front of its verbaliser.",
    ),
  head: headOption('mask'),
});

/**
 * WARP: n trained rows in front of the text, one mask token in it, and one linear map (the verbaliser) from what stands at the mask onto
 * the labels (section 3, figure 3). As Gupta et al. 2023 compare with it: rows before the first layer only; the paper's own
 * form enters before the embedding layer, from the mask token's embedding, and reads through the transform for masked words. Dropout is off
 * unless the configuration gives a rate.
 */
export const warp: Method<z.infer<typeof options>> = {
  id: 'warp',
  title: 'WARP',
  citation: 'Hambardzumyan, Khachatrian and May, WARP: Word-level Adversarial ReProgramming, 2021, arXiv 2101.00121',
  description: 'Puts trained rows in front of the text and reads a mask token.',
  options,
  training: { learningRate: 2e-2, weightDecay: 0 },
  build: ({ head, prompts, transform, initScale, ...choice }, encoder, scope) => {
    const deviation =
      initScale / Math.sqrt(choice.enter === 'before-layers' ? encoder.hiddenSize : encoder.embeddingSize);
    const scale = choice.init === 'uniform' ? Math.sqrt(3) * deviation : deviation;
    return {
      hooks: {},
      head,
      dropout: false,
      folding: stays('has rows that stand in every sequence'),
      headTransform: transform,
      rows: declarePrompt({ ...choice, count: prompts, initScale: scale }, encoder, scope, 'method.z'),
    };
  },
};
