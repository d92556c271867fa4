import { z } from 'zod';
import type { Initialiser, ParameterScope } from '../engine/graph/parameters.ts';
import type { AddedRows, EncoderSizes } from './method.ts';

/** Options of methods that put rows into the sequence: where they stand, and whether a head counts them. */
export const placeOptions = {
  place: z
    .enum(['before-text', 'after-first-token'])
    .default('before-text')
    .describe('Where the rows stand: before the text, or after its first token ([CLS], <s>).'),
  headReads: z
    .enum(['text', 'unshifted'])
    .default('text')
    .describe(
      "Which row a head reads that reads one: the text's own first token or mask token, or the row that is at its place once rows were added, as in the released code of several papers.",
    ),
};

/** The law that prompt rows start from. */
export const promptInit = ['uniform', 'normal', 'vocabulary', 'mask', 'zeros'] as const;

export interface PromptChoice {
  readonly count: number;
  readonly init: (typeof promptInit)[number];
  /** The bound of the uniform law, or the deviation of the normal one. */
  readonly initScale: number;
  readonly enter: AddedRows['enter'];
  readonly place: AddedRows['place'];
  readonly headReads: AddedRows['headReads'];
}

function startOf({ init, initScale }: PromptChoice): Initialiser {
  switch (init) {
    case 'uniform':
      return { kind: 'uniform', bound: initScale };
    case 'normal':
      return { kind: 'normal', deviation: initScale };
    case 'vocabulary':
      return { kind: 'wordEmbeddings', of: 'drawn' };
    case 'mask':
      return { kind: 'wordEmbeddings', of: 'mask' };
    case 'zeros':
      return { kind: 'zeros' };
  }
}

/**
 * Trained rows for every sequence, `[count, width]`; the width is that of what they enter.
 * @param name of the trained tensor
 */
export function declarePrompt(
  choice: PromptChoice,
  encoder: EncoderSizes,
  scope: ParameterScope,
  name = 'method.prompt',
): AddedRows {
  const { count, enter, place, headReads } = choice;
  const width = enter === 'before-layers' ? encoder.hiddenSize : encoder.embeddingSize;
  return { count, rows: scope.trained(name, [count, width], startOf(choice)), enter, place, headReads };
}
