import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { lower, type PlacedWeight } from '../../../../src/engine/backends/onnx/lower.ts';
import { ModelProtoSchema } from '../../../../src/engine/backends/onnx/onnx_pb.ts';
import { serialiseModel } from '../../../../src/engine/backends/onnx/serialise.ts';
import { symbol } from '../../../../src/engine/graph/dims.ts';
import { gemm, input, weight } from '../../../../src/engine/graph/operations.ts';
import { expectAgreement, floats, noise } from './agreement.ts';

const x = input('x', 'float32', [symbol('batch'), 3]);
const sizes = [20_000, 5, 30_000];
const graph = Object.fromEntries(sizes.map((columns, i) => [`y${i}`, gemm(x, weight(`w${i}`, [3, columns]))]));
const data = sizes.map((columns, i) => Float32Array.from(noise(3 * columns, i)));

test('small and large initialisers are read back as they were, each once', () => {
  const weights = new Map(
    data.map((numbers, i): [string, PlacedWeight] => [
      `w${i}`,
      { dtype: 'F32', shape: [3, sizes[i] ?? 0], data: { kind: 'inline', bytes: new Uint8Array(numbers.buffer) } },
    ]),
  );
  const { model } = lower(graph, weights);
  const read = fromBinary(ModelProtoSchema, serialiseModel(model));
  const byName = (tensors: readonly { readonly name: string }[] = []): unknown =>
    [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(byName(read.graph?.initializer)).toEqual(byName(model.graph?.initializer));
  expect(read.graph?.node).toEqual(model.graph?.node);
  expect(read.opsetImport).toEqual(model.opsetImport);
});

test('the runtime reads them', async () => {
  const weights = data.map(
    (numbers, i) => [`w${i}`, { kind: 'data', shape: [3, sizes[i] ?? 0], data: numbers }] as const,
  );
  await expectAgreement(graph, { x: floats([2, 3], noise(6, 9)) }, Object.fromEntries(weights));
});
