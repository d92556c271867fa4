import { z } from 'zod';
import { chosenLayers, layersOption } from './chosen-layers.ts';
import { headOption } from './head-option.ts';
import type { EncoderTensor, Method } from './method.ts';

const options = z.strictObject({
  layers: layersOption('trained weights'),
  embeddings: z
    .boolean()
    .optional()
    .describe('Whether the embeddings and their norm are trained; unless `layers` are named, they are.'),
  head: headOption('native'),
});

/** Whether a tensor stands before the layers. */
function isEmbedding({ module }: EncoderTensor): boolean {
  switch (module) {
    case 'wordEmbeddings':
    case 'positionEmbeddings':
    case 'typeEmbeddings':
    case 'embeddingNorm':
    case 'embeddingProjection':
      return true;
    default:
      return false;
  }
}

/**
 * Full fine-tuning: every tensor of the encoder is trained, from the checkpoint's values, and the head (section 3.2). With `layers` only
 * these are, and what stands above them all (the pooler), as where the lower layers are frozen (Lee, Tang and Lin 2019, arXiv 1911.03090).
 *
 * @throws UserError when `layers` names one that the encoder does not have
 */
export const full: Method<z.infer<typeof options>> = {
  id: 'full',
  title: 'Full fine-tuning',
  citation: 'Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019, arXiv 1810.04805',
  description: 'Trains every weight of the encoder and the head.',
  options,
  training: { learningRate: 5e-5 },
  // Li et al. 2022 (arXiv 2110.05679): noise drowns what a smaller rate moves in some hundred steps.
  privately: { learningRate: 5e-4 },
  build({ layers, embeddings = layers === undefined, head }, encoder) {
    const trained = chosenLayers('full', layers, encoder);
    return {
      hooks: {
        trains: (tensor) =>
          tensor.layer === undefined ? embeddings || !isEmbedding(tensor) : trained.has(tensor.layer),
      },
      head,
      dropout: true,
      folding: { kind: 'folds' },
    };
  },
};
