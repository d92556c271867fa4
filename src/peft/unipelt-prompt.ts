import { z } from 'zod';
import { joinParts, type Part } from './join-parts.ts';
import type { Method } from './method.ts';
import { placeOptions } from './prompt-rows.ts';
import { promptTuning, startOptions } from './prompt-tuning.ts';
import { register } from './registered-method.ts';
import { unipeltParts, unipeltShape } from './unipelt.ts';

const options = z.strictObject({
  promptLength: z.int().positive().max(4096).default(10).describe('Trained rows in every sequence; they have no gate.'),
  ...placeOptions,
  // Behind the embedding layer word embeddings are small rows, which disturb a frozen encoder less than the authors' uniform ones do: on small
  // tasks it learns in fewer steps (docs/results.md).
  promptInit: startOptions.init
    .unwrap()
    .default('vocabulary')
    .describe('What the prompt starts from, as `init` of prompt-tuning; the authors start from the uniform law.'),
  promptInitScale: startOptions.initScale.describe('As `initScale` of prompt-tuning.'),
  ...unipeltShape,
});

/** The parts of UniPELT, and the prompt behind them. */
export function unipeltPromptParts({
  promptLength: length,
  promptInit: init,
  promptInitScale: initScale,
  place,
  headReads,
  ...chosen
}: Omit<z.infer<typeof options>, 'head'>): readonly Part[] {
  return [
    ...unipeltParts(chosen),
    { method: register(promptTuning), options: { length, init, initScale, place, headReads } },
  ];
}

/**
 * UniPELT with prompt tuning as a fourth, ungated part: trained rows in front of the embedded text (or after its first token), which get
 * no positions (section 3; its totals are met with 10 rows).
 */
export const unipeltPrompt: Method<z.infer<typeof options>> = {
  id: 'unipelt-prompt',
  title: 'UniPELT with a prompt',
  citation: 'Chen, Pang and Yang, Parameter-Efficient Fine-Tuning With Adapters, 2024, arXiv 2405.05493',
  description: 'A gated union of prefixes, adapters and LoRA, with trained rows in every sequence.',
  options,
  training: { learningRate: 5e-4 },
  build: ({ head, ...chosen }, encoder, scope) => joinParts(unipeltPromptParts(chosen), head, encoder, scope),
};
