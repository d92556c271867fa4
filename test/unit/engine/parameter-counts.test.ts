import { describe, expect, it } from 'vitest';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { buildModel, countParameters } from '../../../src/engine/model-graph.ts';
import type { TextKind } from '../../../src/peft/method.ts';
import { countTrained, methodOptions, type SizedModel } from '../../../src/runs/parameter-counts.ts';
import { findTask } from '../../../src/tasks/registry.ts';

type Options = Readonly<Record<string, unknown>>;

interface Asked {
  readonly method: string;
  readonly options?: Options;
  readonly labels?: number;
  readonly texts?: TextKind;
  /** BERT's has one unless said otherwise. */
  readonly pooler?: boolean;
}

function sized(model: string, pooler?: boolean): SizedModel {
  const config = knownEncoders[model];
  if (config === undefined) throw new Error(`unknown encoder ${model}`);
  return { config, hasPooler: pooler ?? config.family === 'bert' };
}

/** What `peft-lab params` counts. */
function count(
  model: string,
  { method, options = {}, labels = 2, texts = 'pair', pooler }: Asked,
): { readonly method: number; readonly head: number; readonly total: number } {
  const asked = { method, options: methodOptions(method, options), labels, texts };
  const { method: own, head, total } = countTrained(sized(model, pooler), asked);
  expect(total).toBe(own + head);
  return { method: own, head, total };
}

const bases = ['bert-base-uncased', 'bert-base-cased', 'roberta-base'] as const;
const larges = ['bert-large-uncased', 'bert-large-cased', 'roberta-large'] as const;
const [bertBase, , robertaBase] = bases;
const [bertLarge, , robertaLarge] = larges;

/** Everything below is counted from the graph; the numbers are the papers' or follow from the formula in the row, h 768/1024, L 12/24. */
describe('trained numbers of a method, head apart, on BERT and RoBERTa of both sizes', () => {
  const table: readonly (readonly [what: string, asked: Asked, onBase: number, onLarge: number])[] = [
    ['nothing for the head alone', { method: 'head' }, 0, 0],
    ['SLaSh: d = 1,024', { method: 'slash', options: { dimension: 1024 } }, 1024, 1024],
    ['SLaSh: d = 10,000', { method: 'slash', options: { dimension: 10_000 } }, 10_000, 10_000],
    ['JR-WARP: d = 1,024', { method: 'jr-warp', options: { dimension: 1024 } }, 1024, 1024],
    ['WARP of 20 prompts: n h', { method: 'warp', options: { prompts: 20 } }, 15_360, 20_480],
    ['PASTA of one text: L · 2 · h', { method: 'pasta', options: { slots: 2 } }, 18_432, 49_152],
    ['PASTA of a pair in BERT: L · 3 · h', { method: 'pasta', options: { slots: 3 } }, 27_648, 73_728],
    ['PASTA of a pair in RoBERTa: L · 4 · h', { method: 'pasta', options: { slots: 4 } }, 36_864, 98_304],
    [
      'biases of every layer and norm, no pooler: L (4h + h + f + h + h) + h',
      { method: 'bitfit', pooler: false },
      102_144,
      271_360,
    ],
    [
      'the same where a linear head leaves the pooler out',
      { method: 'bitfit', options: { head: 'linear' } },
      102_144,
      271_360,
    ],
    ['LoRA of rank 8 on query and value: 4 L h r', { method: 'lora', options: { rank: 8 } }, 294_912, 786_432],
    ['LoRA of rank 1: 4 L h', { method: 'lora', options: { rank: 1 } }, 36_864, 98_304],
    ['LoRA of rank 8 in three layers: 4 · 3 h r', { method: 'lora', options: { layers: [0, 5, 11] } }, 73_728, 98_304],
    ['IA3: L (h + h + f)', { method: 'ia3' }, 55_296, 147_456],
    [
      'Houlsby b = 64: 2 L (2hb + b + h)',
      { method: 'adapter-houlsby', options: { bottleneck: 64 } },
      2_379_264,
      6_343_680,
    ],
    ['Houlsby b = 8', { method: 'adapter-houlsby', options: { bottleneck: 8 } }, 313_536, 835_968],
    [
      'Houlsby b = 64 with every norm: + (2L + 1) 2h',
      { method: 'adapter-houlsby', options: { bottleneck: 64, trainNorms: true } },
      2_417_664,
      6_444_032,
    ],
    ['Pfeiffer b = h/16: L (2hb + b + h)', { method: 'adapter-pfeiffer' }, 894_528, 3_171_840],
    ['Pfeiffer b = 16', { method: 'adapter-pfeiffer', options: { bottleneck: 16 } }, 304_320, 811_392],
    ['parallel adapters b = h/16, as many as Pfeiffer’s', { method: 'adapter-parallel' }, 894_528, 3_171_840],
    [
      'AdapterDrop b = 24 without the first 5 layers: 2 (L - 5) (2hb + b + h)',
      { method: 'adapter-drop', options: { bottleneck: 24, drop: 5 } },
      527_184,
      1_907_600,
    ],
    [
      'low-rank adapters b = 24: 2 L (2(h + b) + b + h)',
      { method: 'adapter-low-rank', options: { bottleneck: 24 } },
      57_024,
      150_912,
    ],
    [
      'PHM adapters n = 4, b = h/32: 2 L (2(hb/n + n³) + b + h)',
      { method: 'adapter-phm', options: { n: 4, reductionFactor: 32 } },
      243_264,
      843_264,
    ],
    ['Compacter n = 4, b = h/32: 2 L (3(h + b)) + n³', { method: 'compacter', options: { n: 4 } }, 57_088, 152_128],
    ['Compacter++: L (3(h + b)) + n³', { method: 'compacter++', options: { n: 4 } }, 28_576, 76_096],
    ['Compacter with every norm', { method: 'compacter', options: { trainNorms: true } }, 95_488, 252_480],
    ['Compacter++ with every norm', { method: 'compacter++', options: { trainNorms: true } }, 66_976, 176_448],
    ["SAID: d' = 20,000", { method: 'intrinsic-said', options: { dimension: 20_000 } }, 20_000, 20_000],
    ['a prompt of 20: p h', { method: 'prompt-tuning', options: { length: 20 } }, 15_360, 20_480],
    ['a prompt of 10', { method: 'prompt-tuning', options: { length: 10 } }, 7680, 10_240],
    ['flat prefixes of 20: 2 L h p', { method: 'prefix-tuning', options: { length: 20 } }, 368_640, 983_040],
    ['flat prefixes of 10', { method: 'prefix-tuning', options: { length: 10 } }, 184_320, 491_520],
    [
      'reparametrised prefixes of 10, m = 512: p h + (h m + m) + (m 2 L h + 2 L h)',
      { method: 'prefix-tuning', options: { length: 10, reparametrise: true, bottleneck: 512 } },
      9_857_024,
      25_750_016,
    ],
    ['UniPELT', { method: 'unipelt' }, 11_083_376, 29_806_688],
    [
      'UniPELT without its gates: 4 L (h + 1) fewer',
      { method: 'unipelt', options: { gated: false } },
      11_046_464,
      29_708_288,
    ],
    ['UniPELT with a prompt of 10', { method: 'unipelt-prompt' }, 11_091_056, 29_816_928],
    [
      'gated IA3, prefixes and adapters',
      {
        method: 'union',
        options: {
          parts: [
            // As the adapters library has it.
            { id: 'ia3', outputs: ['key', 'value', 'intermediate'], inputs: [], gated: true },
            { id: 'prefix-tuning', reparametrise: true, gated: true },
            { id: 'adapter-pfeiffer', gated: true },
          ],
        },
      },
      10_852_988,
      29_192_312,
    ],
    [
      'three UniPELTs in one, by name',
      { method: 'union', options: { parts: [{ id: 'unipelt' }, { id: 'unipelt' }, { id: 'unipelt' }] } },
      33_250_128,
      89_420_064,
    ],
    [
      'three UniPELTs in one',
      {
        method: 'union',
        options: {
          parts: [1, 2, 3].flatMap(() => [
            { id: 'prefix-tuning', reparametrise: true, gated: true },
            { id: 'adapter-pfeiffer', gated: true },
            { id: 'lora', gated: true },
          ]),
        },
      },
      33_250_128,
      89_420_064,
    ],
  ];

  it.each(table)('%s', (_, asked, onBase, onLarge) => {
    expect(bases.map((model) => count(model, asked).method)).toEqual(bases.map(() => onBase));
    expect(larges.map((model) => count(model, asked).method)).toEqual(larges.map(() => onLarge));
  });

  it.each([
    ['bert-base-cased', 108_310_272, 107_719_680],
    ['bert-base-uncased', 109_482_240, 108_891_648],
    ['bert-large-cased', 333_579_264, 332_529_664],
    ['bert-large-uncased', 335_141_888, 334_092_288],
    ['roberta-base', 124_055_040, 124_055_040],
    ['roberta-large', 354_310_144, 354_310_144],
  ])('full fine-tuning of %s: with the pooler %i, without %i', (model, withPooler, without) => {
    expect(count(model, { method: 'full' }).method).toBe(withPooler);
    expect(count(model, { method: 'full', pooler: false }).method).toBe(without);
  });

  it('full fine-tuning of some layers alone: theirs and the pooler, the embeddings where they are asked for', () => {
    const [embeddings, layer, pooler] = [23_837_184, 7_087_872, 590_592];
    const method = (options: Options): number => count(bertBase, { method: 'full', options }).method;
    expect(method({ embeddings: false })).toBe(12 * layer + pooler);
    expect(method({ layers: [10, 11] })).toBe(2 * layer + pooler);
    expect(method({ layers: [10, 11], embeddings: true })).toBe(embeddings + 2 * layer + pooler);
    expect(() => method({ layers: [12] })).toThrow('full: layers names 12, but the encoder has 12 layers');
  });

  it.each([1024, 5000])('SLaSh and JR-WARP of d = %i draw L d h fixed numbers, which are not counted', (dimension) => {
    for (const id of ['slash', 'jr-warp']) {
      for (const model of [...bases, ...larges]) {
        const { config: encoder, hasPooler } = sized(model);
        const method = { id, options: methodOptions(id, { dimension }) };
        const objective = { kind: 'classification', labels: 2 } as const;
        const { fixed, trained } = buildModel({ encoder, hasPooler, method, objective }, { dropout: 'off' });
        const drawn = fixed.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
        expect(drawn).toBe(encoder.layers * dimension * encoder.hiddenSize);
        expect(countParameters(trained).method).toBe(dimension);
      }
    }
  });

  it("BitFit with the pooler's bias, where BERT has a pooler", () => {
    expect(bases.map((model) => count(model, { method: 'bitfit' }).method)).toEqual([102_912, 102_912, 102_144]);
    expect(larges.map((model) => count(model, { method: 'bitfit' }).method)).toEqual([272_384, 272_384, 271_360]);
  });

  it('PASTA of a pair has as many vectors as the family puts special tokens: 3 in BERT, 4 in RoBERTa', () => {
    expect(bases.map((model) => count(model, { method: 'pasta' }).method)).toEqual([27_648, 27_648, 36_864]);
    expect(larges.map((model) => count(model, { method: 'pasta' }).method)).toEqual([73_728, 73_728, 98_304]);
    const single = { method: 'pasta', texts: 'single' } as const;
    expect([...bases, ...larges].map((model) => count(model, single).method)).toEqual([
      18_432, 18_432, 18_432, 49_152, 49_152, 49_152,
    ]);
  });
});

describe('heads', () => {
  it.each([
    [1, 769, 1025],
    [2, 1538, 2050],
    [3, 2307, 3075],
    [9, 6921, 9225],
  ])('one linear map onto %i labels: k (h + 1)', (labels, onBase, onLarge) => {
    const asked: Asked = { method: 'head', options: { head: 'linear' }, labels };
    for (const model of bases) expect(count(model, asked)).toEqual({ method: 0, head: onBase, total: onBase });
    for (const model of larges) expect(count(model, asked)).toEqual({ method: 0, head: onLarge, total: onLarge });
    expect(count(bertBase, { method: 'head', labels }).head).toBe(onBase);
  });

  it("RoBERTa's own is dense and linear: 592,130 for two labels on base", () => {
    expect(count(robertaBase, { method: 'head' }).head).toBe(592_130);
    expect(count(robertaBase, { method: 'unipelt' })).toEqual({
      method: 11_083_376,
      head: 592_130,
      total: 11_675_506,
    });
  });

  it('of two layers it is that of RoBERTa on any encoder', () => {
    const asked: Asked = { method: 'unipelt-prompt', options: { head: 'two-layer' } };
    for (const model of bases) expect(count(model, asked)).toMatchObject({ method: 11_091_056, head: 592_130 });
    expect(count(bertBase, { method: 'head', options: { head: 'two-layer' }, pooler: false }).head).toBe(592_130);
    const { config, hasPooler } = sized(bertBase);
    const plan = { encoder: config, hasPooler, objective: { kind: 'classification', labels: 2 } } as const;
    const method = { id: 'head', options: { head: 'two-layer' } };
    expect(buildModel({ ...plan, method }, { dropout: 'off' }).trained.map(({ name }) => name)).toEqual([
      'head.classifier.dense.weight',
      'head.classifier.dense.bias',
      'head.classifier.out_proj.weight',
      'head.classifier.out_proj.bias',
    ]);
  });

  it('BitFit trains whole where it is asked to, as its authors do', () => {
    const head = (options: Options): number => count(robertaBase, { method: 'bitfit', options }).head;
    expect(head({})).toBe(768 + 1538);
    expect(head({ classifier: 'final' })).toBe(768 + 1538);
    expect(head({ classifier: 'whole' })).toBe(592_130);
    expect(count(bertBase, { method: 'bitfit', options: { classifier: 'whole' } }).head).toBe(1538);
  });

  it('of a task are those that its runs train: on words without the pooler, of one text with its special tokens', () => {
    const of = (model: string, method: string, task: string, labels?: number): ReturnType<typeof countTrained> =>
      countTrained(sized(model), { method, options: methodOptions(method, {}), task: findTask(task), labels });
    for (const model of bases) {
      expect(of(model, 'bitfit', 'usage-tagging')).toMatchObject({ method: 102_144, head: 2307, headLayout: 'token' });
      expect(of(model, 'bitfit', 'usage-tagging', 9)).toMatchObject({ method: 102_144, head: 6921 });
      expect(of(model, 'pasta', 'sst2')).toMatchObject({ method: 18_432, texts: 'single' });
      expect(of(model, 'slash', 'stsb')).toMatchObject({ head: 769, objective: { kind: 'regression' } });
      expect(of(model, 'lora', 'mnli')).toMatchObject({ objective: { kind: 'classification', labels: 3 } });
      expect(of(model, 'bitfit', 'mlm')).toMatchObject({ head: 0, headLayout: 'words' });
    }
    expect(of(robertaBase, 'pasta', 'mrpc')).toMatchObject({ method: 36_864, head: 592_130, texts: 'pair' });
  });

  it('spans have a start and an end: 2 (h + 1)', () => {
    const { config: encoder, hasPooler } = sized(robertaBase);
    const plan = { encoder, hasPooler, method: { id: 'head', options: {} }, objective: { kind: 'span' } } as const;
    expect(countParameters(buildModel(plan, { dropout: 'off' }).trained).head).toBe(1538);
  });
});

describe('shares of the whole checkpoint in percent, as papers print them', () => {
  const wholeBert = { base: 108_310_272, large: 333_579_264 };
  const wholeRoberta = { base: 124_645_632, large: 355_359_744 };
  const linear = { head: 'linear' };

  it.each([
    ['bert-base-cased', wholeBert.base, { method: 'pasta' }, '0.0255', '0.0269'],
    ['bert-large-cased', wholeBert.large, { method: 'pasta' }, '0.0221', '0.0227'],
    ['roberta-base', wholeRoberta.base, { method: 'pasta', options: linear }, '0.0296', '0.0308'],
    ['roberta-large', wholeRoberta.large, { method: 'pasta', options: linear }, '0.0277', '0.0282'],
    ['roberta-large', wholeRoberta.large, { method: 'pasta', options: linear, labels: 3 }, '0.0277', '0.0285'],
    ['roberta-base', wholeRoberta.base, { method: 'unipelt' }, '8.892', undefined],
    ['roberta-base', wholeRoberta.base, { method: 'unipelt-prompt' }, '8.898', undefined],
    ['roberta-large', wholeRoberta.large, { method: 'unipelt-prompt' }, '8.391', undefined],
    ['bert-base-cased', wholeBert.base, { method: 'unipelt-prompt' }, '10.24', undefined],
    ['bert-large-cased', wholeBert.large, { method: 'unipelt-prompt' }, '8.94', undefined],
    ['bert-base-cased', wholeBert.base, { method: 'bitfit' }, '0.095', undefined],
    ['bert-large-cased', wholeBert.large, { method: 'bitfit' }, '0.082', undefined],
  ] satisfies readonly (readonly [string, number, Asked, string, string | undefined])[])(
    'on %s of %i: %o',
    (model, whole, asked, alone, withHead) => {
      const { method, total } = count(model, asked);
      const digits = alone.length - alone.indexOf('.') - 1;
      expect(((100 * method) / whole).toFixed(digits)).toBe(alone);
      if (withHead !== undefined) expect(((100 * total) / whole).toFixed(digits)).toBe(withHead);
    },
  );
});

describe('method and head together, as papers count them', () => {
  it.each([
    [1024, 2562, 3331, 3074, 4099],
    [2048, 3586, 4355, 4098, 5123],
    [5000, 6538, 7307, 7050, 8075],
    [10_000, 11_538, 12_307, 12_050, 13_075],
  ])('SLaSh and JR-WARP of d = %i: d + k (h + 1)', (dimension, base2, base3, large2, large3) => {
    for (const method of ['slash', 'jr-warp']) {
      const total = (model: string, labels: number): number =>
        count(model, { method, options: { dimension }, labels }).total;
      for (const model of bases) expect([total(model, 2), total(model, 3)]).toEqual([base2, base3]);
      for (const model of larges) expect([total(model, 2), total(model, 3)]).toEqual([large2, large3]);
    }
  });

  it.each([
    ['WARP of 20 prompts, 2 labels', robertaLarge, { method: 'warp', options: { prompts: 20 } }, 22_530],
    ['WARP of 20 prompts, 3 labels', robertaLarge, { method: 'warp', options: { prompts: 20 }, labels: 3 }, 23_555],
    ['WARP of one prompt, 3 labels', robertaLarge, { method: 'warp', options: { prompts: 1 }, labels: 3 }, 4099],
    [
      'adapters of width 1',
      robertaLarge,
      { method: 'adapter-houlsby', options: { reductionFactor: 768, head: 'linear' } },
      149_554,
    ],
    [
      'adapters of width 1',
      robertaBase,
      { method: 'adapter-houlsby', options: { reductionFactor: 768, head: 'linear' } },
      56_858,
    ],
    ['LoRA of rank 1', robertaLarge, { method: 'lora', options: { rank: 1, head: 'linear' } }, 100_354],
    ['LoRA of rank 1', robertaBase, { method: 'lora', options: { rank: 1, head: 'linear' } }, 38_402],
    ["BitFit, the head's dense bias and its last map", robertaLarge, { method: 'bitfit' }, 274_434],
    ["BitFit, the head's dense bias and its last map", robertaBase, { method: 'bitfit' }, 104_450],
    ['PASTA of a pair, 3 labels', robertaLarge, { method: 'pasta', labels: 3, options: { head: 'linear' } }, 101_379],
  ] satisfies readonly (readonly [string, string, Asked, number])[])('%s on %s', (_, model, asked, total) => {
    expect(count(model, asked).total).toBe(total);
  });

  it('n = 12 divides neither the hidden size of large models nor the width 32 of their adapters, which is said with what does', () => {
    const options = { n: 12 };
    expect(count(bertBase, { method: 'compacter', options }).method).toBe(58_752);
    expect(() => count(bertLarge, { method: 'compacter', options })).toThrow(
      'These divide both: 1, 2, 4, 8, 16, 32. No bottleneck fits this n',
    );
  });
});
