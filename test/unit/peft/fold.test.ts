import { describe, expect, it } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { frozenWeights } from '../../../src/engine/encoder-checkpoint.ts';
import { foldedWeights, foldingOf, foldModel } from '../../../src/engine/fold.ts';
import { topologicalOrder } from '../../../src/engine/graph/value.ts';
import { buildModel, type ModelGraph } from '../../../src/engine/model-graph.ts';
import { projections } from '../../../src/peft/projections.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { device, logitsOf, makeSequences, noisyValues, planOf, smallOptions } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const checkpoint = await openTinyEncoder();

const data = makeSequences(5, 1);

type Options = Readonly<Record<string, unknown>>;

/** Everything that folds without a remainder. */
const vanishing: readonly (readonly [id: string, options: Options])[] = [
  ['full', {}],
  ['head', {}],
  ['bitfit', {}],
  ['lora', { rank: 2, alpha: 3 }],
  ['lora', { rank: 3, rankStabilised: true, targets: ['key', 'attentionOutput', 'intermediate', 'output'] }],
  ['lora', { rank: 2, layers: [1] }],
  ['slash', { dimension: 12 }],
  ['slash', { dimension: 12, position: 'attention' }],
  ['slash', { dimension: 12, position: 'intermediate', head: 'linear' }],
  ['ia3', {}],
  ['intrinsic-said', { dimension: 40, targets: ['query', 'value', 'intermediate'], biases: true }],
  ['ia3', { outputs: ['query', 'attentionOutput', 'intermediate', 'output'], inputs: ['key', 'attentionOutput'] }],
  // Both act on the same maps: what scales a map's input comes after what is added to its result, whichever part is first.
  [
    'union',
    {
      parts: [
        { id: 'ia3', inputs: ['output'] },
        { id: 'lora', rank: 2, targets: ['value', 'output'] },
      ],
    },
  ],
  ['union', { parts: [{ id: 'lora', rank: 2, targets: ['value', 'output'] }, { id: 'ia3' }, { id: 'bitfit' }] }],
];

/** What leaves something behind. */
const remaining: readonly (readonly [id: string, options: Options, into: string])[] = [
  ['prefix-tuning', { length: 3, reparametrise: true, bottleneck: 6 }, 'prefix-tuning'],
  ['prefix-tuning', { length: 3, reparametrise: true, bottleneck: 6, gated: true }, 'prefix-tuning'],
  ['prefix-tuning', { length: 3, reparametrise: true, bottleneck: 6, shiftPositions: true }, 'prefix-tuning'],
  ['unipelt', { prefixLength: 3, prefixBottleneck: 6, bottleneck: 4, rank: 2 }, 'union'],
  ['unipelt-prompt', { prefixLength: 3, prefixBottleneck: 6, bottleneck: 4, rank: 2, gated: false }, 'union'],
  [
    'union',
    {
      parts: [
        { id: 'lora', rank: 2 },
        { id: 'lora', rank: 3, gated: true },
        { id: 'pasta' },
        { id: 'adapter-houlsby', bottleneck: 4, trainNorms: true },
        { id: 'slash', dimension: 8, position: 'attention' },
      ],
    },
    'union',
  ],
];

function kindsOf({ outputs: { logits } }: ModelGraph): readonly string[] {
  if (logits === undefined) throw new Error('the model has no logits');
  return topologicalOrder([logits]).map(({ operation }) =>
    operation.kind === 'parameter' ? 'weight' : operation.kind,
  );
}

/** The greatest difference of the logits before and after folding, and the graph after. */
async function folded(id: string, options: Options): Promise<{ readonly error: number; readonly graph: ModelGraph }> {
  const plan = planOf(checkpoint, id, options);
  const model = buildModel(plan, { dropout: 'off' });
  const values = await noisyValues(model, checkpoint, 0.05);
  const seed = 3;
  const before = await logitsOf(model, frozenWeights(model, checkpoint, seed), values, checkpoint.config, data);
  const result = await foldModel({ plan, checkpoint, values, seed }, { backend: onnxBackend, device });
  const graph = buildModel(result.plan, { dropout: 'off' });
  expect([...result.values.keys()].sort()).toEqual(graph.trained.map(({ name }) => name).sort());
  const weights = foldedWeights(graph, result, checkpoint, seed);
  const after = await logitsOf(graph, weights, result.values, checkpoint.config, data);
  const error = Math.max(...before.map((logit, index) => Math.abs(logit - (after[index] ?? NaN))));
  return { error, graph };
}

type Part = Options & { readonly id: string };

/** Parts that fold, by what they do where. */
const foldable: Readonly<Record<string, Part>> = {
  lora: { id: 'lora', rank: 2, targets: [...projections] },
  'ia3 of results': { id: 'ia3', outputs: [...projections], inputs: [] },
  'ia3 of inputs': { id: 'ia3', outputs: [], inputs: [...projections] },
  slash: { id: 'slash', dimension: 8 },
  'slash after attention': { id: 'slash', dimension: 8, position: 'attention' },
  'slash in the middle': { id: 'slash', dimension: 8, position: 'intermediate' },
  'intrinsic-said': { id: 'intrinsic-said', dimension: 40, targets: [...projections, 'attentionNorm'], biases: true },
  bitfit: { id: 'bitfit' },
};

const everywhere = { bottleneck: 4, positions: ['attention', 'feedForward'] };

/** Parts that stay, with those that can't fold in front of them and behind them. */
const staying: Readonly<
  Record<string, { readonly part: Part; readonly before: readonly string[]; readonly behind: readonly string[] }>
> = {
  'gated lora': {
    part: { id: 'lora', rank: 2, targets: [...projections], gated: true },
    before: ['ia3 of inputs'],
    behind: ['ia3 of results', 'ia3 of inputs'],
  },
  'gated ia3 of results': {
    part: { id: 'ia3', outputs: [...projections], inputs: [], gated: true },
    before: ['ia3 of inputs', 'slash'],
    behind: ['lora', 'ia3 of inputs', 'slash', 'slash in the middle'],
  },
  'gated ia3 of inputs': {
    part: { id: 'ia3', outputs: [], inputs: [...projections], gated: true },
    before: ['ia3 of inputs'],
    behind: [],
  },
  'adapters on outputs': {
    part: { id: 'adapter-houlsby', ...everywhere, trainNorms: true },
    before: [],
    behind: ['slash'],
  },
  'adapters behind norms': {
    part: { id: 'adapter-pfeiffer', ...everywhere },
    before: ['slash after attention'],
    behind: ['slash', 'slash after attention'],
  },
  'adapters beside sub-layers': { part: { id: 'adapter-parallel', ...everywhere }, before: [], behind: [] },
  pasta: { part: { id: 'pasta' }, before: [], behind: [] },
  'jr-warp': { part: { id: 'jr-warp', dimension: 8 }, before: [], behind: [] },
  'gated prefix': {
    part: { id: 'prefix-tuning', length: 3, reparametrise: true, bottleneck: 4, gated: true },
    before: [],
    behind: [],
  },
};

/** The ids of the parts that are left of a union; undefined where nothing folds. */
function leftOf(parts: readonly Part[]): readonly unknown[] | undefined {
  const folding = foldingOf(planOf(checkpoint, 'union', { parts }));
  if (folding.kind === 'stays') return undefined;
  const left = folding.remainder?.method.options['parts'];
  return Array.isArray(left) ? left.map(({ id }: Part) => id) : [];
}

describe('folding a union', () => {
  it.each(Object.entries(staying))('%s and what folds, in both orders', async (_, { part, before, behind }) => {
    for (const [name, folding] of Object.entries(foldable)) {
      for (const [parts, held] of [
        [[folding, part], before],
        [[part, folding], behind],
      ] as const) {
        const expected = held.includes(name) ? undefined : [part.id];
        expect(leftOf(parts), parts.map(({ id }) => id).join()).toEqual(expected);
        if (expected !== undefined) expect((await folded('union', { parts })).error, name).toBeLessThan(1e-5);
      }
    }
  });

  it.each(Object.entries(foldable))('%s and what else folds vanish, in both orders', async (_, part) => {
    for (const [name, other] of Object.entries(foldable)) {
      expect(leftOf([part, other])).toEqual([]);
      expect((await folded('union', { parts: [part, other] })).error, name).toBeLessThan(1e-5);
    }
  });

  it('keeps what is held by a part that is held itself', async () => {
    const parts: readonly Part[] = [
      { id: 'ia3', outputs: ['value'], inputs: [], gated: true },
      { id: 'lora', rank: 2, targets: ['value'] },
      { id: 'ia3', outputs: ['key'], inputs: ['value'] },
      { id: 'lora', rank: 2, targets: ['output'] },
    ];
    expect(leftOf(parts)).toEqual(['ia3', 'lora', 'ia3']);
    expect((await folded('union', { parts })).error).toBeLessThan(1e-5);
  });

  it('keeps the names from which fixed random numbers are drawn', async () => {
    const parts: readonly Part[] = [
      { id: 'slash', dimension: 8, position: 'attention' },
      { id: 'adapter-houlsby', bottleneck: 4 },
      { id: 'slash', dimension: 8 },
      { id: 'lora', rank: 2 },
    ];
    expect(leftOf(parts)).toEqual(['slash', 'adapter-houlsby', 'slash']);
    expect((await folded('union', { parts })).error).toBeLessThan(1e-5);
  });

  it('says what holds a part', async () => {
    const parts: readonly Part[] = [
      { id: 'ia3', outputs: ['value'], inputs: [], gated: true },
      { id: 'lora', rank: 2 },
    ];
    const plan = planOf(checkpoint, 'union', { parts });
    const values = await noisyValues(buildModel(plan, { dropout: 'off' }), checkpoint, 0);
    await expect(foldModel({ plan, checkpoint, values, seed: 0 }, { backend: onnxBackend, device })).rejects.toThrow(
      'lora acts on the same numbers as ia3, which stays',
    );
  });
});

describe('folding', () => {
  it.each(vanishing)('%s %o becomes the plain encoder: the same logits by the same operations', async (id, options) => {
    const { error, graph } = await folded(id, options);
    expect(error).toBeLessThan(1e-5);
    const plain = buildModel(planOf(checkpoint, 'head', { head: graph.method.head }), { dropout: 'off' });
    expect(kindsOf(graph)).toEqual(kindsOf(plain));
  });

  it.each(remaining)('%s %o keeps what it must, in a simpler form', async (id, options, into) => {
    const before = buildModel(planOf(checkpoint, id, options), { dropout: 'off' });
    const { error, graph } = await folded(id, options);
    expect(error).toBeLessThan(1e-5);
    expect(kindsOf(graph).length).toBeLessThan(kindsOf(before).length);
    const folding = foldingOf(planOf(checkpoint, id, options));
    expect(folding.kind === 'folds' && folding.remainder?.method.id).toBe(into);
  });

  it('says what is left of a union and why', () => {
    const { folding } = buildModel(planOf(checkpoint, 'unipelt', { reparametrise: true, gated: false }), {
      dropout: 'off',
    }).method;
    expect(folding.kind === 'folds' && folding.remainder?.reason).toBe(
      'has parts that stay: prefix-tuning has rows before the keys and values; adapter-pfeiffer has a non-linearity between its maps',
    );
  });

  it('is answered by every method, and refused with the reason where it is impossible', async () => {
    const staying = methodIds().flatMap((id) => {
      const folding = foldingOf(planOf(checkpoint, id, smallOptions[id] ?? {}));
      return folding.kind === 'stays' ? [[id, folding.reason] as const] : [];
    });
    expect(Object.fromEntries(staying)).toMatchObject({
      pasta: 'shifts the special tokens alone',
      'prefix-tuning': 'has plain rows before the keys and values already',
      compacter: 'has a non-linearity between its maps',
      union: 'has parts that stay: pasta shifts the special tokens alone; lora has gates, which depend on the example',
    });
    const plan = planOf(checkpoint, 'compacter', smallOptions['compacter'] ?? {});
    const values = await noisyValues(buildModel(plan, { dropout: 'off' }), checkpoint, 0);
    await expect(foldModel({ plan, checkpoint, values, seed: 0 }, { backend: onnxBackend, device })).rejects.toThrow(
      'compacter does not fold: it has a non-linearity between its maps',
    );
  });
});
