import { z } from 'zod';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';

const options = z.strictObject({ head: headOption('native') });

/**
 * BitFit: every bias of the encoder is trained (projections, feed-forward, layer norms, pooler), from the checkpoint's values, with the
 * head's biases and its map onto the labels. The head's other weights are frozen.
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
  build: ({ head }) => ({
    hooks: {
      trains: ({ part }) => part === 'bias',
      trainsHead: ({ part, final }) => final || part === 'bias',
    },
    head,
    dropout: true,
    folding: { kind: 'folds' },
  }),
};
