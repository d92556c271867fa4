import { z } from 'zod';
import { linear } from '../engine/graph/functions.ts';
import { add, gemm, multiply } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';
import { chosenLayers, layersOption } from './chosen-layers.ts';
import { foldingUngated, gateOf, gateOptions } from './gate.ts';
import { headOption } from './head-option.ts';
import type { Method, Projection } from './method.ts';
import { projectionOption, widthsOf } from './projections.ts';

const options = z.strictObject({
  rank: z.int().positive().max(4096).default(8).describe('r: the inner width of the update B A.'),
  alpha: z
    .number()
    .positive()
    .default(16)
    .describe('The update is scaled by alpha / rank; a gate takes the place of that scale.'),
  targets: z
    .array(projectionOption)
    .nonempty()
    .default(['query', 'value'])
    .describe('The linear maps that get an update; the paper adapts query and value.'),
  layers: layersOption('updates'),
  rankStabilised: z
    .boolean()
    .default(false)
    .describe('Scale by alpha / √rank instead (rsLoRA, Kalajdzievski 2023, arXiv 2312.03732).'),
  dropout: z.number().min(0).lt(1).default(0).describe("Dropout on the update's input."),
  ...gateOptions,
  head: headOption('native'),
});

/**
 * LoRA: each target y = x Wᵀ + b becomes y + (alpha / rank) · (x Aᵀ) Bᵀ with A `[rank, in]`, B `[out, rank]` (equation 3). A starts from
 * Kaiming's uniform law with a = √5, which is U(-1/√in, 1/√in); B from zero, so the first step sees the pretrained function. Gated, the
 * update is g · (x Aᵀ) Bᵀ with a gate of its own for each map, which reads the map's input: alpha then has no effect, as in UniPELT.
 */
export const lora: Method<z.infer<typeof options>> = {
  id: 'lora',
  title: 'LoRA',
  citation: 'Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022, arXiv 2106.09685',
  description: 'Adds a trained low-rank update to chosen linear maps.',
  options,
  training: { learningRate: 5e-4 },
  privately: { learningRate: 5e-3 },
  build: ({ rank, alpha, targets, layers, rankStabilised, dropout, head, ...gating }, encoder, scope) => {
    const adapted = chosenLayers('lora', layers, encoder);
    const scale = alpha / (rankStabilised ? Math.sqrt(rank) : rank);
    const factors = (projection: Projection, layer: number): { readonly down: Value; readonly up: Value } => {
      const [from, to] = widthsOf(projection, encoder);
      const name = `method.layer.${layer}.${projection}`;
      return {
        down: scope.trained(`${name}.lora_A`, [rank, from], { kind: 'uniform', bound: 1 / Math.sqrt(from) }),
        up: scope.trained(`${name}.lora_B`, [to, rank], { kind: 'zeros' }),
      };
    };
    return {
      hooks: {
        projection: (result, x, projection, place) => {
          if (!targets.includes(projection) || !adapted.has(place.layer)) return result;
          const { down, up } = factors(projection, place.layer);
          const dropped = dropout === 0 ? x : scope.dropout(x, dropout);
          const narrow = linear(dropped, down);
          const gate = gateOf(gating, scope, projection, 'uniform');
          return add(result, linear(multiply(narrow, gate === undefined ? scale : gate(x, place)), up));
        },
      },
      head,
      dropout: true,
      readsAllRows: gating.gated,
      acts: targets.map((map) => ({ on: 'result', map, does: 'adds', reads: ['input'] })),
      folding: foldingUngated(gating, {
        kind: 'folds',
        steps: {
          results: (value, { module, layer, part }) => {
            const target = targets.find((projection) => projection === module);
            if (target === undefined || layer === undefined || !adapted.has(layer) || part !== 'weight') return value;
            const { down, up } = factors(target, layer);
            return gemm(up, down, { scale, bias: value });
          },
        },
      }),
    };
  },
};
