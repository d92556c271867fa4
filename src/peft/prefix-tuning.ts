import { z } from 'zod';
import { stays } from './folding.ts';
import { gateOf, gateOptions } from './gate.ts';
import { headOption } from './head-option.ts';
import type { Method } from './method.ts';
import { declarePrefix, FLAT_ROWS, prefixTable } from './prefix-rows.ts';
import { recordedScope } from './recorded-scope.ts';

/** The options of a prefix, wherever it is a part. */
const prefixOptions = {
  length: z.int().positive().max(4096).default(10).describe('p: rows before the keys and the values of each layer.'),
  reparametrise: z
    .boolean()
    .default(false)
    .describe(
      'Whether a network of two layers makes the rows, as Li and Liang train them; once it is trained, they are plain rows.',
    ),
  bottleneck: z.int().positive().max(65_536).default(512).describe("m: the network's inner width."),
  dropout: z.number().min(0).lt(1).default(0).describe('Dropout on the rows, drawn for each example.'),
};

const options = z.strictObject({
  ...prefixOptions,
  initScale: z
    .number()
    .positive()
    .default(1)
    .describe("The deviation that the rows, or the network's own rows, start with."),
  shiftPositions: z
    .boolean()
    .default(false)
    .describe(
      "Whether the text's positions are counted from p, as in Hugging Face PEFT; the rows then take room in the position table.",
    ),
  ...gateOptions,
  head: headOption('native'),
});

/**
 * Prefix tuning: p trained rows stand before the keys and the values of every layer; each token attends to them, nothing else changes
 * (section 4.2). Flat, the rows are trained themselves (P-tuning v2); reparametrised, they come out of a network with tanh (section 4.3).
 */
export const prefixTuning: Method<z.infer<typeof options>> = {
  id: 'prefix-tuning',
  title: 'Prefix tuning',
  citation:
    'Li and Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation, 2021, arXiv 2101.00190; flat: Liu et al., P-Tuning v2, 2022, arXiv 2110.07602',
  description: "Puts trained rows before every layer's keys and values.",
  options,
  training: { learningRate: 1e-2, weightDecay: 0 },
  build: ({ head, shiftPositions, ...choice }, encoder, scope) => {
    const gates = recordedScope(scope);
    return {
      hooks: { prefix: declarePrefix(choice, encoder, scope, gateOf(choice, gates.scope, 'prefix', 'uniform')) },
      head,
      dropout: true,
      positionOffset: shiftPositions ? choice.length : 0,
      folding: choice.reparametrise
        ? {
            kind: 'folds',
            remainder: {
              method: {
                id: 'prefix-tuning',
                options: { ...choice, shiftPositions, head, reparametrise: false },
              },
              tensors: () => new Map([...gates.declared, [FLAT_ROWS, prefixTable(choice, encoder, scope)]]),
              reason: 'has rows before the keys and values',
            },
          }
        : stays('has plain rows before the keys and values already'),
    };
  },
};
