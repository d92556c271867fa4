import { z } from 'zod';
import { adapterPfeiffer } from './adapter-pfeiffer.ts';
import { widthOptions } from './bottleneck.ts';
import { gateOptions } from './gate.ts';
import { headOption } from './head-option.ts';
import { joinParts, type Part } from './join-parts.ts';
import { lora } from './lora.ts';
import type { Method } from './method.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { register } from './registered-method.ts';

/** The options of UniPELT, with a prompt or without. */
export const unipeltShape = {
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

const options = z.strictObject(unipeltShape);

/** Prefixes, a sequential adapter and LoRA, each with its gates. */
export function unipeltParts({
  prefixLength: length,
  prefixBottleneck,
  reparametrise,
  bottleneck,
  reductionFactor,
  rank,
  gated,
  maskedGateMean,
}: Omit<z.infer<typeof options>, 'head'>): readonly Part[] {
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
  // With a shorter warm-up it may never leave the more frequent label (docs/results.md, CoLA).
  training: { learningRate: 5e-4, warmup: 0.3 },
  build: ({ head, ...chosen }, encoder, scope) => joinParts(unipeltParts(chosen), head, encoder, scope),
};
