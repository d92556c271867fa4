import { beforeAll, describe, expect, test } from 'vitest';
import type { CompileOptions } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { encodeDataset, type Dataset } from '../../src/engine/data/dataset.ts';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { eightBitPlan } from '../../src/engine/frozen-precision.ts';
import { shippedModelFolder } from '../../src/engine/shipped-models.ts';
import { loadTokenizer } from '../../src/engine/tokenizers/load.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep, type MethodStep } from '../support/every-method.ts';
import { device, smallOptions } from '../support/method-model.ts';

const sentences = [
  ['a gripping film that never lets go of its audience', 1],
  ['the plot is thin and the jokes are tired', 0],
  ['she gives one of the best performances in years', 1],
  ['two hours of my life that nobody will ever give back', 0],
  ['warm, funny and honest about growing old', 1],
  ['it looks like a commercial and has about as much to say', 0],
  ['the photography alone is worth the ticket', 1],
  ['a mess', 0],
  ['every scene is longer than it should be', 0],
  ['the director knows exactly what he wants, and gets it', 1],
  ['quiet, slow and beautiful', 1],
  ['nothing here was not done better elsewhere', 0],
] as const;

const LONGEST = 40;
const MASK = 4;

async function gradient({ model, outputs, weights, feeds }: MethodStep, options: CompileOptions): Promise<number[]> {
  const executable = await onnxBackend.compile(outputs, weights, options);
  try {
    const results = await executable.run(feeds);
    return model.trained.flatMap(({ name }) => Array.from(results[name]?.data ?? [], Number));
  } finally {
    await executable.dispose();
  }
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, each, index) => sum + each * (y[index] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe('in 8 bits a step of the encoder that ships has nearly the gradient of one in float32', () => {
  let checkpoint: EncoderCheckpoint;
  let sequences: Dataset;

  beforeAll(async () => {
    const folder = shippedModelFolder('peft-lab-mini') ?? '';
    checkpoint = await openEncoder(folder);
    const tokenizer = await loadTokenizer(folder);
    sequences = encodeDataset(
      sentences.map(([text, label]) => ({ text, label })),
      'classification',
      (text) => {
        const { ids } = tokenizer.encode(text);
        const masked = [...ids.slice(0, -1), MASK, ...ids.slice(-1)];
        const ends = new Set([0, masked.length - 1]);
        return { ids: masked, typeIds: masked.map(() => 0), special: masked.map((_, at) => (ends.has(at) ? 1 : 0)) };
      },
      LONGEST,
    );
  });

  // Nothing of the layers is frozen in full fine-tuning.
  test.each(methodIds().filter((id) => id !== 'full'))('of %s', async (id) => {
    const options = id === 'union' ? (smallOptions[id] ?? {}) : {};
    const step = await methodStep(checkpoint, id, 'plain', { sequences, deviation: 0.01, options });
    const exact = await gradient(step, device);
    const rounded = await gradient(step, { ...device, eightBit: await eightBitPlan(step.model, checkpoint) });
    expect(cosine(rounded, exact)).toBeGreaterThan(0.99);
    expect(rounded).not.toEqual(exact);
  });

  test('of a private step too, for each example by itself', async () => {
    const step = await methodStep(checkpoint, 'lora', 'private', { sequences, deviation: 0.01, options: {} });
    const rounded = await gradient(step, { ...device, eightBit: await eightBitPlan(step.model, checkpoint) });
    expect(cosine(rounded, await gradient(step, device))).toBeGreaterThan(0.99);
  });
});
