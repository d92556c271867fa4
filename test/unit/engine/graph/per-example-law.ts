import { expect } from 'vitest';
import { clippedSums } from '../../../../src/engine/graph/clipping.ts';
import { differentiate } from '../../../../src/engine/graph/differentiate.ts';
import { evaluateShape, symbolsOf, type Bindings } from '../../../../src/engine/graph/dims.ts';
import { constant, input } from '../../../../src/engine/graph/operations.ts';
import {
  materialise,
  squaredNorm,
  weightedSum,
  type PerExampleGradient,
} from '../../../../src/engine/graph/per-example-gradient.ts';
import { perExampleGradients } from '../../../../src/engine/graph/per-example.ts';
import { topologicalOrder, type Value } from '../../../../src/engine/graph/value.ts';
import { interpret, type Feed } from '../../../support/interpreter.ts';
import { batch, drawFeed, expectClose, type Law } from './support.ts';

export interface Model {
  /** `[batch]`. */
  readonly losses: Value;
  readonly parameters: readonly Value[];
  /** How inputs are drawn that are not plain numbers: indices, masks. */
  readonly laws?: Readonly<Record<string, Law | ((sizes: Bindings) => Law)>>;
}

type Feeds = Readonly<Record<string, Feed>>;

/** Numbers for every input, parameter and frozen tensor of a model. */
export function drawModel(
  model: Model,
  sizes: Bindings,
  seed: number,
): { readonly feeds: Feeds; readonly weights: Feeds } {
  const feeds: Record<string, Feed> = {};
  const weights: Record<string, Feed> = {};
  for (const value of topologicalOrder([model.losses, ...model.parameters])) {
    const { operation } = value;
    if (!('name' in operation)) continue;
    const law = model.laws?.[operation.name] ?? (value.dtype === 'bool' ? 'bit' : 'normal');
    const into = operation.kind === 'weight' ? weights : feeds;
    const from = typeof law === 'function' ? law(sizes) : law;
    into[operation.name] = drawFeed(evaluateShape(value.shape, sizes), seed, from, operation.name);
  }
  return { feeds, weights };
}

/** What one example alone is fed: its part of every input whose first axis counts examples. */
export function feedsOfExample(losses: Value, feeds: Feeds, example: number, examples: number): Feeds {
  const own: Record<string, Feed> = { ...feeds };
  for (const { operation, shape } of topologicalOrder([losses])) {
    if (operation.kind !== 'input' || !shape.some((dim) => symbolsOf(dim).includes(batch.text))) continue;
    const feed = feeds[operation.name];
    const [first = NaN, ...rest] = feed?.shape ?? [];
    if (feed === undefined) throw new Error(`${operation.name} is not fed`);
    const length = feed.data.length / examples;
    own[operation.name] = {
      shape: [first / examples, ...rest],
      data: Array.from(feed.data).slice(example * length, (example + 1) * length),
    };
  }
  return own;
}

function named(values: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(values.map((value, i) => [String(i), value]));
}

function partOf(data: Float64Array, index: number, parts: number): Float64Array {
  const length = data.length / parts;
  return data.slice(index * length, (index + 1) * length);
}

const MAX_NORM = 0.7;

/**
 * The whole law: what example b contributes is the gradient of running it alone; norms, weighted sums and clipped sums are those of
 * these gradients. Gives the forms, one a parameter.
 */
export function checkPerExample(model: Model, sizes: Bindings, seed: number): readonly PerExampleGradient['form'][] {
  const { losses, parameters } = model;
  const examples = sizes[batch.text] ?? NaN;
  const { feeds, weights } = drawModel(model, sizes, seed);
  const { losses: rewritten, gradients } = perExampleGradients(losses, parameters, batch);
  expect(gradients).toHaveLength(parameters.length);

  const each = parameters.map((leaf, i) => {
    const gradient = gradients[i];
    if (gradient === undefined) throw new Error('one gradient a parameter');
    return { leaf, gradient };
  });
  const whole = (values: readonly Value[], more: Feeds = {}): Float64Array[] =>
    Object.values(interpret(named(values), { ...feeds, ...more }, weights, sizes)).map(({ data }) => data);
  const materialised = whole(each.map(({ leaf, gradient }) => materialise(gradient, leaf.shape)));

  const [plain = new Float64Array(), again = new Float64Array()] = whole([losses, rewritten]);
  expectClose(again, plain, 1e-9);
  const alone = Array.from({ length: examples }, (_, b) => {
    const own = feedsOfExample(losses, feeds, b, examples);
    const single = { ...sizes, [batch.text]: 1 };
    const { loss } = interpret({ loss: losses }, own, weights, single);
    expectClose(loss.data, plain.slice(b, b + 1), 1e-9);
    return Object.values(interpret(named(differentiate(losses, parameters)), own, weights, single)).map(
      ({ data }) => data,
    );
  });
  const expectedOf = (b: number, i: number): Float64Array => alone[b]?.[i] ?? new Float64Array();
  materialised.forEach((all, i) => {
    for (let b = 0; b < examples; b++) expectClose(partOf(all, b, examples), expectedOf(b, i), 1e-9);
  });

  const squares = parameters.map((_, i) => alone.map((_own, b) => expectedOf(b, i).reduce((sum, x) => sum + x * x, 0)));
  whole(each.map(({ gradient }) => squaredNorm(gradient).value)).forEach((norms, i) => {
    expectClose(norms, squares[i] ?? [], 1e-9);
  });
  // Norms that may lose digits to cancellation are clipped with an allowance for what float32 would have lost.
  const tolerance = each.some(({ gradient }) => squaredNorm(gradient).slack !== undefined) ? 1e-4 : 1e-9;

  const weighted = (factors: ArrayLike<number>, i: number): Float64Array =>
    expectedOf(0, i).map((_, k) =>
      alone.reduce((sum, _own, b) => sum + (factors[b] ?? NaN) * (expectedOf(b, i)[k] ?? NaN), 0),
    );
  const factors = drawFeed([examples], seed, 'normal', 'factors');
  const factorInput = input('factors', 'float32', [batch]);
  whole(
    each.map(({ leaf, gradient }) => weightedSum(gradient, factorInput, leaf.shape)),
    { factors },
  ).forEach((sum, i) => {
    expectClose(sum, weighted(factors.data, i), 1e-9);
  });

  const norms = alone.map((_, b) => Math.sqrt(squares.reduce((sum, square) => sum + (square[b] ?? NaN), 0)));
  const clipped = clippedSums(gradients, parameters, constant([MAX_NORM], []));
  const [gotNorms = new Float64Array(), ...gotSums] = whole([clipped.norms, ...clipped.sums]);
  expectClose(gotNorms, norms, 1e-9);
  const clipFactors = norms.map((norm) => Math.min(1, MAX_NORM / (norm + 1e-6)));
  gotSums.forEach((sum, i) => {
    expectClose(sum, weighted(clipFactors, i), tolerance);
  });
  const automatic = clippedSums(gradients, parameters, constant([MAX_NORM], []), { clipping: 'automatic' });
  whole(automatic.sums).forEach((sum, i) => {
    expectClose(
      sum,
      weighted(
        norms.map((norm) => MAX_NORM / (norm + 0.01)),
        i,
      ),
      tolerance,
    );
  });
  return gradients.map(({ form }) => form);
}
