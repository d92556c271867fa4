import { z } from 'zod';
import { linear } from '../engine/graph/functions.ts';
import { dimAt, divide, less, multiply, reduceMean, reduceSum, sigmoid, where } from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import { GraphError, type Value } from '../engine/graph/value.ts';
import { stays, type Folding } from './folding.ts';
import type { LayerPlace } from './method.ts';

/** How much of a module an example gets in a layer, float32 `[batch, 1, 1]` in 0..1, from `[batch, rows, width]`. */
export type Gate = (input: Value, place: LayerPlace) => Value;

/** The options of every method that can be gated. */
export const gateOptions = {
  gated: z
    .boolean()
    .default(false)
    .describe('Each layer learns, for each example, how much of this module to use, as in UniPELT.'),
  maskedGateMean: z
    .boolean()
    .default(true)
    .describe(
      "Leave padding out of the gate's mean over tokens. `false` is what UniPELT's code does; an example's output then depends on the padding beside it.",
    ),
};

export interface GateSettings {
  readonly gated: boolean;
  readonly maskedGateMean: boolean;
}

/** The deviation of the weights at the start. */
const DEVIATION = 0.02;

/**
 * The gate of UniPELT (Mao et al. 2022, arXiv 2110.07577, section 3.2): g = mean over tokens of sigmoid(x wᵀ + c) with w `[1, width]` and
 * c `[1]` of each layer, so an example has one number a module and layer. It starts near ½: w from N(0, 0.02²), c from zero or from
 * torch's law of linear maps, U(-1/√width, 1/√width).
 * @param module what the tensors are called after: `method.layer.<layer>.<module>.gate.{weight, bias}`
 * @returns undefined where the settings ask for none
 */
export function gateOf(
  { gated, maskedGateMean }: GateSettings,
  scope: ParameterScope,
  module: string,
  bias: 'zeros' | 'uniform',
): Gate | undefined {
  if (!gated) return undefined;
  return (x, { layer, mask }) => {
    const width = dimAt(x, -1);
    if (typeof width !== 'number') throw new GraphError('sigmoid', 'a gate needs rows of a fixed width', [x]);
    const name = `method.layer.${layer}.${module}.gate`;
    const weight = scope.trained(`${name}.weight`, [1, width], { kind: 'normal', deviation: DEVIATION });
    const start = bias === 'zeros' ? ({ kind: 'zeros' } as const) : uniformOf(width);
    const opened = sigmoid(linear(x, weight, scope.trained(`${name}.bias`, [1], start)));
    if (!maskedGateMean) return reduceMean(opened, [1], { keepAxes: true });
    const rows = reduceSum(mask, [1], { keepAxes: true });
    // Of an example that is padding all through, as filled-up batches have, anything finite will do.
    const counted = where(less(rows, 1), 1, rows);
    return divide(reduceSum(multiply(opened, mask), [1], { keepAxes: true }), counted);
  };
}

/** How a method folds where it has no gates; with them it is another one for every example. */
export function foldingUngated({ gated }: GateSettings, folding: Folding): Folding {
  return gated ? stays('has gates, which depend on the example') : folding;
}

function uniformOf(width: number): { readonly kind: 'uniform'; readonly bound: number } {
  return { kind: 'uniform', bound: 1 / Math.sqrt(width) };
}
