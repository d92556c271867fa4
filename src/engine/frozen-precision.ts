import type { EncoderModule, EncoderTensor } from '../peft/method.ts';
import type { EightBitPlan } from './backends/backend.ts';
import type { Reading } from './graph/frozen-products.ts';
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

const FORWARD_AND_BACKWARD: ReadonlySet<Reading> = new Set(['transposed', 'straight']);
const BACKWARD: ReadonlySet<Reading> = new Set(['straight']);

/**
 * Which products with a layer's matrices are computed in 8 bits. Where a method trains rows that enter the first layer, that layer's
 * forward half stays in float32: it is the one whose rounding turns the small gradient of such rows (WARP's on MiniLM has a cosine of 0.3
 * to the exact one with all layers rounded, or with any other one spared, and of 0.93 with this one spared).
 */
function roundedReadings({ layer }: EncoderTensor, trainsRows: boolean): ReadonlySet<Reading> {
  return layer === 0 && trainsRows ? BACKWARD : FORWARD_AND_BACKWARD;
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
  const trainsRows = model.method.rows !== undefined;
  return new Map(
    matrices.map((used) => {
      const readings = roundedReadings(used.tensor, trainsRows);
      return [used.name, { readings, sizes: sizesOf(used) }] as const;
    }),
  );
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
