import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, TensorData } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../src/engine/backends/tfjs/tfjs-backend.ts';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep, type MethodStep } from '../support/every-method.ts';
import { device } from '../support/method-model.ts';
import { makeTinyEncoder } from '../support/tiny-encoder.ts';

type Results = Readonly<Record<string, TensorData>>;

/** With so many there are layers below and above one that is computed again. */
const LAYERS = 4;

async function run({ outputs, weights, feeds }: MethodStep, backend: Backend, profile?: string): Promise<Results> {
  const executable = await backend.compile(outputs, weights, profile === undefined ? device : { ...device, profile });
  try {
    return await executable.run(feeds);
  } finally {
    await executable.dispose();
  }
}

function numbersOf(results: Results): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data, Number)]));
}

/** The greatest difference of any result, as a share of the greatest number among all of them. */
function difference(a: Results, b: Results): number {
  const [x, y] = [numbersOf(a), numbersOf(b)];
  expect(Object.keys(x)).toEqual(Object.keys(y));
  const most = Math.max(...Object.values(y).flat().map(Math.abs));
  const apart = Object.entries(x).flatMap(([name, numbers]) =>
    numbers.map((n, i) => Math.abs(n - (y[name]?.[i] ?? NaN))),
  );
  return apart.reduce((worst, each) => (each <= worst ? worst : each), 0) / most;
}

describe.each(['bert', 'roberta'] as const)('recomputation in a %s', (family) => {
  let checkpoint: EncoderCheckpoint;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const made = await makeTinyEncoder({ model_type: family, num_hidden_layers: LAYERS });
    ({ remove } = made);
    checkpoint = await openEncoder(made.folder);
  });

  afterAll(() => remove());

  describe.each(['plain', 'private'] as const)('changes no number of a %s step', (kind) => {
    test.each(methodIds())('of %s', async (id) => {
      const kept = await methodStep(checkpoint, id, kind);
      const recomputed = await methodStep(checkpoint, id, kind, { recompute: true });
      expect(difference(await run(recomputed, onnxBackend), await run(kept, onnxBackend))).toBeLessThan(1e-6);
      if (family === 'bert')
        expect(numbersOf(await run(recomputed, tfjsBackend))).toEqual(numbersOf(await run(kept, tfjsBackend)));
    });
  });
});

interface Ran {
  readonly operation: string;
  readonly result: string;
}

/** What the runtime computed, in its own order. */
async function profileOf(step: MethodStep): Promise<readonly Ran[]> {
  const folder = await mkdtemp(join(tmpdir(), 'recompute-'));
  try {
    await run(step, onnxBackend, join(folder, 'profile'));
    const [file = ''] = await readdir(folder);
    const events = JSON.parse(await readFile(join(folder, file), 'utf8')) as readonly {
      readonly cat: string;
      readonly name: string;
      readonly args: {
        readonly op_name: string;
        readonly output_type_shape: readonly Readonly<Record<string, readonly number[]>>[];
      };
    }[];
    return events
      .filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
      .map(({ args }) => ({
        operation: args.op_name,
        result: Object.values(args.output_type_shape[0] ?? {}).join(),
      }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("what onnxruntime's optimiser leaves of it", () => {
  let checkpoint: EncoderCheckpoint;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const made = await makeTinyEncoder({ num_hidden_layers: LAYERS });
    ({ remove } = made);
    checkpoint = await openEncoder(made.folder);
  });

  afterAll(() => remove());

  /** The order of the layers' attention (S) and of their gradients of LoRA's first factor (G), two a layer. */
  async function orderOf(step: MethodStep): Promise<string> {
    const rank = step.model.trained.find(({ name }) => /lora_A/i.test(name))?.shape.join() ?? '';
    expect(rank).not.toBe('');
    const ran = await profileOf(step);
    return ran
      .flatMap(({ operation, result }) =>
        operation === 'Softmax' ? 'S' : operation === 'Gemm' && result === rank ? 'G' : [],
      )
      .join('');
  }

  test('every layer but the last is computed a second time, when the gradients above it are done', async () => {
    const kept = await orderOf(await methodStep(checkpoint, 'lora', 'plain'));
    const recomputed = await orderOf(await methodStep(checkpoint, 'lora', 'plain', { recompute: true }));
    expect(kept).toBe('SSSS' + 'GG'.repeat(LAYERS));
    expect(recomputed).toBe('SSSS' + 'GG' + 'SGG'.repeat(LAYERS - 1));
  });

  test('so it is in a private step, where gradients are formed for each example', async () => {
    const step = await methodStep(checkpoint, 'lora', 'private', { recompute: true });
    const [rank = 0, width = 0] = step.model.trained.find(({ name }) => /lora_A/i.test(name))?.shape ?? [];
    const ran = await profileOf(step);
    const order = ran.flatMap(({ operation, result }) =>
      operation === 'Softmax'
        ? 'S'
        : result === [3, rank, width].join() || result === [3, width, rank].join()
          ? 'g'
          : [],
    );
    expect(order.join('').replaceAll(/g+/g, 'g')).toBe('SSSS' + 'g' + 'Sg'.repeat(LAYERS - 1));
  });

  test('below the lowest trained tensor nothing is computed again', async () => {
    const head = await profileOf(await methodStep(checkpoint, 'head', 'plain', { recompute: true }));
    expect(head.filter(({ operation }) => operation === 'Softmax')).toHaveLength(LAYERS);
  });
});
