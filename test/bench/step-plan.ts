import { join } from 'node:path';
import { z } from 'zod';
import { randomStream } from '../../src/base/random.ts';
import type { EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { drawFixed, isDrawnFixed } from '../../src/engine/initialise.ts';
import { buildModel, type ModelGraph, type ModelPlan } from '../../src/engine/model-graph.ts';
import { writeSafetensors, type WritableTensor } from '../../src/engine/safetensors.ts';

/** One step measurement, as both sides are told of it. */
export const stepPlan = z.object({
  checkpoint: z.string(),
  /** A safetensors file with the batch and the start values of everything that the checkpoint lacks, by our names. */
  start: z.string(),
  method: z.string(),
  options: z.record(z.string(), z.unknown()),
  dropout: z.number(),
  batch: z.int(),
  tokens: z.int(),
  threads: z.int(),
  learningRate: z.number(),
  weightDecay: z.number(),
  /** Our side alone: keep what enters each layer, and compute its inside again. */
  recompute: z.boolean().exactOptional(),
  /** Our side alone: what the encoder's frozen matrices are multiplied as. */
  frozenPrecision: z.enum(['float32', 'int8']).exactOptional(),
  /** Our side alone: the most tokens of a pass, in place of what the trainer takes. */
  tokensOfPass: z.int().exactOptional(),
});

export type StepPlan = z.output<typeof stepPlan>;

/** Options as the issue of each method's paper has them; the head is each method's own. */
export const methodOptions: Readonly<Record<'full' | 'lora' | 'slash', Readonly<Record<string, unknown>>>> = {
  full: {},
  lora: { rank: 8, alpha: 16, targets: ['query', 'value'] },
  slash: { dimension: 1024 },
};

export const SEED = 0;

/** What a position holds in the made-up batch; any ids would do. */
const [FIRST_WORD, WORDS, MASK] = [1000, 20_000, 103];

type Sizes = Pick<EncoderCheckpoint, 'config' | 'hasPooler'>;

export function modelPlanOf(plan: StepPlan, checkpoint: Sizes): ModelPlan {
  return {
    encoder: checkpoint.config,
    hasPooler: checkpoint.hasPooler,
    method: { id: plan.method, options: plan.options },
    objective: { kind: 'classification', labels: 2 },
    texts: 'single',
  };
}

export function modelOf(plan: StepPlan, checkpoint: Sizes): ModelGraph {
  return buildModel(modelPlanOf(plan, checkpoint), { dropout: plan.dropout === 0 ? 'off' : plan.dropout });
}

/** Writes what both sides begin from, so that they compute the same losses: a batch without padding and the start values. */
export async function writeStart(plan: StepPlan, checkpoint: Sizes): Promise<void> {
  const { trained, fixed } = modelOf(plan, checkpoint);
  const tensors = new Map<string, WritableTensor>();
  for (const { name, shape, initialiser } of [...trained, ...fixed]) {
    if (isDrawnFixed(initialiser)) tensors.set(name, { shape, data: drawFixed(initialiser, name, shape, SEED) });
  }
  const random = randomStream(SEED, 'bench.batch');
  const { batch, tokens } = plan;
  const ids = Int32Array.from({ length: batch * tokens }, () => FIRST_WORD + random.below(WORDS));
  const masks = Int32Array.from({ length: batch }, () => 1 + random.below(tokens - 2));
  masks.forEach((position, row) => {
    ids[row * tokens + position] = MASK;
  });
  tensors.set('batch.input_ids', { shape: [batch, tokens], data: ids });
  tensors.set('batch.mask_positions', { shape: [batch, 1], data: masks });
  tensors.set('batch.labels', { shape: [batch], data: Int32Array.from({ length: batch }, () => random.below(2)) });
  await writeSafetensors(plan.start, tensors);
}

/** Where the files of a run of the benchmark lie. */
export function filesOf(
  folder: string,
  encoder: string,
  name: string,
): { readonly checkpoint: string; readonly start: string } {
  return { checkpoint: join(folder, encoder), start: join(folder, `${name}.safetensors`) };
}
