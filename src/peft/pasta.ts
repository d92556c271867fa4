import { z } from 'zod';
import { add, broadcast, dimAt, multiply, putRows, reshape } from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import { stays } from './folding.ts';
import { headOption } from './head-option.ts';
import type { EncoderSizes, Method, MethodHooks } from './method.ts';

/** The options of PASTA, wherever it is a part. */
const pastaOptions = {
  slots: z
    .int()
    .positive()
    .max(64)
    .exactOptional()
    .describe(
      'S: how many special tokens of a sequence are shifted, counted from its first; those that the tokenizer puts into one of the task when absent (2 around a sentence, 3 around a pair, 4 in RoBERTa).',
    ),
  vectors: z
    .enum(['per-slot', 'shared'])
    .default('per-slot')
    .describe('Whether every special token has its own vector in a layer, or all share one.'),
  initScale: z
    .number()
    .positive()
    .default(0.02)
    .describe('The deviation of the normal law that the vectors start from.'),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .exactOptional()
    .describe("Dropout on the vectors, drawn for each example; the encoder's own rate when absent."),
};

const options = z.strictObject({ ...pastaOptions, head: headOption('native') });

export interface PastaChoice {
  readonly slots: number;
  readonly vectors: 'per-slot' | 'shared';
  readonly initScale: number;
  readonly dropout?: number | undefined;
}

/** PASTA's shift of the special tokens as a hook; trained: `method.e.l` `[S, h]` of each layer l, `[1, h]` when shared. */
function declarePasta(
  { slots, vectors, initScale, dropout }: PastaChoice,
  { hiddenSize: width }: EncoderSizes,
  scope: ParameterScope,
): NonNullable<MethodHooks['beforeLayer']> {
  return (x, { layer, specialTokens }) => {
    const count = vectors === 'shared' ? 1 : slots;
    const own = scope.trained(`method.e.${layer}`, [count, width], { kind: 'normal', deviation: initScale });
    const { positions, present } = specialTokens(slots);
    const shape = [dimAt(x, 0), slots, width];
    const shifts: Value = scope.dropout(broadcast(reshape(own, [1, count, width]), shape), dropout);
    return add(x, putRows(multiply(shifts, present), positions, dimAt(x, 1)));
  };
}

/**
 * PASTA: before every layer l, trained vectors are added to the hidden states of the special tokens, e_{l,p} to the p-th of a sequence
 * (section 3). Special tokens are those that the tokenizer put around the texts, not words that look like them. Trained: the vectors and
 * the head.
 */
export const pasta: Method<z.infer<typeof options>> = {
  id: 'pasta',
  title: 'PASTA',
  citation:
    'Yang, Huang, Zhou and Chen, Parameter-Efficient Tuning with Special Token Adaptation, 2023, arXiv 2210.04382',
  description: 'Adds trained vectors to the special tokens before every layer.',
  options,
  training: { learningRate: 3e-3, weightDecay: 0 },
  build: ({ head, slots, ...choice }, encoder, scope) => {
    // A head that reads a mask token has both texts in one segment.
    const { single, pair } = encoder.specialTokens;
    const own = encoder.texts === 'pair' && head !== 'mask' ? pair : single;
    return {
      hooks: { beforeLayer: declarePasta({ ...choice, slots: slots ?? own }, encoder, scope) },
      head,
      dropout: true,
      folding: stays('shifts the special tokens alone'),
    };
  },
};
