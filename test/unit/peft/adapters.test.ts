import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { frozenWeights, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { input } from '../../../src/engine/graph/operations.ts';
import { draw } from '../../../src/engine/initialise.ts';
import { buildModel, countParameters, type ModelGraph } from '../../../src/engine/model-graph.ts';
import { activate, activationNames, type Activation } from '../../../src/peft/activations.ts';
import { interpret } from '../../support/interpreter.ts';
import { logitsOf, makeSequences, planOf } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

type Options = Readonly<Record<string, unknown>>;

function build(model: string, id: string, options: Options = {}): ModelGraph {
  const encoder = knownEncoders[model];
  if (encoder === undefined) throw new Error(`unknown encoder ${model}`);
  const objective = { kind: 'classification', labels: 2 } as const;
  return buildModel({ encoder, hasPooler: true, method: { id, options }, objective }, { dropout: 'off' });
}

const [h, L, f] = [768, 12, 3072];

describe('trained numbers of BERT-base', () => {
  const perAdapter = (b: number): number => 2 * h * b + b + h;
  const norms = (2 * L + 1) * 2 * h;
  it.each<readonly [string, Options, number]>([
    ['adapter-houlsby', { bottleneck: 24, positions: ['attention'] }, L * perAdapter(24)],
    ['adapter-houlsby', { reductionFactor: 17 }, 2 * L * perAdapter(45)],
    ['adapter-houlsby', { layers: [3, 7] }, 4 * perAdapter(64)],
    ['adapter-houlsby', { layerNormBefore: true, layerNormAfter: true }, 2 * L * (perAdapter(64) + 4 * h)],
    ['adapter-houlsby', { gated: true }, 2 * L * (perAdapter(64) + h + 1)],
    ['adapter-pfeiffer', { trainNorms: true }, L * perAdapter(48) + norms],
    ['adapter-parallel', {}, L * perAdapter(48)],
    ['adapter-drop', { bottleneck: 24 }, 2 * 7 * perAdapter(24)],
    ['adapter-drop', { bottleneck: 24, drop: 11 }, 2 * perAdapter(24)],
    ['adapter-drop', { bottleneck: 24, drop: 0 }, 2 * L * perAdapter(24)],
    ['adapter-low-rank', { bottleneck: 24 }, 2 * L * (2 * (h + 24) + 24 + h)],
    ['adapter-low-rank', { bottleneck: 24, rank: 5 }, 2 * L * (2 * 5 * (h + 24) + 24 + h)],
    ['adapter-phm', { n: 12 }, 2 * L * (2 * ((h * 24) / 12 + 12 ** 3) + 24 + h)],
    ['adapter-phm', { n: 4, sharedRule: true }, 2 * L * ((2 * h * 24) / 4 + 24 + h) + 64],
    ['compacter', { n: 8, rank: 2 }, 2 * L * (2 * 2 * (h + 24) + 24 + h) + 512],
    ['compacter', { n: 4, factorisedRule: true }, 2 * L * 3 * (h + 24) + 2 * 16],
    ['compacter', { n: 4, sharedRule: false, bias: false }, 2 * L * (2 * (h + 24) + 2 * 64)],
    ['compacter++', { n: 12, layers: [0] }, 3 * (h + 24) + 12 ** 3],
  ])('%s %o', (id, options, count) => {
    expect(countParameters(build('bert-base-uncased', id, options).trained).method).toBe(count);
  });

  it('of the intermediate width are none of an adapter', () => {
    const { trained } = build('bert-base-uncased', 'adapter-houlsby', { trainNorms: true });
    expect(trained.filter(({ shape }) => shape.includes(f))).toEqual([]);
  });
});

describe('options that do not fit are said', () => {
  it.each<readonly [string, Options, RegExp]>([
    ['compacter', { n: 5 }, /: 1, 2, 3, 4, 6, 8, 12, 24\. No bottleneck fits/],
    ['compacter++', { n: 12, bottleneck: 32 }, /: 1, 2, 4, 8, 16, 32\. Or .* that 12 divides, such as 24 or 36\./],
    ['compacter', { n: 48 }, /: 1, 2, 3, 4, 6, 8, 12, 24\. Or .* that 48 divides, such as 48\./],
    ['adapter-phm', { n: 7 }, /: 1, 2, 3, 4, 6, 8, 12, 24\. No bottleneck fits/],
    ['adapter-houlsby', { bottleneck: 8, reductionFactor: 2 }, /one of them/],
    ['adapter-pfeiffer', { reductionFactor: 1000 }, /smaller/],
    ['adapter-parallel', { layers: [0, 12] }, /0 to 11/],
    ['adapter-drop', { drop: 12 }, /at most 11/],
  ])('%s %o', (id, options, advice) => {
    let thrown: unknown;
    try {
      build('bert-base-uncased', id, options);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof UserError)) throw new Error('a UserError is expected');
    expect(thrown.message).toMatch(advice);
  });
});

describe('non-linearities', () => {
  const definitions: Readonly<Record<Exclude<Activation, 'gelu'>, (x: number) => number>> = {
    'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    relu: (x) => Math.max(0, x),
    'leaky-relu': (x) => (x > 0 ? x : x / 100),
    swish: (x) => x / (1 + Math.exp(-x)),
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    identity: (x) => x,
  };
  const points = [-3, -0.5, 0, 0.25, 2];
  const at = (activation: Activation): readonly number[] => {
    const y = activate(activation, input('x', 'float32', [points.length]));
    return [...interpret({ y }, { x: { shape: [points.length], data: points } }).y.data];
  };

  it.each(activationNames.filter((name) => name !== 'gelu'))('%s', (name) => {
    at(name).forEach((value, i) => {
      expect(value).toBeCloseTo(definitions[name](points[i] ?? NaN), 6);
    });
  });

  it('gelu is x Φ(x)', () => {
    expect(at('gelu')[4]).toBeCloseTo(2 * 0.977249868, 6);
    expect(at('gelu')[1]).toBeCloseTo(-0.5 * 0.3085375387, 6);
  });
});

describe('start values', () => {
  it('of a truncated normal law lie within two deviations', () => {
    const drawn = draw({ kind: 'truncatedNormal', deviation: 0.001 }, 'some', [100, 200], 3);
    expect(Math.max(...drawn.map(Math.abs))).toBeLessThanOrEqual(0.002);
    expect(Math.max(...drawn.map(Math.abs))).toBeGreaterThan(0.0019);
    const variance = drawn.reduce((sum, value) => sum + value * value, 0) / drawn.length;
    // The variance of N(0, 1) cut at ±2 is 0.774.
    expect(variance / 1e-6).toBeCloseTo(0.774, 1);
  });

  it("follow the papers' laws", () => {
    const laws = (id: string, options: Options = {}): Record<string, unknown> =>
      Object.fromEntries(
        build('bert-base-uncased', id, options).trained.map(({ name, initialiser }) => [
          name.replace('method.layer.0.feedForward.', '').replace('method.', ''),
          initialiser,
        ]),
      );
    expect(laws('adapter-houlsby')).toMatchObject({
      'down.weight': { kind: 'truncatedNormal', deviation: 1e-3 },
      'up.weight': { kind: 'truncatedNormal', deviation: 1e-3 },
      'up.bias': { kind: 'zeros' },
    });
    expect(laws('adapter-pfeiffer')['down.weight']).toEqual({ kind: 'normal', deviation: 0.02 });
    expect(laws('adapter-parallel')).toMatchObject({
      'down.weight': { kind: 'uniform', bound: 1 / Math.sqrt(h) },
      'up.weight': { kind: 'zeros' },
    });
    // Each s_i is [192, 1], each t_i [1, 6].
    expect(laws('compacter')).toMatchObject({
      phm_rule: { kind: 'normal', deviation: 1e-4 },
      'down.W_left': { kind: 'uniform', bound: Math.SQRT2 * Math.sqrt(6 / 193) },
      'down.W_right': { kind: 'uniform', bound: Math.SQRT2 * Math.sqrt(6 / 7) },
      'down.b': { kind: 'zeros' },
    });
    expect(laws('adapter-phm')).toMatchObject({
      'down.phm_rule': { kind: 'normal', deviation: 0.01 },
      'down.W': { kind: 'uniform', bound: Math.SQRT2 * Math.sqrt(6 / (192 + 6)) },
    });
    expect(laws('adapter-low-rank')).toMatchObject({
      'down.W_left': { kind: 'uniform', bound: Math.SQRT2 * Math.sqrt(6 / 769) },
      'up.W_right': { kind: 'uniform', bound: Math.SQRT2 * Math.sqrt(6 / 769) },
    });
  });
});

const checkpoint = await openTinyEncoder();

describe('at the start', () => {
  const logits = async (id: string, options: Options): Promise<readonly number[]> => {
    const model = buildModel(planOf(checkpoint, id, options), { dropout: 'off' });
    const values = await startValues(model, checkpoint, 0);
    return logitsOf(model, frozenWeights(model, checkpoint, 0), values, checkpoint.config, makeSequences(4, 3));
  };

  it.each<readonly [string, Options]>([
    ['adapter-parallel', { bottleneck: 4 }],
    ['intrinsic-said', { dimension: 60, targets: ['query', 'output', 'wordEmbeddings'], biases: true }],
  ])('%s leaves the pretrained function as it is', async (id, options) => {
    const [own, plain] = [await logits(id, options), await logits('head', {})];
    own.forEach((value, i) => {
      expect(value).toBeCloseTo(plain[i] ?? NaN, 5);
    });
  });

  it.each<readonly [string, Options]>([
    ['adapter-houlsby', { bottleneck: 4 }],
    ['adapter-drop', { bottleneck: 4, drop: 1 }],
    ['compacter', { bottleneck: 4, n: 2 }],
  ])('%s is near the pretrained function', async (id, options) => {
    const [own, plain] = [await logits(id, options), await logits('head', {})];
    const most = Math.max(...own.map((value, i) => Math.abs(value - (plain[i] ?? NaN))));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(1e-3);
  });
});
