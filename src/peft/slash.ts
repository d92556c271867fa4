import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { gemm, add } from '../engine/graph/operations.ts';
import type { Initialiser } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import { headOption } from './head-option.ts';
import type { LayerPlace, Method, MethodHooks } from './method.ts';

const options = z.strictObject({
  dimension: z.int().positive().max(1_000_000).default(1024).describe('d: the size of the shared trainable vector z.'),
  position: z
    .enum(['output', 'attention', 'intermediate'])
    .default('output')
    .describe(
      "Where a layer is shifted: before its final norm (the paper's), after the attention block's norm, or before the feed-forward activation.",
    ),
  projectionInit: z
    .enum(['normal', 'uniform', 'identity'])
    .default('normal')
    .describe(
      'The fixed projections W_l: N(0, 1/d), a uniform law of the same variance, or the identity (needs d = hidden size).',
    ),
  vectorInit: z
    .enum(['normal', 'uniform', 'zeros'])
    .default('normal')
    .describe('The start of z: N(0, 1/d), a uniform law of the same variance, or zeros.'),
  initScale: z.number().positive().default(1).describe('Multiplies the deviation of both laws.'),
  head: headOption('mask'),
});

function law(kind: 'normal' | 'uniform' | 'identity' | 'zeros', dimension: number, scale: number): Initialiser {
  const deviation = scale / Math.sqrt(dimension);
  if (kind === 'normal') return { kind: 'normal', deviation };
  return kind === 'uniform' ? { kind: 'uniform', bound: Math.sqrt(3) * deviation } : { kind };
}

/**
 * SLaSh (Shared Layer Shift): one trained vector z `[1, d]` for the whole model; layer l is shifted at every token by z W_l with a
 * fixed random W_l `[d, width]` (section 3, figure 1). The shift of a layer is computed once a step, not once a token.
 * Trained: z and one linear map onto the labels; dropout is off.
 */
export const slash: Method<z.infer<typeof options>> = {
  id: 'slash',
  title: 'SLaSh',
  citation:
    'Gupta, Galstyan and Ver Steeg, Jointly Reparametrized Multi-Layer Adaptation for Efficient and Private Tuning, 2023, arXiv 2305.19264',
  description: 'Shifts every layer by fixed random projections of one shared trained vector.',
  options,
  build: ({ dimension, position, projectionInit, vectorInit, initScale, head }, encoder, scope) => {
    const width = position === 'intermediate' ? encoder.intermediateSize : encoder.hiddenSize;
    if (projectionInit === 'identity' && dimension !== width) {
      throw new UserError(
        `slash: projectionInit "identity" needs dimension ${width}, the width it shifts, but dimension is ${dimension}`,
        `Set dimension to ${width}, or projectionInit to "normal".`,
      );
    }
    const z = scope.trained('method.z', [1, dimension], law(vectorInit, dimension, initScale));
    const shifted = (x: Value, { layer }: LayerPlace): Value => {
      const projection = scope.fixed(
        `frozen.W.${layer}`,
        [dimension, width],
        law(projectionInit, dimension, initScale),
      );
      return add(x, gemm(z, projection));
    };
    const hooks: Record<typeof position, MethodHooks> = {
      output: { afterFeedForward: shifted },
      attention: { afterAttentionNorm: shifted },
      intermediate: {
        projection: (result, _, projection, place) => (projection === 'intermediate' ? shifted(result, place) : result),
      },
    };
    return { hooks: hooks[position], head, dropout: false };
  },
};
