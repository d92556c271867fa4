import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import type { Initialiser, ParameterScope } from '../engine/graph/parameters.ts';
import { gemm } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';

/** The options of methods that shift every layer by projections of one shared vector. */
export const projectionOptions = {
  dimension: z.int().positive().max(1_000_000).default(1024).describe('d: the size of the shared trainable vector z.'),
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
};

export interface ProjectionChoice {
  readonly dimension: number;
  readonly projectionInit: 'normal' | 'uniform' | 'identity';
  readonly vectorInit: 'normal' | 'uniform' | 'zeros';
  readonly initScale: number;
}

/** N(0, scale²/size), a uniform law of the same variance, or what is no law. */
function scaledLaw(kind: 'normal' | 'uniform' | 'identity' | 'zeros', size: number, scale: number): Initialiser {
  const deviation = scale / Math.sqrt(size);
  if (kind === 'normal') return { kind: 'normal', deviation };
  return kind === 'uniform' ? { kind: 'uniform', bound: Math.sqrt(3) * deviation } : { kind };
}

/**
 * z W_l `[1, width]` of each layer l: one trained vector z `[1, d]` (`method.z`), a fixed random W_l `[d, width]` a layer (`frozen.W.l`).
 * @throws UserError when W_l is to be the identity but is not square
 */
export function declareProjections(
  method: string,
  { dimension, projectionInit, vectorInit, initScale }: ProjectionChoice,
  width: number,
  scope: ParameterScope,
): (layer: number) => Value {
  if (projectionInit === 'identity' && dimension !== width) {
    throw new UserError(
      `${method}: projectionInit "identity" needs dimension ${width}, the width it shifts, but dimension is ${dimension}`,
      `Set dimension to ${width}, or projectionInit to "normal".`,
    );
  }
  const vector = scope.trained('method.z', [1, dimension], scaledLaw(vectorInit, dimension, initScale));
  return (layer) => {
    const law = scaledLaw(projectionInit, dimension, initScale);
    return gemm(vector, scope.fixed(`frozen.W.${layer}`, [dimension, width], law));
  };
}
