import { describe, expect, it } from 'vitest';
import { multiplyDims, symbol } from '../../../../src/engine/graph/dims.ts';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { floatTypes } from '../../../../src/engine/graph/float-types.ts';
import {
  add,
  cast,
  equal,
  gelu,
  gemm,
  input,
  layerNorm,
  matmul,
  multiply,
  parameter,
  reduceSum,
  reshape,
  softmax,
  swapLastAxes,
  weight,
} from '../../../../src/engine/graph/operations.ts';
import { topologicalOrder, type Value } from '../../../../src/engine/graph/value.ts';

const [batch, sequence] = [symbol('batch'), symbol('sequence')];
const tokens = multiplyDims(batch, sequence);
const x = input('x', 'float32', [tokens, 8]);
const map = weight('map', [8, 8]);

function typesOf(...values: readonly Value[]): readonly (string | undefined)[] {
  return typesBeside([], ...values);
}

function typesBeside(wide: readonly Value[], ...values: readonly Value[]): readonly (string | undefined)[] {
  const types = floatTypes(topologicalOrder(values), wide);
  return values.map(({ id }) => types.get(id));
}

describe('in 16 bits', () => {
  it('are products with a row at each token, forward and backward, and scores between tokens', () => {
    const product = gemm(x, map, { transposeB: true });
    const rows = input('rows', 'float32', [batch, sequence, 8]);
    expect(typesOf(product, matmul(rows, swapLastAxes(rows)))).toEqual(['float16', 'float16']);
    const [toX] = differentiate(reduceSum(gelu(product), [0, 1]), [x]);
    expect(toX === undefined ? [] : typesOf(toX)).toEqual(['float16']);
  });

  it('are not: products with a row an example, the gradient of a matrix, sums, norms, and what is trained', () => {
    const trained = parameter('trained', [8, 8]);
    const product = gemm(x, trained);
    const [toTrained] = differentiate(reduceSum(product, [0, 1]), [trained]);
    if (toTrained === undefined) throw new Error('no gradient');
    const scale = parameter('scale', [8]);
    expect(
      typesOf(
        gemm(input('first', 'float32', [batch, 8]), map),
        toTrained,
        reduceSum(product, [1]),
        layerNorm(product, scale, scale, 1e-5),
        trained,
      ),
    ).toEqual(['float32', 'float32', 'float32', 'float32', 'float32']);
  });

  it('are not: products whose sums have more terms than 16 bits add up well', () => {
    const product = (terms: number): Value => gemm(input('many', 'float32', [tokens, terms]), weight('w', [terms, 8]));
    expect([product(4096), product(4097)].flatMap((value) => typesOf(value))).toEqual(['float16', 'float32']);
  });

  it('are not: values that are to stay wide, the products that these are views of, and what follows', () => {
    const product = gemm(x, map);
    const logits = reshape(product, [batch, sequence, 8]);
    const loss = softmax(logits);
    expect(typesBeside([logits], product, logits, loss)).toEqual(['float32', 'float32', 'float32']);
    expect(typesOf(product, logits, loss)).toEqual(['float16', 'float16', 'float16']);
  });

  it('is what is done element by element to these products, whatever small tensor comes in', () => {
    const product = gemm(x, map);
    const scale = parameter('scale', [8]);
    expect(typesOf(gelu(product), multiply(product, scale), softmax(multiply(product, 0.5)))).toEqual([
      'float16',
      'float16',
      'float16',
    ]);
    // The residual stream is as wide as the wider of its summands.
    expect(typesOf(add(product, x))).toEqual(['float32']);
  });

  it('is either what has no type of its own: constants, and factors of 0 and 1', () => {
    const factor = multiply(cast(equal(input('ids', 'int32', [tokens, 8]), 0), 'float32'), 1.25);
    expect(typesOf(factor, multiply(gemm(x, map), factor), multiply(x, factor))).toEqual([
      'either',
      'float16',
      'float32',
    ]);
  });
});
