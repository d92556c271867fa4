import type { CompileOptions } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { encodeDataset, type Dataset } from '../../src/engine/data/dataset.ts';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { shippedModelFolder } from '../../src/engine/shipped-models.ts';
import { loadTokenizer } from '../../src/engine/tokenizers/load.ts';
import type { MethodStep } from './every-method.ts';

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

/** The encoder that ships, and sentences of which each has a mask token before its end. */
export async function shippedEncoderAndSentences(): Promise<{
  readonly checkpoint: EncoderCheckpoint;
  readonly sequences: Dataset;
}> {
  const folder = shippedModelFolder('peft-lab-mini') ?? '';
  const tokenizer = await loadTokenizer(folder);
  const sequences = encodeDataset(
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
  return { checkpoint: await openEncoder(folder), sequences };
}

/** The gradient over all trained tensors, one after the other. */
export async function gradientOf(
  { model, outputs, weights, feeds }: MethodStep,
  options: CompileOptions,
): Promise<number[]> {
  const executable = await onnxBackend.compile(outputs, weights, options);
  try {
    const results = await executable.run(feeds);
    return model.trained.flatMap(({ name }) => Array.from(results[name]?.data ?? [], Number));
  } finally {
    await executable.dispose();
  }
}

export function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, each, index) => sum + each * (y[index] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
