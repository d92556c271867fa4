import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../../src/engine/backends/backend.ts';
import { bindFeeds } from '../../src/engine/backends/feeds.ts';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { execute } from '../../src/engine/backends/tfjs/execute.ts';
import { planGraph } from '../../src/engine/backends/tfjs/plan.ts';
import { tfjsDTypes } from '../../src/engine/backends/tfjs/rules.ts';
import type { EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { methodIds } from '../../src/peft/registry.ts';
import { readTensors } from '../../src/engine/safetensors.ts';
import type { Value } from '../../src/engine/graph/value.ts';
import { methodStep, type MethodStep } from '../support/every-method.ts';
import { device } from '../support/method-model.ts';
import { openTinyEncoder } from '../support/tiny-checkpoint.ts';

/**
 * Three add rows to the hidden states in the forward pass, by an operation of which tfjs has no gradient (ScatterND); the fourth transforms
 * vectors by thousands of operations, and the tape keeps what each of them computed.
 */
const without = ['jr-warp', 'pasta', 'union', 'intrinsic-said'];

/** The numbers of the frozen weights, by name. */
async function frozenNumbers(
  { weights }: MethodStep,
  checkpoint: EncoderCheckpoint,
): Promise<ReadonlyMap<string, ArrayLike<number>>> {
  const numbers = new Map<string, ArrayLike<number>>();
  for (const [name, location] of weights) {
    if (location.kind === 'data') {
      numbers.set(name, location.data);
      continue;
    }
    const { name: inFile = '' } = checkpoint.tensors.get(name) ?? {};
    const { data } = (await readTensors(location.file, [inFile])).get(inFile) ?? {};
    if (!(data instanceof Float32Array)) throw new Error(`${name} was not read`);
    numbers.set(name, data);
  }
  return numbers;
}

/** The gradients of the loss by the library's own differentiation of the forward pass alone, by name. */
function gradientsByTfjs(
  { model, feeds }: MethodStep,
  frozen: ReadonlyMap<string, ArrayLike<number>>,
): ReadonlyMap<string, readonly number[]> {
  const plan = planGraph({ loss: model.loss });
  const sizes = bindFeeds(plan.inputs, feeds);
  const gradients = tf.tidy(() => {
    const made = new Map<Value, tf.Tensor>();
    const tensorOf = (value: Value, data: ArrayLike<number>, shape: readonly number[]): tf.Tensor => {
      const known = made.get(value) ?? tf.tensor(Array.from(data), [...shape], tfjsDTypes[value.dtype]);
      made.set(value, known);
      return known;
    };
    const fixed = (value: Value): tf.Tensor => {
      const { operation } = value;
      if (operation.kind === 'constant') return tensorOf(value, operation.data, value.shape as number[]);
      if (operation.kind === 'weight')
        return tensorOf(value, frozen.get(operation.name) ?? [], value.shape as number[]);
      const feed = 'name' in operation ? feeds[operation.name] : undefined;
      if (feed === undefined) throw new Error(`${operation.kind} is not fed`);
      return tensorOf(value, feed.data as Float32Array | Int32Array, feed.shape).clone();
    };
    const loss = (...trained: tf.Tensor[]): tf.Tensor => {
      const leaf = (value: Value): tf.Tensor => {
        const index = model.trained.findIndex((tensor) => tensor.value === value);
        return trained[index]?.clone() ?? fixed(value);
      };
      const steps = execute({ tf, wrapsProducts: false }, plan, leaf, sizes);
      for (;;) {
        const { done, value } = steps.next();
        const result = done === true ? value.get('loss') : undefined;
        if (result !== undefined) return result;
      }
    };
    const own = tf.grads(loss)(model.trained.map(({ value }) => fixed(value)));
    return own.map((gradient) => Array.from(gradient.dataSync()));
  });
  return new Map(model.trained.map(({ name }, index) => [name, gradients[index] ?? []]));
}

function numbers(tensor: TensorData | undefined): Float32Array {
  if (tensor?.dtype !== 'float32') throw new Error('a gradient is missing');
  return tensor.data;
}

const checkpoint = await openTinyEncoder();

describe("each gradient of a whole step is tfjs's own", () => {
  // It would recommend its faster packages at length.
  beforeAll(() => tf.enableProdMode());

  test.each(methodIds().filter((id) => !without.includes(id)))('%s', async (id) => {
    const step = await methodStep(checkpoint, id, 'plain');
    const executable = await onnxBackend.compile(step.outputs, step.weights, device);
    const ours = await executable.run(step.feeds);
    await executable.dispose();
    const theirs = gradientsByTfjs(step, await frozenNumbers(step, checkpoint));
    const sizeOf = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const most = Math.max(...[...theirs.values()].map(sizeOf));
    expect(most).toBeGreaterThan(0);
    for (const [name, want] of theirs) {
      const got = numbers(ours[name]);
      expect(got).toHaveLength(want.length);
      const difference = sizeOf(want.map((x, index) => x - (got[index] ?? NaN)));
      expect(difference / Math.max(sizeOf(want), 1e-3 * most), name).toBeLessThan(1e-4);
    }
  });
});
