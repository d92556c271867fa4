import { describe, expect, test } from 'vitest';
import { UserError } from '../../../../src/base/errors.ts';
import type { TensorData } from '../../../../src/engine/backends/backend.ts';
import { availableProviders, onnxBackend } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import { multiplyDims, symbol } from '../../../../src/engine/graph/dims.ts';
import { add, input, parameter, reshape, scatterAdd } from '../../../../src/engine/graph/operations.ts';
import { cpu, floats, noise, tensor } from './agreement.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const x = input('x', 'float32', [batch, sequence]);
const y = input('y', 'float32', [multiplyDims(batch, sequence)]);
const scale = parameter('scale', [3]);
const outputs = { sum: add(add(reshape(x, [multiplyDims(batch, sequence)]), y), reshape(scale, [3, 1])) };

const feeds: Readonly<Record<string, TensorData>> = {
  x: floats([1, 2], [1, 2]),
  y: floats([2], [10, 20]),
  scale: floats([3], [100, 200, 300]),
};

describe.each([onnxBackend, tfjsBackend])('on $name', (backend) => {
  describe('feeds', () => {
    const wrong: Readonly<Record<string, readonly [Readonly<Record<string, TensorData>>, string]>> = {
      'one is missing': [{ x: floats([1, 2], [1, 2]), y: floats([2], [1, 2]) }, 'float32[3] (scale) is not fed'],
      'another dtype': [{ ...feeds, x: tensor('int32', [1, 2], [1, 2]) }, '(x) is fed int32[1, 2]'],
      'another rank': [{ ...feeds, x: floats([2], [1, 2]) }, '(x) is fed float32[2]'],
      'another fixed size': [{ ...feeds, scale: floats([4], [1, 2, 3, 4]) }, '(scale) is fed the shape [4]'],
      'symbols that disagree': [{ ...feeds, y: floats([3], [1, 2, 3]) }, '(y) is fed the shape [3]'],
      'too few elements': [{ ...feeds, x: floats([2, 2], [1, 2]) }, '(x) is fed 2 elements for the shape [2, 2]'],
      'an axis of no elements': [{ ...feeds, x: floats([0, 2], []), y: floats([0], []) }, 'batch is 0'],
    };

    test.each(Object.entries(wrong))('%s', async (_, [given, message]) => {
      const executable = await backend.compile(outputs, new Map(), cpu);
      await expect(executable.run(given)).rejects.toThrow(message);
      const { sum } = await executable.run({ ...feeds, unused: floats([1], [0]) });
      expect(sum).toEqual(floats([3, 2], [111, 122, 211, 222, 311, 322]));
      await executable.dispose();
    });

    test('two inputs that disagree about a symbol are both named', async () => {
      const graph = { s: add(x, input('z', 'float32', [batch, sequence])) };
      const executable = await backend.compile(graph, new Map(), cpu);
      await expect(executable.run({ x: floats([1, 2], [1, 2]), z: floats([1, 1], [1]) })).rejects.toThrow(
        'sequence is 2 in float32[batch, sequence] (x) but 1 in float32[batch, sequence] (z)',
      );
      await executable.dispose();
    });
  });

  test('one executable runs at every size', async () => {
    const executable = await backend.compile(outputs, new Map(), cpu);
    for (const [rows, columns] of [
      [1, 1],
      [4, 3],
      [2, 6],
    ] as const) {
      const { sum } = await executable.run({
        x: floats([rows, columns], noise(rows * columns)),
        y: floats([rows * columns], noise(rows * columns)),
        scale: floats([3], [0, 0, 0]),
      });
      const doubled = noise(rows * columns).map((number) => 2 * number);
      expect(sum).toEqual(floats([3, rows * columns], [...doubled, ...doubled, ...doubled]));
    }
    await executable.dispose();
  });

  test('an executable that was disposed of says so', async () => {
    const executable = await backend.compile(outputs, new Map(), cpu);
    await executable.dispose();
    await executable.dispose();
    await expect(executable.run(feeds)).rejects.toThrow('disposed');
  });
});

test('an unknown provider is a user error that lists what there is', async () => {
  expect(await availableProviders()).toContain('cpu');
  const compiled = onnxBackend.compile(outputs, new Map(), { provider: 'cqu', threads: 1 });
  await expect(compiled).rejects.toThrow(UserError);
  await expect(compiled).rejects.toThrow('Did you mean "cpu"?');
});

test.each(['tensorrt', 'cuda', 'dml', 'coreml'])(
  '%s, where it is not, is a user error that says where it is',
  async (provider) => {
    if ((await availableProviders()).includes(provider)) return;
    const compiled = onnxBackend.compile(outputs, new Map(), { provider, threads: 1, index: 0 });
    await expect(compiled).rejects.toThrow(UserError);
    await expect(compiled).rejects.toThrow(/Linux x64 alone|doctor --install cuda|Windows|macOS/);
  },
);

test('repeated indices all add, with the same bits in every run and for every number of threads', async () => {
  const [rows, width, count] = [500, 64, 4096];
  const updates = input('updates', 'float32', [count, width]);
  const indices = input('indices', 'int32', [count]);
  const data = noise(count * width);
  const at = Int32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 7 : (i * 7919) % rows));
  const expected = new Float32Array(rows * width);
  at.forEach((row, i) => {
    for (let j = 0; j < width; j++) {
      expected[row * width + j] = (expected[row * width + j] ?? 0) + (data[i * width + j] ?? 0);
    }
  });
  for (const threads of [1, 2, 4]) {
    const executable = await onnxBackend.compile({ table: scatterAdd(updates, indices, rows) }, new Map(), {
      provider: 'cpu',
      threads,
    });
    for (let repeat = 0; repeat < 5; repeat++) {
      const { table } = await executable.run({
        updates: floats([count, width], data),
        indices: { dtype: 'int32', shape: [count], data: at },
      });
      expect(table?.data).toEqual(expected);
    }
    await executable.dispose();
  }
});
