import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../../src/engine/backends/backend.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../src/engine/backends/tfjs/tfjs-backend.ts';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { methodStep, type MethodStep } from '../support/every-method.ts';
import { device } from '../support/method-model.ts';
import { makeTinyEncoder } from '../support/tiny-encoder.ts';

type Results = Readonly<Record<string, TensorData>>;

async function run({ outputs, weights, feeds }: MethodStep, backend: typeof onnxBackend): Promise<Results> {
  const executable = await backend.compile(outputs, weights, device);
  try {
    return await executable.run(feeds);
  } finally {
    await executable.dispose();
  }
}

function floats(results: Results, name: string): Float32Array {
  const tensor = results[name];
  if (tensor?.dtype !== 'float32') throw new Error(`there is no ${name}`);
  return tensor.data;
}

function greatest(numbers: Float32Array): number {
  return numbers.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
}

/**
 * The greatest difference of each result, as a share of its own size. A gradient that is zero but for rounding, as that of a key's bias,
 * is measured against the others.
 */
function differences(got: Results, want: Results): Readonly<Record<string, number>> {
  const names = Object.keys(want);
  const most = Math.max(...names.map((name) => greatest(floats(want, name))));
  return Object.fromEntries(
    names.map((name) => {
      const [a, b] = [floats(got, name), floats(want, name)];
      expect(a).toHaveLength(b.length);
      const difference = greatest(a.map((number, index) => number - (b[index] ?? NaN)));
      return [name, difference / Math.max(greatest(b), 1e-3 * most)];
    }),
  );
}

describe.each(['bert', 'roberta'] as const)('both engines agree on a %s', (family) => {
  let checkpoint: EncoderCheckpoint;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const made = await makeTinyEncoder({ model_type: family });
    ({ remove } = made);
    checkpoint = await openEncoder(made.folder);
  });

  afterAll(() => remove());

  describe.each(['plain', 'private'] as const)('in a %s step', (kind) => {
    test.each(methodIds())('of %s: outputs and each gradient', async (id) => {
      const step = await methodStep(checkpoint, id, kind);
      const [ours, theirs] = [await run(step, onnxBackend), await run(step, tfjsBackend)];
      expect(Object.keys(theirs)).toEqual(Object.keys(step.outputs));
      const far = Object.entries(differences(theirs, ours)).filter(([, difference]) => !(difference < 1e-4));
      expect(Object.fromEntries(far)).toEqual({});
      expect(greatest(floats(ours, step.model.trained[0]?.name ?? ''))).toBeGreaterThan(0);
    });
  });
});
