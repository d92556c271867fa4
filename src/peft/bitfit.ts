import { z } from 'zod';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';

const options = z.strictObject({
  // Optional rather than with a default, so that runs from before it was an option still agree with new ones.
  classifier: z
    .enum(['final', 'whole'])
    .optional()
    .describe(
      "What is trained of a head of two maps: its biases and its last map, or both maps whole, as in the authors' code; `final` by default.",
    ),
  head: headOption('native'),
});

/**
 * BitFit: every bias of the encoder is trained (projections, feed-forward, layer norms, pooler), from the checkpoint's values, with the
 * head's biases and its map onto the labels (section 3). The head's other weights are frozen, unless the whole classifier is asked for.
 */
export const bitfit: Method<z.infer<typeof options>> = {
  id: 'bitfit',
  title: 'BitFit',
  citation:
    'Ben Zaken, Goldberg and Ravfogel, BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models, 2022, arXiv 2106.10199',
  description: 'Trains the biases of the encoder and the map onto the labels.',
  options,
  training: { learningRate: 2e-3 },
  privately: { learningRate: 5e-3 },
  build: ({ classifier = 'final', head }) => ({
    hooks: {
      trains: ({ part }) => part === 'bias',
      trainsHead: ({ part, final }) => final || part === 'bias' || classifier === 'whole',
    },
    head,
    dropout: true,
    folding: { kind: 'folds' },
  }),
};
