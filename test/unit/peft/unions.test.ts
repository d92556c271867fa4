import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { frozenWeights, startValues } from '../../../src/engine/encoder-checkpoint.ts';
import { buildModel, countParameters } from '../../../src/engine/model-graph.ts';
import { findMethod, methodIds } from '../../../src/peft/registry.ts';
import { logitsOf, makeSequences, noisyValues, planOf, smallOptions } from '../../support/method-model.ts';
import { openTinyEncoder } from '../../support/tiny-checkpoint.ts';

const checkpoint = await openTinyEncoder();
/** Its positions are counted from the tokens that are no padding. */
const roberta = await openTinyEncoder({ model_type: 'roberta' });

const data = makeSequences(5, 2);

type Options = Readonly<Record<string, unknown>>;

/** Logits of a method after some noise on what it trains, or as it starts. */
async function logits(
  id: string,
  options: Options,
  {
    deviation = 0.05,
    multipleOf = 1,
    encoder = checkpoint,
  }: { readonly deviation?: number; readonly multipleOf?: number; readonly encoder?: typeof checkpoint } = {},
): Promise<readonly number[]> {
  const model = buildModel(planOf(encoder, id, options), { dropout: 'off' });
  const values = deviation === 0 ? await startValues(model, encoder, 0) : await noisyValues(model, encoder, deviation);
  return logitsOf(model, frozenWeights(model, encoder, 0), values, encoder.config, data, multipleOf);
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, index) => Math.abs(value - (b[index] ?? NaN))));
}

const gatedUnion = {
  parts: [
    { id: 'prefix-tuning', length: 2, gated: true },
    { id: 'adapter-pfeiffer', bottleneck: 4, gated: true },
    { id: 'compacter', n: 2, bottleneck: 4, gated: true },
    { id: 'lora', rank: 2, gated: true },
    { id: 'ia3', gated: true },
    { id: 'prompt-tuning', length: 2 },
  ],
};

describe('padding', () => {
  it.each([...methodIds().map((id) => [id, smallOptions[id] ?? {}] as const), ['union', gatedUnion] as const])(
    'does not change what %s %o makes of an example',
    async (id, options) => {
      for (const encoder of [checkpoint, roberta]) {
        const tight = await logits(id, options, { encoder });
        const wide = await logits(id, options, { encoder, multipleOf: 19 });
        expect(distance(tight, wide), encoder.config.family).toBeLessThan(1e-5);
      }
    },
  );

  it('does change it where gates count padding, as in the code of UniPELT', async () => {
    const options = { prefixLength: 2, prefixBottleneck: 4, bottleneck: 4, rank: 2, maskedGateMean: false };
    const [tight, wide] = [await logits('unipelt', options), await logits('unipelt', options, { multipleOf: 19 })];
    expect(distance(tight, wide)).toBeGreaterThan(1e-4);
  });
});

describe('the prompt of a union', () => {
  it.each([
    [{}, { kind: 'wordEmbeddings', of: 'drawn' }],
    [{ promptInit: 'uniform' }, { kind: 'uniform', bound: 0.5 }],
    [
      { promptInit: 'uniform', promptInitScale: 0.1 },
      { kind: 'uniform', bound: 0.1 },
    ],
    [
      { promptInit: 'normal', promptInitScale: 0.02 },
      { kind: 'normal', deviation: 0.02 },
    ],
  ] as const)('starts from what %o says', (options, start) => {
    const { trained } = buildModel(planOf(checkpoint, 'unipelt-prompt', options), { dropout: 'off' });
    const prompts = trained.filter(({ name }) => name.endsWith('.prompt'));
    expect(prompts.map(({ initialiser }) => initialiser)).toEqual([start]);
  });
});

describe('gates', () => {
  it('start near a half: small weights, biases by the law of the module', () => {
    const { trained } = buildModel(planOf(checkpoint, 'unipelt', { bottleneck: 4, rank: 2 }), { dropout: 'off' });
    const startOf = (name: string): unknown => trained.find((tensor) => tensor.name === name)?.initialiser;
    const torch = { kind: 'uniform', bound: 1 / Math.sqrt(checkpoint.config.hiddenSize) };
    for (const layer of [0, 1]) {
      const gates = [
        ['lora', 'query', torch],
        ['lora', 'value', torch],
        ['prefix-tuning', 'prefix', torch],
        ['adapter-pfeiffer', 'feedForward', { kind: 'zeros' }],
      ] as const;
      for (const [part, module, bias] of gates) {
        const name = `method.${part}.layer.${layer}.${module}.gate`;
        expect(startOf(`${name}.weight`)).toEqual({ kind: 'normal', deviation: 0.02 });
        expect(startOf(`${name}.bias`)).toEqual(bias);
      }
      expect(startOf(`method.lora.layer.${layer}.query.lora_A`)).toEqual(torch);
      expect(startOf(`method.lora.layer.${layer}.query.lora_B`)).toEqual({ kind: 'zeros' });
    }
    expect(startOf('method.prefix-tuning.prefix.embedding')).toEqual({ kind: 'normal', deviation: 1 });
  });

  it('give each example a number in 0..1 and so less than the whole change', async () => {
    const [plain, whole, gated] = [
      await logits('head', {}, { deviation: 0 }),
      await logits('ia3', {}, { deviation: 0 }),
      await logits('ia3', { gated: true }, { deviation: 0 }),
    ];
    expect(distance(plain, whole)).toBeLessThan(1e-6);
    expect(distance(plain, gated)).toBeLessThan(1e-6);
    // The library's form scales by g l instead of 1 + g (l - 1), which is no longer the pretrained function.
    expect(distance(plain, await logits('ia3', { gated: true, gateForm: 'whole' }, { deviation: 0 }))).toBeGreaterThan(
      1e-3,
    );
  });

  it('take the place of alpha in LoRA', async () => {
    const one = await logits('lora', { gated: true, alpha: 1 });
    expect(distance(one, await logits('lora', { gated: true, alpha: 64 }))).toBe(0);
    expect(distance(await logits('lora', { alpha: 1 }), await logits('lora', { alpha: 64 }))).toBeGreaterThan(1e-3);
  });
});

describe('unions', () => {
  it('of one part are that part', async () => {
    const alone = buildModel(planOf(checkpoint, 'lora', { rank: 2, gated: true }), { dropout: 'off' });
    const union = buildModel(planOf(checkpoint, 'union', { parts: [{ id: 'lora', rank: 2, gated: true }] }), {
      dropout: 'off',
    });
    const values = await noisyValues(alone, checkpoint, 0.05);
    const renamed = new Map(
      [...values].map(([name, data]) => [name.replace(/^method\./, 'method.lora.'), data] as const),
    );
    const weights = frozenWeights(alone, checkpoint, 0);
    const { config } = checkpoint;
    expect(await logitsOf(union, weights, renamed, config, data)).toEqual(
      await logitsOf(alone, weights, values, config, data),
    );
  });

  it('train what their parts train, each under its own name', () => {
    const parts = [
      { id: 'lora', rank: 2 },
      { id: 'lora', rank: 3, targets: ['key'] },
      { id: 'bitfit' },
      { id: 'slash', dimension: 8 },
      { id: 'adapter-parallel', bottleneck: 4 },
      { id: 'prefix-tuning', length: 2 },
      { id: 'prefix-tuning', length: 3, reparametrise: true, bottleneck: 4 },
    ];
    const count = (id: string, options: Options): number =>
      countParameters(buildModel(planOf(checkpoint, id, options), { dropout: 'off' }).trained).method;
    const each = parts.map(({ id, ...options }) => count(id, options));
    expect(count('union', { parts })).toBe(each.reduce((sum, one) => sum + one, 0));
  });

  it('have the parts of UniPELT where they name it', async () => {
    const narrow = { prefixLength: 2, prefixBottleneck: 4, bottleneck: 4, rank: 2 };
    for (const [id, options] of [
      ['unipelt', narrow],
      ['unipelt-prompt', { ...narrow, promptLength: 2, gated: false }],
    ] as const) {
      const alone = await logits(id, options);
      expect(await logits('union', { parts: [{ id, ...options }] })).toEqual(alone);
      const beside = {
        parts: [
          { id: 'slash', dimension: 4 },
          { id, ...options },
          { id: 'unipelt', ...narrow },
        ],
      };
      const { trained } = buildModel(planOf(checkpoint, 'union', beside), { dropout: 'off' });
      const names = new Set(trained.map(({ name }) => name.split('.')[1]));
      for (const part of ['slash', 'lora', 'lora-2', 'adapter-pfeiffer-2', 'prefix-tuning-2'])
        expect(names).toContain(part);
    }
  });

  it('are the same whichever order parts that do not meet come in', async () => {
    const parts = gatedUnion.parts.filter(({ id }) => id !== 'compacter' && id !== 'ia3');
    const [forwards, backwards] = [
      await logits('union', { parts }),
      await logits('union', { parts: parts.toReversed() }),
    ];
    expect(distance(forwards, backwards)).toBeLessThan(1e-6);
  });

  it('refuse parts that can not go together, saying which', () => {
    const build = (parts: readonly unknown[]) => () =>
      buildModel(planOf(checkpoint, 'union', { parts }), { dropout: 'off' });
    expect(build([{ id: 'warp' }, { id: 'lora' }, { id: 'prompt-tuning' }])).toThrow(UserError);
    expect(build([{ id: 'warp' }, { id: 'lora' }, { id: 'prompt-tuning' }])).toThrow(
      'warp and prompt-tuning both put rows into the sequence',
    );
    const { options } = findMethod('union');
    const paths = (parts: unknown): readonly string[] =>
      (options.safeParse({ parts }).error?.issues ?? []).map(({ path, code }) => `${path.join('.')} ${code}`);
    expect(paths([{ id: 'lora', rank: 0 }])).toEqual(['parts.0.rank too_small']);
    expect(paths([{ id: 'lora' }, { id: 'lora', head: 'mask' }])).toEqual(['parts.1 unrecognized_keys']);
    expect(paths([{ id: 'full' }])).toEqual(['parts.0.id invalid_union']);
    expect(paths([])).toEqual(['parts too_small']);
  });
});
