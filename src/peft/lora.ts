import { z } from 'zod';
import { linear } from '../engine/graph/functions.ts';
import { add, multiply } from '../engine/graph/operations.ts';
import { headOption } from './head-option.ts';
import type { Method, Projection } from './method.ts';

const projections = [
  'query',
  'key',
  'value',
  'attentionOutput',
  'intermediate',
  'output',
] as const satisfies readonly Projection[];

const options = z.strictObject({
  rank: z.int().positive().max(4096).default(8).describe('r: the inner width of the update B A.'),
  alpha: z.number().positive().default(16).describe('The update is scaled by alpha / rank.'),
  targets: z
    .array(z.enum(projections))
    .nonempty()
    .default(['query', 'value'])
    .describe('The linear maps that get an update; the paper adapts query and value.'),
  rankStabilised: z
    .boolean()
    .default(false)
    .describe('Scale by alpha / √rank instead (rsLoRA, Kalajdzievski 2023, arXiv 2312.03732).'),
  dropout: z.number().min(0).lt(1).default(0).describe("Dropout on the update's input."),
  head: headOption('native'),
});

/**
 * LoRA: each target y = x Wᵀ + b becomes y + (alpha / rank) · (x Aᵀ) Bᵀ with A `[rank, in]`, B `[out, rank]` (equation 3). A starts from
 * Kaiming's uniform law with a = √5, which is U(-1/√in, 1/√in); B from zero, so the first step sees the pretrained function.
 */
export const lora: Method<z.infer<typeof options>> = {
  id: 'lora',
  title: 'LoRA',
  citation: 'Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022, arXiv 2106.09685',
  description: 'Adds a trained low-rank update to chosen linear maps.',
  options,
  build: ({ rank, alpha, targets, rankStabilised, dropout, head }, encoder, scope) => {
    const scale = alpha / (rankStabilised ? Math.sqrt(rank) : rank);
    const widths = (projection: Projection): readonly [number, number] => {
      const { hiddenSize: hidden, intermediateSize: intermediate } = encoder;
      if (projection === 'intermediate') return [hidden, intermediate];
      return projection === 'output' ? [intermediate, hidden] : [hidden, hidden];
    };
    return {
      hooks: {
        projection: (result, x, projection, { layer }) => {
          if (!targets.includes(projection)) return result;
          const [from, to] = widths(projection);
          const name = `method.layer.${layer}.${projection}`;
          const down = scope.trained(`${name}.lora_A`, [rank, from], { kind: 'uniform', bound: 1 / Math.sqrt(from) });
          const up = scope.trained(`${name}.lora_B`, [to, rank], { kind: 'zeros' });
          const dropped = dropout === 0 ? x : scope.dropout(x, dropout);
          return add(result, linear(multiply(linear(dropped, down), scale), up));
        },
      },
      head,
      dropout: true,
    };
  },
};
