import { randomStream } from '../../src/base/random.ts';
import type { WeightSource } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { assembleBatch } from '../../src/engine/data/batches.ts';
import { encodeDataset, type Dataset } from '../../src/engine/data/dataset.ts';
import { startValues, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { batchFeeds } from '../../src/engine/feeds.ts';
import type { ModelGraph, ModelPlan } from '../../src/engine/model-graph.ts';
import { trainedFeeds } from '../../src/engine/training-step.ts';

const [CLS, SEP, MASK] = [2, 3, 4];

export const device = { provider: 'cpu', threads: 1 };

const narrow = { bottleneck: 4 };

/** Options that a method needs on the tiny encoder, where its defaults do not fit. */
export const smallOptions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'adapter-low-rank': narrow,
  'adapter-phm': { n: 2, ...narrow },
  compacter: { n: 2, ...narrow },
  'compacter++': { n: 2, ...narrow },
  union: { parts: [{ id: 'pasta' }, { id: 'lora', gated: true }] },
};

/** A method with its options on an encoder, to tell two classes. */
export function planOf(
  { config, hasPooler }: Pick<EncoderCheckpoint, 'config' | 'hasPooler'>,
  id: string,
  options: Readonly<Record<string, unknown>>,
): ModelPlan {
  return {
    encoder: config,
    hasPooler,
    method: { id, options },
    objective: { kind: 'classification', labels: 2 },
    texts: 'single',
  };
}

/** Random sequences of the tiny encoder's tokens, of several lengths, each with one mask token. */
export function makeSequences(count: number, seed: number): Dataset {
  const random = randomStream(seed, 'sequences');
  const examples = Array.from({ length: count }, () => ({
    text: Array.from({ length: 2 + random.below(9) }, () => 5 + random.below(50)).join(' '),
    label: random.below(2),
  }));
  const encode = (text: string): { ids: number[]; typeIds: number[]; special: number[] } => {
    const ids = [CLS, ...text.split(' ').map(Number), MASK, SEP];
    return { ids, typeIds: ids.map(() => 0), special: ids.map((id) => (id === CLS || id === SEP ? 1 : 0)) };
  };
  return encodeDataset(examples, 'classification', encode, 40);
}

/** Start values with noise on them, as after some steps of training: no tensor is left at zero or one. */
export async function noisyValues(
  model: ModelGraph,
  checkpoint: EncoderCheckpoint,
  deviation: number,
): Promise<Map<string, Float32Array>> {
  const values = await startValues(model, checkpoint, 0);
  for (const [name, data] of values) {
    const random = randomStream(7, name);
    for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) + deviation * random.normal();
  }
  return values;
}

/** Logits `[examples, 2]`, row-major; `multipleOf` pads further. */
export async function logitsOf(
  model: ModelGraph,
  weights: WeightSource,
  values: ReadonlyMap<string, Float32Array>,
  config: EncoderCheckpoint['config'],
  data: Dataset,
  multipleOf = 1,
): Promise<readonly number[]> {
  const { logits } = model.outputs;
  if (logits === undefined) throw new Error('the model has no logits');
  const executable = await onnxBackend.compile({ logits }, weights, device);
  try {
    const batch = assembleBatch(
      data,
      Uint32Array.from({ length: data.count }, (_, index) => index),
      {
        padId: config.padTokenId,
        multipleOf,
      },
    );
    const { labels: _labels, ...feeds } = batchFeeds(
      batch,
      config,
      model.readsMask ? MASK : undefined,
      model.specialTokens,
    );
    const results = await executable.run({ ...feeds, ...trainedFeeds(model, values) });
    if (results['logits']?.dtype !== 'float32') throw new Error('the graph gives no logits');
    return [...results['logits'].data];
  } finally {
    await executable.dispose();
  }
}
