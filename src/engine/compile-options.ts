import { UserError } from '../base/errors.ts';
import type { CompileOptions } from './backends/backend.ts';
import { eightBitPlan } from './frozen-precision.ts';
import { frozenProducts } from './graph/frozen-products.ts';
import type { Value } from './graph/value.ts';
import type { ModelGraph } from './model-graph.ts';
import type { TrainingSettings, TrainingSetup } from './training-setup.ts';

/** The part of a training that decides how its graphs are compiled. */
export interface CompileSetup extends Pick<TrainingSetup, 'device' | 'method' | 'checkpoint' | 'graphs'> {
  readonly settings: Pick<TrainingSettings, 'precision' | 'frozenPrecision'>;
}

/**
 * How a model's outputs are compiled: on the setup's device, in its precisions.
 * @throws UserError where 8-bit products are asked for and the method leaves none to compute so
 */
export async function compileOptions(
  { device, settings, method, checkpoint, graphs }: CompileSetup,
  model: ModelGraph,
  outputs: Readonly<Record<string, Value>>,
): Promise<CompileOptions> {
  const options = {
    ...device,
    precision: settings.precision ?? 'float32',
    wide: model.wide,
    ...(graphs === undefined ? {} : { graphs }),
  };
  if (settings.frozenPrecision !== 'int8') return options;
  const eightBit = await eightBitPlan(model, checkpoint);
  // A graph without gradients may have none in 8 bits and its matrices all the same.
  if (frozenProducts(Object.values(outputs), ({ name }) => eightBit.has(name)).size === 0)
    throw new UserError(
      `training.frozenPrecision is "int8", but ${method.id} leaves no matrix of the encoder's layers as it is`,
      'Leave the precision at "float32", or choose a method that keeps the encoder frozen.',
    );
  return { ...options, eightBit };
}
