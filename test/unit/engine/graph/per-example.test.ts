import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { multiplyDims, type Bindings } from '../../../../src/engine/graph/dims.ts';
import { crossEntropy, linear, multiplyLast, squaredError } from '../../../../src/engine/graph/functions.ts';
import {
  add,
  broadcast,
  concat,
  constant,
  divide,
  exp,
  gather,
  gelu,
  gemm,
  input,
  layerNorm,
  matmul,
  multiply,
  pad,
  parameter,
  reduceMax,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  scatterAdd,
  sigmoid,
  slice,
  softmax,
  subtract,
  swapLastAxes,
  takeRows,
  tanh,
  transpose,
  weight,
  where,
} from '../../../../src/engine/graph/operations.ts';
import { clippedSums } from '../../../../src/engine/graph/clipping.ts';
import type { PerExampleGradient } from '../../../../src/engine/graph/per-example-gradient.ts';
import { perExampleGradients } from '../../../../src/engine/graph/per-example.ts';
import { GraphError, type OperationKind, type Value } from '../../../../src/engine/graph/value.ts';
import { interpret } from '../../../support/interpreter.ts';
import { checkPerExample, type Model } from './per-example-law.ts';
import { batch, expectClose, law, sequence, someSeed } from './support.ts';

type Form = PerExampleGradient['form'];

const WIDTH = 4;
const x2 = input('x2', 'float32', [batch, WIDTH]);
const x3 = input('x3', 'float32', [batch, sequence, WIDTH]);
const ids = input('ids', 'int64', [batch, sequence]);
const ROWS = 5;
const laws = {
  ids: { below: ROWS },
  typeIds: { below: 2 },
  labels: { below: 3 },
  positions: (sizes: Bindings) => ({ below: sizes['sequence'] ?? NaN }),
};

/** One number an example that no gradient leaves alone: Σ tanh². */
function lossesOf(x: Value): Value {
  const bent = tanh(x);
  return reduceSum(
    multiply(bent, add(bent, 0.5)),
    x.shape.slice(1).map((_, axis) => axis + 1),
  );
}

/** A matrix that is A ⊗ B, from its blocks. */
function kron(a: Value, b: Value): Value {
  const [p = 1, q = 1] = a.shape;
  const [r = 1, s = 1] = b.shape;
  const product = multiply(reshape(a, [p, 1, q, 1]), reshape(b, [1, r, 1, s]));
  return reshape(product, [multiplyDims(p, r), multiplyDims(q, s)]);
}

function attention(queries: Value, keys: Value, values: Value): Value {
  return matmul(softmax(matmul(queries, swapLastAxes(keys))), values);
}

function cross(name: string, shape: readonly number[]): Value {
  return weight(name, shape);
}

const models: Readonly<Record<string, () => Model & { readonly forms: readonly Form[] }>> = {
  'a linear map of vectors, with its bias': () => {
    const [w, b] = [parameter('w', [3, WIDTH]), parameter('b', [3])];
    return { losses: lossesOf(linear(x2, w, b)), parameters: [w, b], forms: ['pair', 'materialised'] };
  },
  'a linear map of tokens, with its bias': () => {
    const [w, b] = [parameter('w', [3, WIDTH]), parameter('b', [3])];
    return { losses: lossesOf(linear(x3, w, b)), parameters: [w, b], forms: ['pair', 'materialised'] };
  },
  'a matrix written as the papers do, with a scale': () => {
    const [w, v] = [parameter('w', [WIDTH, 3]), parameter('v', [3, 2])];
    const scaled = gemm(multiplyLast(x2, w), v, { scale: -0.5 });
    return { losses: lossesOf(scaled), parameters: [w, v], forms: ['pair', 'pair'] };
  },
  'a matrix so large that its norm goes through Gram matrices': () => {
    const w = parameter('w', [300, 300]);
    const wide = linear(x3, cross('up', [300, WIDTH]));
    return { losses: lossesOf(multiply(linear(wide, w), 0.01)), parameters: [w], forms: ['pair'] };
  },
  'a matrix in a batched product': () => {
    const w = parameter('w', [WIDTH, 3]);
    return { losses: lossesOf(matmul(x3, w)), parameters: [w], forms: ['materialised'] };
  },
  'a matrix in a product of vectors': () => {
    const w = parameter('w', [WIDTH, 3]);
    return { losses: lossesOf(matmul(x2, w)), parameters: [w], forms: ['materialised'] };
  },
  'a bias of a frozen map': () => {
    const b = parameter('b', [3]);
    return { losses: lossesOf(linear(x3, cross('w', [3, WIDTH]), b)), parameters: [b], forms: ['materialised'] };
  },
  'a network of several maps': () => {
    const [w, b] = [parameter('w', [3, WIDTH]), parameter('b', [3])];
    const [v, c] = [parameter('v', [2, 3]), parameter('c', [2])];
    const hidden = gelu(linear(x3, w, b));
    return {
      losses: lossesOf(linear(hidden, v, c)),
      parameters: [v, b, c, w],
      forms: ['pair', 'materialised', 'materialised', 'pair'],
    };
  },
  'layer norms': () => {
    const [w, scale, shift] = [
      parameter('w', [WIDTH, WIDTH]),
      parameter('scale', [WIDTH]),
      parameter('shift', [WIDTH]),
    ];
    const normed = layerNorm(linear(x3, w), scale, shift, 0.1);
    const again = layerNorm(add(x3, normed), scale, cross('fixed shift', [WIDTH]), 0.1);
    return { losses: lossesOf(again), parameters: [w, scale, shift], forms: ['pair', 'materialised', 'materialised'] };
  },
  'embeddings, rows repeated within an example': () => {
    const table = parameter('table', [ROWS, WIDTH]);
    const types = parameter('types', [2, WIDTH]);
    const sum = add(gather(table, ids), gather(types, input('typeIds', 'int32', [batch, sequence])));
    return { losses: lossesOf(add(sum, x3)), parameters: [table, types], forms: ['rows', 'rows'], laws };
  },
  'an embedding of each example': () => {
    const table = parameter('table', [3, WIDTH]);
    const rows = gather(table, input('labels', 'int64', [batch]));
    return { losses: lossesOf(add(rows, x2)), parameters: [table], forms: ['rows'], laws };
  },
  'embeddings with the batch and sequence in one axis': () => {
    const table = parameter('table', [ROWS, WIDTH]);
    const rows = gather(table, reshape(ids, [multiplyDims(batch, sequence)]));
    const back = reshape(linear(rows, cross('w', [3, WIDTH])), [batch, sequence, 3]);
    return { losses: lossesOf(back), parameters: [table], forms: ['rows'], laws };
  },
  'a table used for embedding and for prediction': () => {
    const table = parameter('table', [ROWS, WIDTH]);
    const hidden = tanh(gather(table, ids));
    const logits = linear(hidden, table);
    return {
      losses: reduceSum(crossEntropy(logits, ids), [1]),
      parameters: [table],
      forms: ['materialised'],
      laws,
    };
  },
  'a table looked up twice': () => {
    const table = parameter('table', [ROWS, WIDTH]);
    const first = gather(table, ids);
    const second = gather(table, input('labels', 'int32', [batch]));
    return {
      losses: lossesOf(multiply(first, reshape(second, [batch, 1, WIDTH]))),
      parameters: [table],
      forms: ['materialised'],
      laws,
    };
  },
  'a matrix used twice, below itself': () => {
    const w = parameter('w', [WIDTH, WIDTH]);
    return { losses: lossesOf(linear(tanh(linear(x3, w)), w)), parameters: [w], forms: ['materialised'] };
  },
  'a matrix as it is and as numbers': () => {
    const w = parameter('w', [WIDTH, WIDTH]);
    const penalty = reduceSum(multiply(w, w), [0, 1]);
    return { losses: add(lossesOf(linear(x3, w)), penalty), parameters: [w], forms: ['materialised'] };
  },
  'a matrix as weight and as its own transpose': () => {
    const w = parameter('w', [WIDTH, WIDTH]);
    return { losses: lossesOf(linear(linear(x2, w), transpose(w, [1, 0]))), parameters: [w], forms: ['materialised'] };
  },
  'SLaSh: one vector through frozen projections into every layer': () => {
    const z = parameter('z', [1, 3]);
    const [w, b] = [parameter('w', [2, WIDTH]), parameter('b', [2])];
    let x = x3;
    for (let layer = 0; layer < 3; layer++) {
      const fed = gelu(linear(x, cross(`up.${layer}`, [WIDTH, WIDTH])));
      const shifted = add(fed, gemm(z, cross(`projection.${layer}`, [3, WIDTH])));
      x = layerNorm(add(x, shifted), cross(`scale.${layer}`, [WIDTH]), cross(`shift.${layer}`, [WIDTH]), 0.1);
    }
    const first = reshape(slice(x, 1, 0, 1), [batch, WIDTH]);
    return {
      losses: crossEntropy(linear(first, w, b), input('labels', 'int64', [batch])),
      parameters: [z, w, b],
      forms: ['materialised', 'pair', 'materialised'],
      laws: { labels: { below: 2 } },
    };
  },
  'SLaSh as a sum over layers': () => {
    const z = parameter('z', [1, 3]);
    const shifts = [0, 1, 2].map((layer) => matmul(z, cross(`projection.${layer}`, [3, WIDTH])));
    return {
      losses: lossesOf(shifts.reduce((x, shift) => tanh(add(x, shift)), x3)),
      parameters: [z],
      forms: ['materialised'],
    };
  },
  'Compacter: Kronecker factors shared by the layers': () => {
    const a = [0, 1].map((i) => parameter(`a.${i}`, [2, 2]));
    const own: Value[] = [];
    let x = x3;
    for (let layer = 0; layer < 2; layer++) {
      const terms = a.map((factor, i) => {
        const s = parameter(`s.${layer}.${i}`, [2, 1]);
        const t = parameter(`t.${layer}.${i}`, [1, 2]);
        own.push(s, t);
        return kron(factor, matmul(s, t));
      });
      const bias = parameter(`b.${layer}`, [WIDTH]);
      own.push(bias);
      const matrix = terms.reduce((p, q) => add(p, q));
      x = add(x, gelu(add(multiplyLast(x, matrix), bias)));
    }
    const parameters = [...a, ...own];
    return { losses: lossesOf(x), parameters, forms: parameters.map((): Form => 'materialised') };
  },
  'a prefix that a network makes for every layer': () => {
    const P = 2;
    const table = parameter('E', [P, 3]);
    const [w1, b1] = [parameter('W1', [3, 5]), parameter('b1', [5])];
    const w2 = parameter('W2', [5, 2 * WIDTH]);
    const prefix = gemm(tanh(add(gemm(table, w1), b1)), w2);
    let x = x3;
    for (let layer = 0; layer < 2; layer++) {
      const own = reshape(slice(prefix, 1, layer * WIDTH, (layer + 1) * WIDTH), [1, P, WIDTH]);
      const keys = concat([broadcast(own, [batch, P, WIDTH]), x], 1);
      x = attention(x, keys, keys);
    }
    return {
      losses: lossesOf(x),
      parameters: [table, w1, b1, w2],
      forms: ['materialised', 'materialised', 'materialised', 'materialised'],
    };
  },
  'prompt rows before the tokens': () => {
    const prompt = parameter('prompt', [2, WIDTH]);
    const x = concat([broadcast(prompt, [batch, 2, WIDTH]), x3], 1);
    return { losses: lossesOf(attention(x, x, x)), parameters: [prompt], forms: ['materialised'] };
  },
  LoRA: () => {
    const [a, b] = [parameter('A', [2, WIDTH]), parameter('B', [WIDTH, 2])];
    const update = multiply(linear(linear(x3, a), b), 2);
    const x = add(linear(x3, cross('w', [WIDTH, WIDTH])), update);
    return { losses: lossesOf(attention(x, x3, x)), parameters: [a, b], forms: ['pair', 'pair'] };
  },
  'LoRA folded into the weight': () => {
    const [a, b] = [parameter('A', [2, WIDTH]), parameter('B', [WIDTH, 2])];
    const merged = add(cross('w', [WIDTH, WIDTH]), gemm(b, a, { scale: 2 }));
    return { losses: lossesOf(linear(x3, merged)), parameters: [a, b], forms: ['materialised', 'materialised'] };
  },
  '(IA)³: one factor a feature': () => {
    const [l, m] = [parameter('l', [WIDTH]), parameter('m', [1, WIDTH])];
    const x = multiply(m, attention(x3, multiply(x3, l), x3));
    return { losses: lossesOf(x), parameters: [l, m], forms: ['materialised', 'materialised'] };
  },
  'scalars that gate': () => {
    const [gate, scale] = [parameter('gate', []), parameter('scale', [1])];
    const x = multiply(x3, sigmoid(gate));
    return { losses: multiply(lossesOf(x), scale), parameters: [gate, scale], forms: ['materialised', 'materialised'] };
  },
  'a softmax over trained numbers that mixes layers': () => {
    const mix = parameter('mix', [3]);
    const layers = [x3, tanh(x3), exp(multiply(x3, 0.1))];
    const shares = softmax(mix);
    const mixed = layers.map((layer, i) => multiply(layer, slice(shares, 0, i, i + 1))).reduce((p, q) => add(p, q));
    return { losses: lossesOf(mixed), parameters: [mix], forms: ['materialised'] };
  },
  'normalised magnitudes of a matrix (DoRA)': () => {
    const [v, m] = [parameter('v', [3, WIDTH]), parameter('m', [3, 1])];
    const lengths = reduceSum(multiply(v, v), [1], { keepAxes: true });
    const direction = divide(multiply(v, m), add(lengths, 1));
    return { losses: lossesOf(linear(x3, direction)), parameters: [v, m], forms: ['materialised', 'materialised'] };
  },
  'a frozen layer norm of trained rows': () => {
    const rows = parameter('rows', [2, WIDTH]);
    const normed = layerNorm(rows, cross('scale', [WIDTH]), cross('shift', [WIDTH]), 0.1);
    const most = reduceMax(normed, [0]);
    return {
      losses: lossesOf(add(multiply(x3, most), reduceMean(normed, [0]))),
      parameters: [rows],
      forms: ['materialised'],
    };
  },
  'a bias on attention scores of every head': () => {
    const bias = parameter('bias', [2, 1, 1]);
    const heads = transpose(reshape(x3, [batch, sequence, 2, 2]), [0, 2, 1, 3]);
    const scores = multiply(matmul(heads, swapLastAxes(heads)), add(bias, 1));
    return { losses: lossesOf(matmul(softmax(scores), heads)), parameters: [bias], forms: ['materialised'] };
  },
  'rows that a head reads': () => {
    const [w, v] = [parameter('w', [WIDTH, WIDTH]), parameter('v', [1, WIDTH])];
    const read = takeRows(relu(linear(x3, w)), input('positions', 'int32', [batch, 2]));
    const prediction = reshape(reduceMean(linear(read, v), [1]), [batch]);
    return {
      losses: squaredError(prediction, input('targets', 'float32', [batch])),
      parameters: [w, v],
      forms: ['pair', 'pair'],
      laws,
    };
  },
  'a mask over tokens': () => {
    const [w, s] = [parameter('w', [WIDTH, WIDTH]), parameter('s', [WIDTH])];
    const keep = input('keep', 'bool', [batch, sequence, 1]);
    return {
      losses: lossesOf(where(keep, linear(x3, w), subtract(x3, s))),
      parameters: [w, s],
      forms: ['pair', 'materialised'],
    };
  },
};

const sizesAndSeed = fc.record({
  sizes: fc.record({ batch: fc.integer({ min: 1, max: 4 }), sequence: fc.integer({ min: 1, max: 3 }) }),
  seed: someSeed,
});

describe('the gradient of each example is that of running it alone', () => {
  it.each(Object.entries(models))('%s', (_, build) => {
    const model = build();
    law(
      sizesAndSeed,
      ({ sizes, seed }) => {
        expect(checkPerExample(model, sizes, seed)).toEqual(model.forms);
      },
      8,
    );
  });
});

describe('operations that mix examples are refused by name', () => {
  const w = parameter('w', [WIDTH, WIDTH]);
  const y = linear(x2, w);
  const tokens = linear(x3, w);
  const centred = (x: Value): Value => subtract(x, reduceMean(x, [0], { keepAxes: true }));
  const refusals: readonly (readonly [string, OperationKind, () => Value])[] = [
    ['centring by the mean of the batch', 'reduceSum', () => lossesOf(centred(y))],
    ['dividing by the greatest of the batch', 'reduceMax', () => lossesOf(divide(y, reduceMax(y, [0])))],
    [
      'normalising over the batch',
      'reduceSum',
      () => {
        const variance = reduceMean(multiply(centred(y), centred(y)), [0], { keepAxes: true });
        return lossesOf(divide(y, add(variance, 1)));
      },
    ],
    ['a sum over the batch before the loss', 'reduceSum', () => broadcast(reduceSum(lossesOf(y), [0]), [batch])],
    [
      'a product that contracts over the batch',
      'gemm',
      () => lossesOf(multiplyLast(y, gemm(y, y, { transposeA: true }))),
    ],
    ['a matrix of similarities between examples', 'gemm', () => lossesOf(gemm(y, y, { transposeB: true }))],
    [
      "every example against every example's matrix",
      'matmul',
      () => lossesOf(matmul(y, multiply(reshape(y, [batch, WIDTH, 1]), reshape(x2, [batch, 1, WIDTH])))),
    ],
    ['examples moved to another axis', 'transpose', () => lossesOf(transpose(softmax(transpose(y, [1, 0])), [1, 0]))],
    [
      'tokens laid before examples',
      'transpose',
      () => lossesOf(transpose(softmax(transpose(tokens, [1, 2, 0])), [2, 0, 1])),
    ],
    [
      'tokens numbered across examples',
      'reshape',
      () => lossesOf(reshape(tanh(reshape(tokens, [sequence, batch, WIDTH])), x3.shape)),
    ],
    ['a softmax over the batch', 'softmax', () => softmax(lossesOf(y))],
    ['the neighbouring example', 'slice', () => lossesOf(concat([slice(y, 0, 1, batch), slice(y, 0, 0, 1)], 0))],
    ['an example before the first', 'pad', () => lossesOf(slice(pad(y, 0, 1, 0), 0, 0, batch))],
    ['examples joined', 'concat', () => lossesOf(slice(concat([y, y], 0), 0, 0, batch))],
    ['other examples looked up', 'gather', () => lossesOf(gather(y, input('others', 'int64', [batch])))],
    [
      'rows of several examples added together',
      'scatterAdd',
      () => lossesOf(gather(scatterAdd(tokens, ids, ROWS), ids)),
    ],
    [
      'a column against a row',
      'reshape',
      () => lossesOf(multiply(reshape(lossesOf(y), [batch, 1]), reshape(lossesOf(y), [1, batch]))),
    ],
    ['a column against a vector', 'multiply', () => lossesOf(multiply(reshape(lossesOf(y), [batch, 1]), lossesOf(y)))],
    ['a vector of examples repeated', 'broadcast', () => lossesOf(broadcast(lossesOf(y), [batch, batch]))],
  ];

  it.each(refusals)('%s', (_, kind, build) => {
    expect(() => perExampleGradients(build(), [w], batch)).toThrow(GraphError);
    expect(() => perExampleGradients(build(), [w], batch)).toThrow(
      new RegExp(`^${kind}: .* gradient per example; inputs `),
    );
  });

  const frozen: readonly (readonly [string, OperationKind, () => Value])[] = [
    ['features centred by the mean of the batch', 'reduceSum', () => lossesOf(linear(centred(x2), w))],
    ["the neighbouring example's features", 'slice', () => lossesOf(add(tokens, slice(x3, 0, 0, 1)))],
    [
      'similarities of frozen features',
      'gemm',
      () => lossesOf(multiply(reshape(lossesOf(y), [batch, 1]), gemm(x2, x2, { transposeB: true }))),
    ],
    [
      "every example's target against every other's",
      'reshape',
      () =>
        lossesOf(subtract(reshape(lossesOf(y), [batch, 1]), reshape(input('targets', 'float32', [batch]), [1, batch]))),
    ],
    ['a fed matrix between examples', 'input', () => lossesOf(matmul(input('mixing', 'float32', [batch, batch]), y))],
    [
      'a choice by the conditions of all examples',
      'where',
      () => lossesOf(where(input('keep', 'bool', [batch]), reshape(lossesOf(y), [batch, 1]), 0)),
    ],
  ];

  it.each(frozen)('though no trained tensor is mixed: %s', (_, kind, build) => {
    expect(() => perExampleGradients(build(), [w], batch)).toThrow(
      new RegExp(`^${kind}: .* gradient per example; inputs `),
    );
  });

  it('and so are losses that are not one number an example', () => {
    for (const losses of [reduceSum(lossesOf(y), [0]), y, lossesOf(reshape(y, [1, batch, WIDTH]))]) {
      expect(() => perExampleGradients(losses, [w], batch)).toThrow(/losses must have one element an example/);
    }
  });

  it('and a parameter that no loss depends on is an error that names it', () => {
    const other = parameter('other', [2]);
    expect(() => perExampleGradients(lossesOf(y), [w, other], batch)).toThrow(
      'float32[2] (other) does not reach the losses',
    );
    expect(() => perExampleGradients(lossesOf(x2), [w], batch)).toThrow(/reaches the losses/);
  });
});

describe('clipping', () => {
  it('leaves small gradients as they are, and those of no length', () => {
    const w = parameter('w', [1, 2]);
    const x = input('x', 'float32', [batch, 2]);
    const losses = reshape(linear(x, w), [batch]);
    const { norms, sums } = clippedSums(perExampleGradients(losses, [w], batch).gradients, [w], constant([5], []));
    const [sum] = sums;
    if (sum === undefined) throw new Error('one sum a parameter');
    const feeds = { w: { shape: [1, 2], data: [1, 1] }, x: { shape: [4, 2], data: [3, 4, 0, 0, 0.3, 0.4, 30, 40] } };
    const results = interpret({ norms, sum }, feeds);
    expectClose(results.norms.data, [5, 0, 0.5, 50], 1e-12);
    // Opacus adds 1e-6 to a norm before it divides, which shows where what is left of several examples nearly cancels.
    const [longest, long] = [5 / (50 + 1e-6), 5 / (5 + 1e-6)];
    expectClose(results.sum.data, [3 * long + 0.3 + 30 * longest, 4 * long + 0.4 + 40 * longest], 1e-12);
  });

  it('takes one norm over all parameters together', () => {
    const [p, q] = [parameter('p', [1]), parameter('q', [1])];
    const losses = add(multiply(input('x', 'float32', [batch]), p), multiply(input('y', 'float32', [batch]), q));
    const { norms, sums } = clippedSums(
      perExampleGradients(losses, [p, q], batch).gradients,
      [p, q],
      constant([1], []),
    );
    const feeds = {
      p: { shape: [1], data: [0] },
      q: { shape: [1], data: [0] },
      x: { shape: [1], data: [3] },
      y: { shape: [1], data: [4] },
    };
    const results = interpret(Object.fromEntries([norms, ...sums].map((value, i) => [String(i), value])), feeds);
    const [norm, ...clipped] = Object.values(results).map(({ data }) => data[0] ?? NaN);
    expect(norm).toBe(5);
    expectClose(clipped, [3 / (5 + 1e-6), 4 / (5 + 1e-6)], 1e-15);
  });
});
