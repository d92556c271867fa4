import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { add, multiply, reshape, slice } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { fastfood, transformSize } from './fastfood.ts';
import type { FoldTensor } from './folding.ts';
import { headOption } from './head-option.ts';
import type { EncoderModule, EncoderTensor, Method } from './method.ts';
import { projections } from './projections.ts';

const layerModules = [...projections, 'attentionNorm', 'outputNorm'] as const satisfies readonly EncoderModule[];

const outsideModules = [
  'wordEmbeddings',
  'positionEmbeddings',
  'embeddingNorm',
] as const satisfies readonly EncoderModule[];

type Target = (typeof layerModules)[number] | (typeof outsideModules)[number];

const options = z.strictObject({
  dimension: z
    .int()
    .positive()
    .max(10_000_000)
    .default(20_000)
    .describe("d': how many numbers are trained, the scales of the tensors included."),
  targets: z
    .array(z.enum([...layerModules, ...outsideModules]))
    .nonempty()
    .default(['query', 'value'])
    .describe(
      'The modules whose weights move. The paper moves all; every tensor costs 8 bytes of fixed random numbers for each of its entries, padded to a power of two.',
    ),
  biases: z.boolean().default(false).describe('The biases of the targets move too.'),
  structureAware: z
    .boolean()
    .default(true)
    .describe('Each tensor has a trained scale (SAID); without, all of the dimension is shared (DID).'),
  head: headOption('native'),
});

/** The tensors that move, in the order of their scales. */
function movedTensors(
  { targets, biases }: Pick<z.infer<typeof options>, 'targets' | 'biases'>,
  layers: number,
): readonly EncoderTensor[] {
  const partsOf = (module: Target): readonly EncoderTensor['part'][] =>
    biases && module !== 'wordEmbeddings' && module !== 'positionEmbeddings' ? ['weight', 'bias'] : ['weight'];
  const outside = outsideModules.filter((module) => targets.includes(module));
  const inside = layerModules.filter((module) => targets.includes(module));
  return [
    ...outside.flatMap((module) => partsOf(module).map((part) => ({ module, layer: undefined, part }))),
    ...Array.from({ length: layers }, (_, layer) =>
      inside.flatMap((module) => partsOf(module).map((part) => ({ module, layer, part }))),
    ).flat(),
  ];
}

function keyOf({ module, layer, part }: EncoderTensor): string {
  return layer === undefined ? `${module}.${part}` : `layer.${layer}.${module}.${part}`;
}

/** What fits into a compiled model beside the graph. */
const MOST_FIXED_BYTES = 1.6e9;

/**
 * Intrinsic SAID: every covered tensor is θ_i = θ_i,0 + λ_i P_i(θ') with one trained θ' `[d' - m]` from zero for the whole model, one
 * trained λ_i from 1 for each of the m tensors, and a fixed random Fastfood map P_i (section 3.1, equations 2 and 3). The first step sees the
 * pretrained function. The gradient is that of the map itself; the released code scales the backward transform by another factor than the
 * forward one, which Adam does not notice. A tensor smaller than θ' gets a transform that holds all of θ', where that code cuts θ' off.
 */
export const intrinsicSaid: Method<z.infer<typeof options>> = {
  id: 'intrinsic-said',
  title: 'Intrinsic SAID',
  citation:
    'Aghajanyan, Gupta and Zettlemoyer, Intrinsic Dimensionality Explains the Effectiveness of Language Model Fine-Tuning, 2021, arXiv 2012.13255',
  description: 'Moves weights along random directions of one small trained vector.',
  options,
  training: { learningRate: 1e-3, weightDecay: 0 },
  build: ({ dimension, structureAware, head, ...covered }, encoder, scope) => {
    const tensors = movedTensors(covered, encoder.layers);
    const scales = structureAware ? tensors.length : 0;
    const shared = dimension - scales;
    if (shared < 1) {
      throw new UserError(
        `intrinsic-said: dimension ${dimension} must be above ${scales}, the number of tensors with a scale of their own`,
        `Set dimension to ${scales + 1} at least, or choose fewer targets.`,
      );
    }
    const vector = scope.trained('method.theta', [shared], { kind: 'zeros' });
    const lambda = structureAware ? scope.trained('method.lambda', [scales], { kind: 'ones' }) : undefined;
    const places = new Map(tensors.map((tensor, index) => [keyOf(tensor), index]));
    const moved = new Map<string, Value>();
    let fixedBytes = 0;
    const move = (value: Value, key: string, place: number): Value => {
      const size = value.shape.reduce<number>((product, dim) => product * Number(dim), 1);
      // An int32 and a float32 for each place of the transform.
      fixedBytes += 8 * transformSize(shared, size);
      if (fixedBytes > MOST_FIXED_BYTES) {
        throw new UserError(
          `intrinsic-said: the fixed random numbers of ${tensors.length} tensors take more than ${MOST_FIXED_BYTES / 1e9} GB`,
          'Choose fewer targets.',
        );
      }
      const step = fastfood(vector, shared, size, `frozen.${key}`, scope);
      const scaled = lambda === undefined ? step : multiply(step, slice(lambda, 0, place, place + 1));
      return add(value, reshape(scaled, value.shape));
    };
    const movedTensor: FoldTensor = (value, tensor) => {
      const key = keyOf(tensor);
      const place = places.get(key);
      if (place === undefined) return value;
      const known = moved.get(key) ?? move(value, key, place);
      moved.set(key, known);
      return known;
    };
    return {
      hooks: { tensor: movedTensor },
      head,
      dropout: true,
      folding: { kind: 'folds', steps: { tensors: movedTensor } },
    };
  },
};
