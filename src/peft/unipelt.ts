import { z } from 'zod';
import { adapterPfeiffer } from './adapter-pfeiffer.ts';
import { widthOptions } from './bottleneck.ts';
import { gateOptions } from './gate.ts';
import { headOption } from './head-option.ts';
import { joinParts, type Part } from './join-parts.ts';
import { lora } from './lora.ts';
import type { Method } from './method.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { placeOptions } from './prompt-rows.ts';
import { promptTuning, startOptions } from './prompt-tuning.ts';
import { register } from './registered-method.ts';

const shape = {
  prefixLength: z.int().positive().max(4096).default(10).describe('Rows before the keys and the values of each layer.'),
  prefixBottleneck: z
    .int()
    .positive()
    .max(65_536)
    .default(512)
    .describe('The inner width of the network that makes these rows.'),
  reparametrise: z
    .boolean()
    .default(true)
    .describe('Whether a network makes the rows; otherwise they are trained themselves.'),
  ...widthOptions({ reductionFactor: 16 }),
  rank: z.int().positive().max(4096).default(8).describe("The rank of LoRA's updates of query and value."),
  gated: gateOptions.gated.default(true),
  maskedGateMean: gateOptions.maskedGateMean,
  head: headOption('native'),
};

const options = z.strictObject(shape);

const promptOptions = z.strictObject({
  promptLength: z.int().positive().max(4096).default(10).describe('Trained rows in every sequence; they have no gate.'),
  ...placeOptions,
  // Behind the embedding layer word embeddings are small rows, which disturb a frozen encoder less than the authors' uniform ones do: on small
  // tasks it learns in fewer steps (docs/results.md).
  promptInit: startOptions.init
    .unwrap()
    .default('vocabulary')
    .describe('What the prompt starts from, as `init` of prompt-tuning; the authors start from the uniform law.'),
  promptInitScale: startOptions.initScale.describe('As `initScale` of prompt-tuning.'),
  ...shape,
});

/** Prefixes, a sequential adapter and LoRA, each with its gates. */
function gatedParts({
  prefixLength: length,
  prefixBottleneck,
  reparametrise,
  bottleneck,
  reductionFactor,
  rank,
  gated,
  maskedGateMean,
}: z.infer<typeof options>): readonly Part[] {
  const gates = { gated, maskedGateMean };
  return [
    { method: register(prefixTuning), options: { length, bottleneck: prefixBottleneck, reparametrise, ...gates } },
    { method: register(adapterPfeiffer), options: { ...given({ bottleneck, reductionFactor }), ...gates } },
    { method: register(lora), options: { rank, ...gates } },
  ];
}

/** Options that were given. */
function given(chosen: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
}

/**
 * UniPELT: reparametrised prefixes, a sequential adapter after each feed-forward block and LoRA on query and value, trained together; in
 * each layer gates decide for each example how much it gets of each (section 3.2, figure 2). As in the authors' code LoRA has a gate for
 * query and one for value, and the gate takes the place of alpha / rank.
 */
export const unipelt: Method<z.infer<typeof options>> = {
  id: 'unipelt',
  title: 'UniPELT',
  citation:
    'Mao et al., UniPELT: A Unified Framework for Parameter-Efficient Language Model Tuning, 2022, arXiv 2110.07577',
  description: 'A gated union of prefixes, adapters and LoRA.',
  options,
  training: { learningRate: 5e-4 },
  build: ({ head, ...chosen }, encoder, scope) => joinParts(gatedParts({ head, ...chosen }), head, encoder, scope),
};

/**
 * UniPELT with prompt tuning as a fourth, ungated part: trained rows in front of the embedded text (or after its first token), which get
 * no positions (section 3; its totals are met with 10 rows).
 */
export const unipeltPrompt: Method<z.infer<typeof promptOptions>> = {
  id: 'unipelt-prompt',
  title: 'UniPELT with a prompt',
  citation: 'Chen, Pang and Yang, Parameter-Efficient Fine-Tuning With Adapters, 2024, arXiv 2405.05493',
  description: 'A gated union of prefixes, adapters and LoRA, with trained rows in every sequence.',
  options: promptOptions,
  training: { learningRate: 5e-4 },
  build: (
    { promptLength: length, promptInit: init, promptInitScale: initScale, place, headReads, ...chosen },
    encoder,
    scope,
  ) =>
    joinParts(
      [
        ...gatedParts(chosen),
        { method: register(promptTuning), options: { length, init, initScale, place, headReads } },
      ],
      chosen.head,
      encoder,
      scope,
    ),
};
