import { describe, expect, it } from 'vitest';
import { onnxBackend } from '../../../src/engine/backends/onnx/onnx-backend.ts';
import { frozenWeights } from '../../../src/engine/encoder-checkpoint.ts';
import { foldedWeights, foldingOf, foldModel } from '../../../src/engine/fold.ts';
import { topologicalOrder } from '../../../src/engine/graph/value.ts';
import { buildModel, type ModelGraph } from '../../../src/engine/model-graph.ts';
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

  it('is answered by every method, and refused with the reason where it is impossible', async () => {
    const staying = methodIds().flatMap((id) => {
      const folding = foldingOf(planOf(checkpoint, id, smallOptions[id] ?? {}));
      return folding.kind === 'stays' ? [[id, folding.reason] as const] : [];
    });
    expect(Object.fromEntries(staying)).toMatchObject({
      pasta: 'shifts the special tokens alone',
      'prefix-tuning': 'has plain rows before the keys and values already',
      compacter: 'has a non-linearity between its maps',
      union: 'pasta shifts the special tokens alone; lora has gates, which depend on the example',
    });
    const plan = planOf(checkpoint, 'compacter', smallOptions['compacter'] ?? {});
    const values = await noisyValues(buildModel(plan, { dropout: 'off' }), checkpoint, 0);
    await expect(foldModel({ plan, checkpoint, values, seed: 0 }, { backend: onnxBackend, device })).rejects.toThrow(
      'compacter does not fold: it has a non-linearity between its maps',
    );
  });
});
