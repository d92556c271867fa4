import { describe, expect, it } from 'vitest';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { buildModel, countParameters, type ModelPlan, type ParameterCounts } from '../../../src/engine/model-graph.ts';

function count(
  model: string,
  id: string,
  options: Readonly<Record<string, unknown>>,
  { labels = 2, texts = 'pair' }: { readonly labels?: number; readonly texts?: ModelPlan['texts'] & string } = {},
): ParameterCounts {
  const encoder = knownEncoders[model];
  if (encoder === undefined) throw new Error(`unknown encoder ${model}`);
  const objective = { kind: 'classification', labels } as const;
  const plan: ModelPlan = { encoder, hasPooler: true, method: { id, options }, objective, texts };
  return countParameters(buildModel(plan, { dropout: 'off' }).trained);
}

const bert = { base: 'bert-base-cased', large: 'bert-large-cased' };
const roberta = { base: 'roberta-base', large: 'roberta-large' };

describe('published counts of methods that add rows and shifts', () => {
  it.each([
    [bert.base, 'single', 18_432],
    [bert.base, 'pair', 27_648],
    [bert.large, 'single', 49_152],
    [bert.large, 'pair', 73_728],
    [roberta.base, 'single', 18_432],
    [roberta.base, 'pair', 36_864],
    [roberta.large, 'single', 49_152],
    [roberta.large, 'pair', 98_304],
  ] as const)('PASTA on %s, %s', (model, texts, method) => {
    expect(count(model, 'pasta', {}, { texts }).method).toBe(method);
  });

  it('PASTA with the head that is counted with it', () => {
    expect(count(roberta.large, 'pasta', { head: 'linear' }, { labels: 3 }).total).toBe(101_379);
    expect(count(bert.base, 'pasta', {}).head).toBe(1538);
    expect(count(bert.base, 'pasta', { vectors: 'shared' }).method).toBe(12 * 768);
  });

  it.each(['base', 'large'] as const)('JR-WARP on %s counts as SLaSh does', (size) => {
    const totals = { base: [2562, 3331, 3586], large: [3074, 4099, 4098] }[size];
    for (const { [size]: model } of [bert, roberta]) {
      const total = (dimension: number, labels: number): number =>
        count(model, 'jr-warp', { dimension }, { labels }).total;
      expect([total(1024, 2), total(1024, 3), total(2048, 2)]).toEqual(totals);
    }
  });

  it('WARP of 20 rows', () => {
    expect(count(roberta.large, 'warp', { prompts: 20 }).total).toBe(22_530);
    expect(count(roberta.large, 'warp', { prompts: 20 }, { labels: 3 }).total).toBe(23_555);
    expect(count(roberta.base, 'warp', { prompts: 20 }).method).toBe(15_360);
    expect(count(roberta.large, 'warp', { prompts: 1 }, { labels: 3 }).total).toBe(4099);
  });

  it.each([
    ['prompt-tuning', { length: 20 }, 15_360, 20_480],
    ['prompt-tuning', { length: 10, enter: 'before-embedding' }, 7680, 10_240],
    ['prefix-tuning', { length: 10 }, 184_320, 491_520],
    ['prefix-tuning', { length: 20 }, 368_640, 983_040],
    ['prefix-tuning', { length: 10, reparametrise: true, bottleneck: 512 }, 9_857_024, 25_750_016],
  ])('%s %o', (id, options, base, large) => {
    for (const family of [bert, roberta]) {
      expect(count(family.base, id, options).method).toBe(base);
      expect(count(family.large, id, options).method).toBe(large);
    }
  });
});
