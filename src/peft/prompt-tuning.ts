import { z } from 'zod';
import { stays } from './folding.ts';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';
import { declarePrompt, placeOptions } from './prompt-rows.ts';

/** What prompt rows start from. */
export const startOptions = {
  init: z
    .enum(['uniform', 'normal', 'vocabulary'])
    .default('uniform')
    .describe('What the rows start from: a law, or the embeddings of words that the seed draws from the vocabulary.'),
  initScale: z
    .number()
    .positive()
    .default(0.5)
    .describe('The bound of the uniform law, or the deviation of the normal one.'),
};

const options = z.strictObject({
  length: z.int().positive().max(4096).default(10).describe('p: the number of rows.'),
  enter: z
    .enum(['after-embedding', 'before-embedding'])
    .default('after-embedding')
    .describe(
      "Where the rows enter: behind the embedding layer, which leaves them and the text's positions alone (as in the adapters library), or before it, where they get positions, types and its norm and the text moves on (as in Hugging Face PEFT).",
    ),
  ...placeOptions,
  ...startOptions,
  head: headOption('native'),
});

/**
 * Prompt tuning: p trained rows `[p, h]` stand in every sequence beside the text (section 2). Every token attends to them, and they to
 * every token; heads read and score the rows of the text alone unless told otherwise.
 */
export const promptTuning: Method<z.infer<typeof options>> = {
  id: 'prompt-tuning',
  title: 'Prompt tuning',
  citation:
    'Lester, Al-Rfou and Constant, The Power of Scale for Parameter-Efficient Prompt Tuning, 2021, arXiv 2104.08691',
  description: 'Puts trained rows into every sequence.',
  options,
  training: { learningRate: 1e-2, weightDecay: 0 },
  build: ({ head, length, ...choice }, encoder, scope) => ({
    hooks: {},
    head,
    dropout: true,
    folding: stays('has rows that stand in every sequence'),
    rows: declarePrompt({ ...choice, count: length }, encoder, scope),
  }),
};
