import { describe, expect, it } from 'vitest';
import type { EncoderConfig } from '../../../../src/engine/encoders/config.ts';
import { buildModel, type GraphMode, type Objective } from '../../../../src/engine/model-graph.ts';
import { methodIds } from '../../../../src/peft/registry.ts';
import { checkPerExample, type Model } from './per-example-law.ts';
import type { Law } from './support.ts';

const VOCABULARY = 11;
const LABELS = 3;

const bert: EncoderConfig = {
  family: 'bert',
  vocabularySize: VOCABULARY,
  embeddingSize: 8,
  hiddenSize: 8,
  intermediateSize: 12,
  layers: 2,
  attentionHeads: 2,
  maxPositions: 12,
  typeVocabularySize: 2,
  padTokenId: 0,
  layerNormEpsilon: 1e-5,
  activation: 'gelu',
  hiddenDropout: 0.1,
  attentionDropout: 0.2,
  headDropout: { sequence: 0.3, token: 0.3 },
};

const encoders: readonly EncoderConfig[] = [
  bert,
  { ...bert, family: 'roberta', activation: 'gelu_new' },
  { ...bert, family: 'electra', embeddingSize: 4 },
  { ...bert, family: 'distilbert', typeVocabularySize: 0, activation: 'relu' },
];

const objectives: readonly Objective[] = [
  { kind: 'classification', labels: LABELS },
  { kind: 'regression' },
  { kind: 'token-classification', labels: LABELS },
  { kind: 'span' },
  { kind: 'masked-words' },
];

const sizes = { batch: 3, sequence: 4 };

const small: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  lora: { rank: 2 },
  slash: { dimension: 3 },
  'jr-warp': { dimension: 3 },
  warp: { prompts: 2 },
  'prompt-tuning': { length: 2 },
  'prefix-tuning': { length: 2 },
  'adapter-houlsby': { bottleneck: 2 },
  'adapter-pfeiffer': { bottleneck: 2 },
  'adapter-parallel': { bottleneck: 2 },
  'adapter-drop': { bottleneck: 2, drop: 1 },
  'adapter-low-rank': { bottleneck: 2 },
  'adapter-phm': { bottleneck: 2, n: 2 },
  compacter: { bottleneck: 2, n: 2 },
  'compacter++': { bottleneck: 2, n: 2 },
  'intrinsic-said': { dimension: 20, targets: ['query', 'outputNorm', 'wordEmbeddings'], biases: true },
  unipelt: { prefixLength: 2, prefixBottleneck: 3, bottleneck: 2, rank: 2 },
  'unipelt-prompt': { promptLength: 2, prefixLength: 2, prefixBottleneck: 3, bottleneck: 2, rank: 2 },
  union: {
    parts: [
      { id: 'ia3', gated: true },
      { id: 'pasta' },
      { id: 'bitfit' },
      { id: 'prefix-tuning', length: 1, gated: true },
      { id: 'prefix-tuning', length: 2 },
    ],
  },
};

function modelOf(
  encoder: EncoderConfig,
  id: string,
  objective: Objective,
  mode: GraphMode,
  options = small[id] ?? {},
): Model {
  const built = buildModel({ encoder, hasPooler: true, method: { id, options }, objective }, mode);
  const words: Law = { below: 2 ** 31 };
  return {
    losses: built.losses,
    parameters: built.trained.map(({ value }) => value),
    laws: {
      input_ids: { below: VOCABULARY },
      token_type_ids: { below: 2 },
      position_ids: { below: encoder.maxPositions - 3 },
      special_positions: { below: sizes.sequence },
      attention_mask: 'bit',
      mask_positions: { below: sizes.sequence },
      start_positions: { below: sizes.sequence },
      end_positions: { below: sizes.sequence },
      ...(objective.kind === 'regression' ? {} : { labels: { below: LABELS } }),
      ...Object.fromEntries(
        built.fixed.flatMap(({ name, shape: [count = 0], initialiser }) =>
          initialiser.kind === 'permutation' ? [[name, { below: count }]] : [],
        ),
      ),
      ...Object.fromEntries(
        built.dropoutSites.flatMap(({ rowInput, columnInput }) => [
          [rowInput, words],
          [columnInput, words],
        ]),
      ),
    },
  };
}

describe.each(methodIds())('%s: each example has the gradient of running it alone', (id) => {
  it.each(encoders)('under $family', (encoder) => {
    const model = modelOf(encoder, id, { kind: 'classification', labels: LABELS }, { dropout: 'off' });
    expect(checkPerExample(model, sizes, 1)).toHaveLength(model.parameters.length);
  });

  // Masked words have no head of their own to train.
  it.each(objectives.filter(({ kind }) => id !== 'head' || kind !== 'masked-words'))('for $kind', (objective) => {
    checkPerExample(modelOf(bert, id, objective, { dropout: 'off' }), sizes, 2);
  });

  it('with dropout, each keeping its own masks', () => {
    checkPerExample(modelOf(bert, id, { kind: 'classification', labels: LABELS }, { dropout: 'model' }), sizes, 3);
  });
});

describe('other forms of a method', () => {
  const forms: readonly (readonly [id: string, options: Readonly<Record<string, unknown>>])[] = [
    ['prefix-tuning', { length: 2, reparametrise: true, bottleneck: 3, dropout: 0.2, shiftPositions: true }],
    ['prompt-tuning', { length: 2, enter: 'before-embedding' }],
    ['prompt-tuning', { length: 3, place: 'after-first-token', headReads: 'unshifted' }],
    ['warp', { prompts: 2, enter: 'before-embedding', transform: true }],
    ['jr-warp', { dimension: 3, place: 'after-first-token', headReads: 'unshifted', head: 'linear' }],
    ['pasta', { vectors: 'shared', slots: 4, dropout: 0.3 }],
    ['adapter-houlsby', { bottleneck: 2, layerNormBefore: true, layerNormAfter: true, trainNorms: true, dropout: 0.2 }],
    ['adapter-pfeiffer', { bottleneck: 2, trainNorms: true, gated: true, activation: 'leaky-relu', layers: [1] }],
    [
      'adapter-parallel',
      { bottleneck: 2, positions: ['attention', 'feedForward'], upInit: 'same', activation: 'swish' },
    ],
    ['adapter-low-rank', { bottleneck: 4, rank: 3, activation: 'identity' }],
    ['adapter-phm', { bottleneck: 4, n: 4, sharedRule: true, factorisedRule: true }],
    ['compacter', { bottleneck: 4, n: 2, rank: 2, evaluation: 'factored' }],
    ['compacter', { bottleneck: 4, n: 2, rank: 2, evaluation: 'explicit', bias: false, sharedRule: false }],
    ['intrinsic-said', { dimension: 6, structureAware: false, targets: ['positionEmbeddings', 'intermediate'] }],
    ['lora', { rank: 2, gated: true, maskedGateMean: false }],
    ['ia3', { outputs: ['query', 'output'], inputs: ['attentionOutput'], gated: true, gateForm: 'whole' }],
  ];
  it.each(forms)('%s %o', (id, options) => {
    const mode = { dropout: 'model' } as const;
    for (const encoder of encoders) {
      checkPerExample(modelOf(encoder, id, { kind: 'classification', labels: LABELS }, mode, options), sizes, 4);
    }
    checkPerExample(modelOf(bert, id, { kind: 'token-classification', labels: LABELS }, mode, options), sizes, 5);
  });
});
