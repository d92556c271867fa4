import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { evaluateDim, evaluateShape, formatShape, type Bindings } from '../../../../src/engine/graph/dims.ts';
import { inputCotangents } from '../../../../src/engine/graph/gradients.ts';
import {
  cast,
  constant,
  dimension,
  equal,
  input,
  inputAt,
  iota,
  layerNorm,
  layerNormStatistic,
  less,
  multiply,
  parameter,
  reduceMax,
  reduceSum,
  relu,
  weight,
} from '../../../../src/engine/graph/operations.ts';
import { GraphError, type OperationKind, type Value } from '../../../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';
import { drawFeed, expectClose, finiteDifferences, kindsOf, law, sequence, someSeed, someSizes } from './support.ts';
import { trials, type Trial } from './trials.ts';

interface Built {
  readonly operands: readonly Value[];
  readonly fixed: readonly Value[];
  readonly output: Value;
  /** Σ output · weights, weights drawn at random: every element of the output counts, each differently. */
  readonly loss: Value;
  readonly feeds: Readonly<Record<string, Feed>>;
}

function build(trial: Trial, sizes: Bindings, seed: number): Built {
  const feeds: Record<string, Feed> = {};
  const operands = trial.operands.map(({ shape, law: from }, i) => {
    feeds[`x${i}`] = drawFeed(evaluateShape(shape, sizes), seed, from, `x${i}`);
    return input(`x${i}`, 'float32', shape);
  });
  const fixed = trial.fixed.map(({ shape, dtype, below }, i) => {
    feeds[`i${i}`] = drawFeed(evaluateShape(shape, sizes), seed, { below: evaluateDim(below, sizes) }, `i${i}`);
    return input(`i${i}`, dtype, shape);
  });
  const output = trial.build(operands, fixed);
  feeds['weights'] = drawFeed(evaluateShape(output.shape, sizes), seed, 'normal', 'weights');
  const weighted = multiply(output, input('weights', 'float32', output.shape));
  const axes = output.shape.map((_, axis) => axis);
  return { operands, fixed, output, loss: reduceSum(weighted, axes), feeds };
}

/** Σ output · weights for the same numbers, and its gradients, by tfjs in float32. */
function byTfjs(trial: Trial, { feeds, fixed }: Built, sizes: Bindings): readonly Float32Array[] {
  return tf.tidy(() => {
    const tensor = (name: string, dtype: 'float32' | 'int32' | 'bool'): tf.Tensor => {
      const feed = feeds[name] ?? drawFeed([], 0);
      return tf.tensor(Float32Array.from(feed.data), [...feed.shape], dtype);
    };
    const others = fixed.map((value, i) => tensor(`i${i}`, value.dtype === 'bool' ? 'bool' : 'int32'));
    const loss = (...xs: tf.Tensor[]): tf.Tensor =>
      tf.sum(tf.mul(trial.tfjs(xs, others, sizes), tensor('weights', 'float32')));
    const gradients = tf.grads(loss)(trial.operands.map((_, i) => tensor(`x${i}`, 'float32')));
    return gradients.map((gradient) => Float32Array.from(gradient.dataSync()));
  });
}

const tried = Object.entries(trials).flatMap(([kind, trial]) =>
  typeof trial === 'string' ? [] : [{ kind: kind as OperationKind, trial }],
);

describe.each(tried)('the gradient of $kind', ({ kind, trial }) => {
  const cases = fc
    .record({ trial, sizes: someSizes, seed: someSeed })
    // Some draws ask for nothing (a reshape to the same shape), and then no operation is made.
    .filter((drawn) => kindsOf([build(drawn.trial, drawn.sizes, drawn.seed).output]).includes(kind));

  it('is the limit of finite differences', () => {
    law(
      cases,
      (drawn) => {
        const built = build(drawn.trial, drawn.sizes, drawn.seed);
        const gradients = differentiate(built.loss, built.operands);
        gradients.forEach((gradient, i) => {
          expect(formatShape(gradient.shape)).toBe(formatShape(drawn.trial.operands[i]?.shape ?? []));
          expect(gradient.dtype).toBe('float32');
          const { g } = interpret({ g: gradient }, built.feeds, {}, drawn.sizes);
          expectClose(g.data, finiteDifferences(built.loss, `x${i}`, built.feeds, {}, drawn.sizes), 1e-6);
        });
      },
      40,
    );
  });

  it("is tfjs's own", () => {
    law(
      cases,
      (drawn) => {
        const built = build(drawn.trial, drawn.sizes, drawn.seed);
        const theirs = byTfjs(drawn.trial, built, drawn.sizes);
        differentiate(built.loss, built.operands).forEach((gradient, i) => {
          const { g } = interpret({ g: gradient }, built.feeds, {}, drawn.sizes);
          expectClose(g.data, theirs[i] ?? [], 1e-4, 0.1);
        });
      },
      40,
    );
  });
});

describe('operations without a gradient', () => {
  const x = input('x', 'float32', [2, 3]);
  const g = constant([1], []);
  const norm = layerNorm(x, weight('scale', [3]), weight('shift', [3]), 1e-5);
  const untried: Readonly<Record<string, Value>> = {
    input: x,
    parameter: parameter('p', [2]),
    weight: weight('w', [2]),
    constant: g,
    iota: iota(sequence),
    dimension: dimension(sequence),
    less: less(x, 0),
    equal: equal(x, 0),
    cast: cast(x, 'int32'),
    layerNormStatistic: layerNormStatistic(norm, 'mean'),
  };
  const names = Object.entries(trials).flatMap(([kind, trial]) => (typeof trial === 'string' ? [{ kind, trial }] : []));

  it.each(names)('$kind: $trial', ({ kind, trial }) => {
    const node = untried[kind];
    if (node === undefined) throw new Error(`no example of ${kind}`);
    expect(node.operation.kind).toBe(kind);
    switch (trial) {
      case 'leaf':
        expect(inputCotangents(node, g)).toEqual([]);
        return;
      case 'no gradient':
        expect(inputCotangents(node, g)).toEqual(node.inputs.map(() => undefined));
        expect(() => differentiate(reduceSum(cast(node, 'float32'), [0, 1]), [inputAt(node, 0)])).toThrow(
          /float32\[2, 3\] \(x\) does not reach/,
        );
        return;
      case 'refuses':
        expect(() => inputCotangents(node, g)).toThrow(GraphError);
    }
  });
});

describe('at a kink', () => {
  it('relu has slope 0 at 0, and a maximum shares its gradient among equals', () => {
    const x = input('x', 'float32', [4]);
    const feeds = { x: { shape: [4], data: [0, 2, -1, 2] } };
    const [slope] = differentiate(relu(x), [x]);
    const [share] = differentiate(reduceMax(x, [0]), [x]);
    if (slope === undefined || share === undefined) throw new Error('two gradients');
    const results = interpret({ slope, share }, feeds);
    expect([...results.slope.data]).toEqual([0, 1, 0, 1]);
    expect([...results.share.data]).toEqual([0, 0.5, 0, 0.5]);
  });
});
