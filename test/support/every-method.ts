import { assembleBatch } from '../../src/engine/data/batches.ts';
import type { TensorData } from '../../src/engine/backends/backend.ts';
import type { Dataset } from '../../src/engine/data/dataset.ts';
import { frozenWeights, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { batchFeeds, dropoutWords } from '../../src/engine/feeds.ts';
import type { Value } from '../../src/engine/graph/value.ts';
import {
  buildModel,
  gradientsOf,
  LOSS_SCALE,
  type BackwardMode,
  type ModelGraph,
} from '../../src/engine/model-graph.ts';
import { privateOutputs } from '../../src/engine/private-step.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';
import type { WeightSource } from '../../src/engine/backends/backend.ts';
import { makeSequences, noisyValues, planOf, smallOptions } from './method-model.ts';

/** The mask token's id, in the tiny encoder as in the one that ships. */
const MASK = 4;

/** How a step differs from the usual one. */
export interface StepChanges extends BackwardMode {
  readonly sequences?: Dataset;
  /** Deviation of the noise on what is trained. */
  readonly deviation?: number;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A training step of a method on a tiny encoder, ready to be compiled and run. */
export interface MethodStep {
  readonly model: ModelGraph;
  readonly outputs: Readonly<Record<string, Value>>;
  readonly weights: WeightSource;
  readonly feeds: Readonly<Record<string, TensorData>>;
}

/**
 * The step with dropout, from values as after some steps of training.
 * @param kind `plain` computes the gradient of the mean, `private` the clipped sum of each example's own
 */
export async function methodStep(
  checkpoint: EncoderCheckpoint,
  id: string,
  kind: 'plain' | 'private',
  { sequences = makeSequences(3, 5), deviation = 0.05, options = smallOptions[id] ?? {}, ...mode }: StepChanges = {},
): Promise<MethodStep> {
  const { config } = checkpoint;
  const model = buildModel(planOf(checkpoint, id, options), { dropout: 0.1 });
  const { count } = sequences;
  const batch = assembleBatch(
    sequences,
    Uint32Array.from({ length: count }, (_, index) => index),
    {
      padId: config.padTokenId,
    },
  );
  const sizes = { batch: batch.shape[0], sequence: batch.shape[1] };
  const scalar = (number: number): TensorData => ({ dtype: 'float32', shape: [], data: Float32Array.of(number) });
  const { logits } = model.outputs;
  if (logits === undefined) throw new Error('the model has no logits');
  return {
    model,
    outputs:
      kind === 'plain'
        ? { loss: model.loss, logits, ...gradientsOf(model, mode) }
        : { logits, ...privateOutputs(model, 'flat', mode) },
    weights: frozenWeights(model, checkpoint, 0),
    feeds: {
      ...batchFeeds(batch, config, model.readsMask ? MASK : undefined, model.specialTokens),
      ...dropoutWords(model.dropoutSites, sizes, { seed: 1, step: 3, microBatch: 0 }),
      ...trainedFeeds(model, await noisyValues(model, checkpoint, deviation)),
      [LOSS_SCALE]: scalar(1 / count),
      max_grad_norm: scalar(0.5),
      example_weights: {
        dtype: 'float32',
        shape: [count],
        data: Float32Array.from({ length: count }, (_, index) => (index === 1 ? 0 : 1)),
      },
    },
  };
}
