import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Rank, Tensor } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileError } from '../../../../src/base/errors.ts';
import { OutOfMemoryError, type WeightLocation } from '../../../../src/engine/backends/backend.ts';
import { findTfjs, type TfjsLibrary } from '../../../../src/engine/backends/tfjs/library.ts';
import { isResident, planGraph } from '../../../../src/engine/backends/tfjs/plan.ts';
import { backendOn } from '../../../../src/engine/backends/tfjs/tfjs-backend.ts';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { symbol } from '../../../../src/engine/graph/dims.ts';
import { linear, mean } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  exp,
  gather,
  gelu,
  gemm,
  input,
  layerNorm,
  multiply,
  parameter,
  softmax,
  weight,
} from '../../../../src/engine/graph/operations.ts';
import { createDropoutSites } from '../../../../src/engine/graph/random-mask.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';
import { cpu, floats, noise, tensor } from './agreement.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const WIDTH = 8;

let library: TfjsLibrary;

beforeAll(async () => {
  library = await findTfjs();
});

/** What the library holds at this moment. */
function held(): { readonly tensors: number; readonly buffers: number } {
  const { numTensors, numDataBuffers } = library.tf.memory();
  return { tensors: numTensors, buffers: numDataBuffers };
}

/** A layer with dropout and frozen weights, its loss and the gradients of what is trained. */
function trainingStep(): Readonly<Record<string, Value>> {
  const ids = input('ids', 'int32', [batch, sequence]);
  const [down, up] = [parameter('down', [2, WIDTH]), parameter('up', [WIDTH, 2])];
  const scale = parameter('scale', [WIDTH]);
  const rows = createDropoutSites().apply(gather(weight('table', [11, WIDTH]), ids), 0.25);
  const hidden = layerNorm(rows, scale, weight('shift', [WIDTH]), 1e-12);
  const changed = add(gelu(linear(hidden, weight('dense', [WIDTH, WIDTH]))), linear(linear(hidden, down), up));
  const loss = mean(multiply(softmax(changed), changed));
  const [ofDown, ofUp, ofScale] = differentiate(loss, [down, up, scale]) as [Value, Value, Value];
  return { loss, ofDown, ofUp, ofScale };
}

const weights = new Map<string, WeightLocation>([
  ['table', { kind: 'data', shape: [11, WIDTH], data: Float32Array.from(noise(11 * WIDTH, 2)) }],
  ['shift', { kind: 'data', shape: [WIDTH], data: Float32Array.from(noise(WIDTH, 3)) }],
  ['dense', { kind: 'data', shape: [WIDTH, WIDTH], data: Float32Array.from(noise(WIDTH * WIDTH, 4)) }],
]);

function stepFeeds(rows: number, tokens: number) {
  const words = (count: number, seed: number): readonly number[] =>
    noise(count, seed).map((x) => Math.trunc(x * 2 ** 31));
  return {
    ids: tensor(
      'int32',
      [rows, tokens],
      noise(rows * tokens, 5).map((x) => Math.floor((x + 1) * 5.5)),
    ),
    'dropout.0.rows': tensor(
      'int32',
      [rows * tokens],
      words(rows * tokens, 6).map((x) => x | 1),
    ),
    'dropout.0.columns': tensor('int32', [2, WIDTH], words(2 * WIDTH, 7)),
    down: floats([2, WIDTH], noise(2 * WIDTH, 8)),
    up: floats([WIDTH, 2], noise(2 * WIDTH, 9)),
    scale: floats([WIDTH], noise(WIDTH, 10)),
  };
}

describe('memory', () => {
  test('a step leaves only the frozen weights and constants, at every size, and disposing them too', async () => {
    const before = held();
    const executable = await backendOn(library).compile(trainingStep(), weights, cpu);
    const resident = held();
    expect(resident.tensors).toBeGreaterThanOrEqual(before.tensors + weights.size);
    for (const [rows, tokens] of [
      [2, 3],
      [4, 5],
      [1, 1],
      [4, 5],
    ] as const) {
      const results = await executable.run(stepFeeds(rows, tokens));
      expect(Object.keys(results)).toEqual(['loss', 'ofDown', 'ofUp', 'ofScale']);
      expect(held()).toEqual(resident);
    }
    await executable.dispose();
    expect(held()).toEqual(before);
  });

  test('a run that fails on the way, and a graph that cannot be compiled, leave nothing', async () => {
    const before = held();
    const executable = await backendOn(library).compile(trainingStep(), weights, cpu);
    const resident = held();
    const outside = { ...stepFeeds(1, 2), ids: tensor('int32', [1, 2], [3, 99]) };
    await expect(executable.run(outside)).rejects.toThrow();
    expect(held()).toEqual(resident);
    await executable.dispose();
    const short = new Map([...weights, ['dense', { kind: 'data', shape: [2], data: new Float32Array(2) }]] as const);
    await expect(backendOn(library).compile(trainingStep(), short, cpu)).rejects.toThrow(
      'weight dense has shape [2], the graph wants [8, 8]',
    );
    const less = new Map([...weights].filter(([name]) => name !== 'table'));
    await expect(backendOn(library).compile(trainingStep(), less, cpu)).rejects.toThrow(
      'the graph needs a weight table, which was not given',
    );
    expect(held()).toEqual(before);
  });

  test('that runs out is told as such, so that the batch is halved, and what was taken of it is free again', async () => {
    const said = 'OOM when allocating tensor with shape[4,5,8] and type float on /job:localhost/device:GPU:0';
    const tf = Object.create(library.tf, {
      softmax: {
        value: (x: Parameters<typeof library.tf.softmax>[0]) => {
          if ((x as Tensor<Rank.R3>).shape[0] > 2) throw new Error(said);
          return library.tf.softmax(x);
        },
      },
    }) as typeof library.tf;
    const executable = await backendOn({ ...library, tf }).compile(trainingStep(), weights, cpu);
    const resident = held();
    await expect(executable.run(stepFeeds(4, 5))).rejects.toThrow(OutOfMemoryError);
    expect(held()).toEqual(resident);
    expect((await executable.run(stepFeeds(2, 5)))['loss']).toBeDefined();
    await executable.dispose();
  });

  test('each result is there for all that read it and freed after the last of them', () => {
    const { steps, outputs } = planGraph(trainingStep());
    const live = new Set<number>();
    const freed = new Set<number>();
    let most = 0;
    for (const [index, { operands, frees }] of steps.entries()) {
      for (const operand of operands) expect(live).toContain(operand);
      live.add(index);
      most = Math.max(most, live.size);
      for (const step of frees) {
        expect(operands).toContain(step);
        expect(freed).not.toContain(step);
        live.delete(step);
        freed.add(step);
      }
    }
    const stay = steps.flatMap(({ value }, index) => (isResident(value) ? [index] : []));
    expect(live).toEqual(new Set([...outputs.values(), ...stay]));
    expect(most).toBeLessThan(steps.length / 2);
  });

  test('results share no memory with feeds or with each other', async () => {
    const x = parameter('x', [3]);
    const executable = await backendOn(library).compile({ x, again: x, doubled: add(x, x) }, new Map(), cpu);
    const fed = floats([3], [1, 2, 3]);
    const results = await executable.run({ x: fed });
    for (const { data } of Object.values(results)) (data as Float32Array).fill(0);
    expect(fed).toEqual(floats([3], [1, 2, 3]));
    expect(await executable.run({ x: fed })).toEqual({ x: fed, again: fed, doubled: floats([3], [2, 4, 6]) });
    await executable.dispose();
  });
});

test('equal computations are done once and dead ones never', () => {
  const x = input('x', 'float32', [batch, WIDTH]);
  const twice = add(exp(x), exp(x));
  multiply(twice, 3);
  const kinds = planGraph({ twice, same: add(exp(x), exp(x)) }).steps.map(({ value }) => value.operation.kind);
  expect(kinds).toEqual(['input', 'exp', 'add']);
});

describe('weights in files', () => {
  let file: string;
  let folder: string;
  const bytes = new Uint8Array(3 + 24 + 12 + 12);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peft-tfjs-'));
    file = join(folder, 'model.safetensors');
    const view = new DataView(bytes.buffer);
    noise(6, 3).forEach((number, i) => view.setFloat32(3 + 4 * i, number, true));
    [0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x8000].forEach((bits, i) => view.setUint16(27 + 2 * i, bits, true));
    [0x3f80, 0xc000, 0x3eab, 0x7f7f, 0x0080, 0x8000].forEach((bits, i) => view.setUint16(39 + 2 * i, bits, true));
    await writeFile(file, bytes);
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  const places = { F32: [3, 24], F16: [27, 12], BF16: [39, 12] } as const;
  const at = (dtype: keyof typeof places, where = file): WeightLocation => {
    const [offset, byteLength] = places[dtype];
    return { kind: 'file', file: where, dtype, shape: [6, 1], offset, byteLength };
  };
  const wanted = {
    F32: noise(6, 3),
    F16: [1, -2, 0.333251953125, 65504, 2 ** -24, -0],
    BF16: [1, -2, 0.333984375, 3.3895313892515355e38, 2 ** -126, -0],
  };

  test.each(['F32', 'F16', 'BF16'] as const)('%s is read exactly, wherever it begins', async (dtype) => {
    const outputs = {
      itself: weight('w', [6, 1]),
      product: gemm(input('x', 'float32', [batch, 1]), weight('w', [6, 1]), { transposeB: true }),
    };
    const executable = await backendOn(library).compile(outputs, new Map([['w', at(dtype)]]), cpu);
    const { itself, product } = await executable.run({ x: floats([2, 1], [1, 0]) });
    expect(itself).toEqual(floats([6, 1], wanted[dtype]));
    expect(product?.data.slice(0, 6)).toEqual(Float32Array.from(wanted[dtype], (x) => x + 0));
    await executable.dispose();
  });

  test('a file that is missing or too short is a FileError, and leaves nothing', async () => {
    const before = held();
    const outputs = { itself: weight('w', [6, 1]) };
    const compiled = (location: WeightLocation) => backendOn(library).compile(outputs, new Map([['w', location]]), cpu);
    await expect(compiled(at('F32', join(folder, 'none')))).rejects.toThrow(FileError);
    const short = join(folder, 'short');
    await writeFile(short, bytes.subarray(0, 20));
    await expect(compiled(at('F32', short))).rejects.toThrow('ends before byte 27');
    expect(held()).toEqual(before);
  });
});
