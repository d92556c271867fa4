import type { EncoderModule, EncoderTensor } from '../peft/method.ts';
import type { EightBitPlan } from './backends/backend.ts';
import { readEncoderTensors, type EncoderCheckpoint } from './encoder-checkpoint.ts';
import { tensorName } from './encoders/tensor-names.ts';
import { layerMatrices, type ModelGraph, type UsedTensor } from './model-graph.ts';

/** How many of its deviations a channel is taken to reach beyond its mean. */
const REACH = 2;

type Read = (module: EncoderModule, layer: number | undefined, part: EncoderTensor['part']) => Float32Array;

/** The sizes of what a norm gives: its shift, and its scale times numbers of deviation 1. */
function normSizes(scale: Float32Array, shift: Float32Array): Float32Array {
  return scale.map((factor, channel) => Math.abs(shift[channel] ?? 0) + REACH * Math.abs(factor));
}

/** The norm whose output a linear map of a layer reads; none where something else comes between. */
function normBefore(
  { module, layer }: EncoderTensor,
  projected: boolean,
): [EncoderModule, number | undefined] | undefined {
  if (module === 'intermediate') return ['attentionNorm', layer];
  if (module !== 'query' && module !== 'key' && module !== 'value') return undefined;
  if (layer !== undefined && layer > 0) return ['outputNorm', layer - 1];
  return projected ? undefined : ['embeddingNorm', undefined];
}

/**
 * The frozen matrices of the encoder's layers, with the sizes of the channels that they are multiplied with where the weights tell them. A
 * few channels of an encoder are many times larger than the rest, always the same ones; on one scale with these the others would be
 * rounded to nothing. The sizes follow from the norm before, so no text has to be looked at: what is told of private texts would have
 * to be paid for.
 */
export async function eightBitPlan(model: ModelGraph, checkpoint: EncoderCheckpoint): Promise<EightBitPlan> {
  const { config } = checkpoint;
  const matrices = layerMatrices(model).filter(({ value }) => value.operation.kind === 'weight');
  const read = await readerOf(checkpoint);
  const projected = config.embeddingSize !== config.hiddenSize;
  const sizesOf = ({ tensor }: UsedTensor): Float32Array | undefined => {
    const norm = normBefore(tensor, projected);
    return norm === undefined ? undefined : normSizes(read(...norm, 'weight'), read(...norm, 'bias'));
  };
  return new Map(matrices.map((used) => [used.name, sizesOf(used)]));
}

/** Reads the norms. */
async function readerOf(checkpoint: EncoderCheckpoint): Promise<Read> {
  const { config } = checkpoint;
  const nameOf = (module: EncoderModule, layer: number | undefined, part: EncoderTensor['part']): string =>
    tensorName(config, { module, layer, part });
  const both = (module: EncoderModule, layer?: number): readonly string[] => [
    nameOf(module, layer, 'weight'),
    nameOf(module, layer, 'bias'),
  ];
  const names = [
    ...both('embeddingNorm'),
    ...Array.from({ length: config.layers }, (_, layer) =>
      (['attentionNorm', 'outputNorm'] as const).flatMap((module) => both(module, layer)),
    ).flat(),
  ];
  const tensors = await readEncoderTensors(checkpoint, new Set(names));
  return (module, layer, part) => tensors.get(nameOf(module, layer, part)) ?? new Float32Array();
}
