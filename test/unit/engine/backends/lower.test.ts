import { toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { lower, type PlacedWeight } from '../../../../src/engine/backends/onnx/lower.ts';
import { ModelProtoSchema } from '../../../../src/engine/backends/onnx/onnx_pb.ts';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { multiplyDims, symbol } from '../../../../src/engine/graph/dims.ts';
import { linear, mean } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  broadcast,
  equal,
  gather,
  gelu,
  gemm,
  input,
  layerNorm,
  layerNormStatistic,
  multiply,
  parameter,
  putRows,
  reduceSum,
  reshape,
  scalar,
  slice,
  weight,
  where,
} from '../../../../src/engine/graph/operations.ts';
import type { Value } from '../../../../src/engine/graph/value.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const tokens = multiplyDims(batch, sequence);

function placed(dtype: PlacedWeight['dtype'], ...shape: number[]): PlacedWeight {
  return { dtype, shape, data: { kind: 'external', location: 'w', offset: 8, byteLength: 4 } };
}

interface Node {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function nodesOf(
  outputs: Readonly<Record<string, Value>>,
  weights: Record<string, PlacedWeight> = {},
): readonly Node[] {
  const { graph } = lower(outputs, new Map(Object.entries(weights))).model;
  return (graph?.node ?? []).map(({ opType, input: inputs, output }) => ({ type: opType, inputs, outputs: output }));
}

function count(nodes: readonly Node[], type: string): number {
  return nodes.filter((node) => node.type === type).length;
}

describe('lowering', () => {
  const x = input('x', 'float32', [batch, sequence, 8]);

  test('writes equal computations once, although they were built twice', () => {
    const twice = (): Value => reduceSum(gelu(multiply(x, 3)), [2]);
    const nodes = nodesOf({ y: add(twice(), twice()) });
    expect([count(nodes, 'Gelu'), count(nodes, 'Mul'), count(nodes, 'ReduceSum')]).toEqual([1, 1, 1]);
  });

  test('leaves out what no output needs', () => {
    const norm = layerNorm(x, parameter('scale', [8]), parameter('shift', [8]), 1e-5);
    const alone = nodesOf({ norm }).find(({ type }) => type === 'LayerNormalization');
    expect(alone?.outputs).toHaveLength(1);
    const both = nodesOf({ norm, deviation: layerNormStatistic(norm, 'inverseDeviation') });
    expect(both.find(({ type }) => type === 'LayerNormalization')?.outputs).toHaveLength(3);
  });

  test('computes a shape once for all who need it', () => {
    const halves = [0, 1].map((i) => reshape(parameter(`p${i}`, [8]), [1, 1, 8]));
    const wide = halves.map((half) => reduceSum(broadcast(half, [batch, sequence, 8]), [2]));
    const nodes = nodesOf({ x, ...Object.fromEntries(wide.map((value, i) => [`y${i}`, value])) });
    expect([count(nodes, 'Shape'), count(nodes, 'Concat'), count(nodes, 'Expand')]).toEqual([2, 1, 2]);
  });

  test('does no arithmetic for a reshape that copies or infers its axes', () => {
    const nodes = nodesOf({ rows: reshape(x, [tokens, 8]), heads: reshape(x, [batch, sequence, 2, 4]) });
    expect(nodes.map(({ type }) => type).sort()).toEqual(['Reshape', 'Reshape']);
  });

  test('spares broadcasts that the operation makes by itself', () => {
    const loss = mean(multiply(x, x));
    const [gradient] = differentiate(loss, [x]);
    if (gradient === undefined) throw new Error('no gradient');
    expect(count(nodesOf({ gradient }), 'Expand')).toBe(0);
  });

  test('adds a few rows where they belong instead of summing a tensor of zeros', () => {
    const positions = input('positions', 'int32', [batch, 2]);
    const put = putRows(broadcast(parameter('p', [1, 2, 8]), [batch, 2, 8]), positions, sequence);
    const added = nodesOf({ y: add(x, put), z: add(put, gelu(x)) });
    expect([count(added, 'ScatterElements'), count(added, 'Add')]).toEqual([2, 1]);
    expect(count(nodesOf({ y: add(x, put) }), 'Expand')).toBe(count(nodesOf({ put, x }), 'Expand') - 1);
    const needed = nodesOf({ y: add(x, put), put });
    expect([count(needed, 'ScatterElements'), count(needed, 'Add')]).toEqual([1, 2]);
  });

  test('reads a frozen [out, in] matrix where it lies, in both directions', () => {
    const y = linear(x, weight('w', [4, 8]), parameter('b', [4]));
    const [gradient] = differentiate(reduceSum(multiply(y, y), [0, 1, 2]), [x]);
    if (gradient === undefined) throw new Error('no gradient');
    const readers = nodesOf({ y, gradient }, { w: placed('F32', 4, 8) }).filter(({ inputs }) => inputs.includes('w'));
    expect(readers.map(({ type }) => type)).toEqual(['Gemm', 'MatMul']);
  });

  test('widens 16-bit weights once', () => {
    const rows = [0, 1].map((i) => gather(weight('w', [4, 8]), input(`ids${i}`, 'int32', [batch])));
    const nodes = nodesOf(Object.fromEntries(rows.map((row, i) => [`y${i}`, row])), { w: placed('BF16', 4, 8) });
    expect([count(nodes, 'Cast'), count(nodes, 'Gather')]).toEqual([1, 2]);
  });

  test('gathers integers where they would be sliced on WebGPU, which slices floats alone', () => {
    const ids = input('ids', 'int32', [5, batch]);
    const outputs = { ids: slice(ids, 0, 1, 3), floats: slice(parameter('p', [5]), 0, 1, 3) };
    const types = (provider: string): readonly string[] =>
      (lower(outputs, new Map(), { provider }).model.graph?.node ?? []).map(({ opType }) => opType);
    const slicing = (provider: string): readonly string[] =>
      types(provider).filter((type) => type === 'Slice' || type === 'Gather');
    expect(slicing('cpu')).toEqual(['Slice', 'Slice']);
    expect([...slicing('webgpu')].sort()).toEqual(['Gather', 'Slice']);
  });

  test('gives the same bytes for a graph built again', () => {
    const build = (): Uint8Array => {
      const a = input('a', 'float32', [batch, 8]);
      const loss = mean(gelu(gemm(a, parameter('p', [8, 8]))));
      return toBinary(ModelProtoSchema, lower({ loss }, new Map()).model);
    };
    expect(build()).toEqual(build());
  });

  test('finds another name for an output that is called like an input', () => {
    const p = parameter('p', [2]);
    const { outputNames, model } = lower({ p: multiply(p, 2), q: p }, new Map());
    expect([...outputNames.keys()]).toEqual(['p', 'q']);
    expect(new Set([...outputNames.values(), 'p']).size).toBe(3);
    expect(model.graph?.output.map(({ name }) => name)).toEqual([...outputNames.values()]);
  });

  test('refuses a symbol that no input has as an axis, and two inputs of one name', () => {
    const product = input('product', 'float32', [tokens]);
    expect(() => lower({ y: gelu(product) }, new Map())).toThrow('dimension batch is not an axis of any input');
    const again = input('x', 'float32', [batch]);
    expect(() => lower({ y: gelu(x), z: gelu(again) }, new Map())).toThrow('two tensors named x');
  });

  describe('in float16', () => {
    const half = (outputs: Readonly<Record<string, Value>>, weights: Record<string, PlacedWeight> = {}) =>
      lower(outputs, new Map(Object.entries(weights)), { precision: 'float16' }).model.graph;
    const rows = reshape(x, [tokens, 8]);
    const w = weight('w', [8, 8]);

    test('converts what a product reads and what leaves the graph, each once', () => {
      const product = gemm(rows, w);
      const graph = half({ y: gelu(product), z: multiply(gelu(product), 2) }, { w: placed('F32', 8, 8) });
      const types = (graph?.node ?? []).map(({ opType }) => opType);
      expect(types.filter((type) => type !== 'Cast')).toEqual(['Reshape', 'MatMul', 'Gelu', 'Mul']);
      // Rows, matrix and the factor on the way in, two results on the way out.
      expect(types.filter((type) => type === 'Cast')).toHaveLength(5);
      expect(
        graph?.output.map(({ type }) => (type?.value.case === 'tensorType' ? type.value.value.elemType : 0)),
      ).toEqual([1, 1]);
    });

    test('is nowhere in a graph without products over tokens', () => {
      const plain = { y: gelu(multiply(rows, 3)) };
      expect(half(plain)).toEqual(lower(plain, new Map()).model.graph);
    });

    test('holds a constant that stands for infinity within the range of 16 bits', () => {
      const hidden = where(
        equal(reshape(input('mask', 'int32', [batch, sequence, 8]), [tokens, 8]), 0),
        scalar(-3e38),
        scalar(0),
      );
      const graph = half({ y: add(gemm(rows, w), hidden) }, { w: placed('F32', 8, 8) });
      const numbers = (graph?.initializer ?? [])
        .filter(({ dataType }) => dataType === 1)
        .flatMap(({ rawData }) =>
          rawData.byteLength === 4 ? [new DataView(rawData.slice().buffer).getFloat32(0, true)] : [],
        );
      expect(Math.min(...numbers)).toBe(-32768);
    });
  });
});
