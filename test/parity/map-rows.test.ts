import { describe, expect, it } from 'vitest';
import type { EncoderConfig } from '../../src/engine/encoders/config.ts';
import { knownEncoders } from '../../src/engine/encoders/known-sizes.ts';
import { sameView } from '../../src/engine/verify/golden-files.ts';
import { mapCase, type CaseMapping } from '../../src/engine/verify/map-case.ts';
import type { CaseFacts, Shapes } from '../../src/engine/verify/mapping.ts';

function tiny(family: EncoderConfig['family'], embeddingSize = 32): EncoderConfig {
  const base = knownEncoders['bert-base-uncased'];
  if (base === undefined) throw new Error('bert-base-uncased is built in');
  return { ...base, family, embeddingSize, hiddenSize: 32, intermediateSize: 64, layers: 2, attentionHeads: 4 };
}

const linearHead: Shapes = { 'head.classifier.weight': [3, 32], 'head.classifier.bias': [3] };
const denseHead: Shapes = {
  'head.classifier.dense.weight': [32, 32],
  'head.classifier.dense.bias': [32],
  'head.classifier.out_proj.weight': [3, 32],
  'head.classifier.out_proj.bias': [3],
};
const frozen: Shapes = { 'frozen.W.0': [16, 32], 'frozen.W.1': [16, 32] };

function mapOf(given: Partial<CaseFacts>, method: Shapes, head = linearHead): CaseMapping {
  return mapCase({
    method: 'PASTA',
    hyperparameters: {},
    frozen: {},
    inputs: { labels: { integers: true, shape: [4] } },
    encoder: tiny('bert'),
    ...given,
    trainable: { ...method, ...head },
  });
}

function mapped(mapping: CaseMapping): CaseMapping & { readonly kind: 'mapped' } {
  if (mapping.kind !== 'mapped') throw new Error(mapping.reason);
  return mapping;
}

function expectUnsupported(mapping: CaseMapping): void {
  expect(mapping).toEqual({ kind: 'unsupported', reason: expect.stringMatching(/^method: /) as string });
}

describe('what is built for cases of rows and shifts', () => {
  const notMoved = 'the <mask> index of input_ids, NOT moved by the prepended rows';
  it.each([
    ['position 0 (the prepended token)', { head: 'linear', headReads: 'unshifted' }],
    [notMoved, { head: 'mask', headReads: 'unshifted' }],
    ['the <mask> index, moved by the prepended rows', { head: 'mask', headReads: 'text' }],
  ])('JR-WARP and WARP that read %s', (pooling, read) => {
    const hyperparameters = { pooling };
    const jr = mapOf({ method: 'JR-WARP', hyperparameters, frozen }, { 'method.z': [1, 16] });
    expect(mapped(jr).method).toEqual({ id: 'jr-warp', options: { dimension: 16, ...read } });
    const warp = mapOf({ method: 'WARP (as in the SLaSh code)', hyperparameters }, { 'method.z': [3, 32] });
    expect(mapped(warp).method).toEqual({ id: 'warp', options: { prompts: 3, ...read } });
  });

  it('no JR-WARP without its projections or of several rows', () => {
    expectUnsupported(mapOf({ method: 'JR-WARP' }, { 'method.z': [1, 16] }));
    expectUnsupported(mapOf({ method: 'JR-WARP', frozen }, { 'method.z': [2, 16] }));
    expectUnsupported(mapOf({ method: 'JR-WARP', frozen }, {}));
  });

  it('PASTA by the shapes of its vectors and the head', () => {
    const vectors = (rows: number): Shapes => ({ 'method.e.0': [rows, 32], 'method.e.1': [rows, 32] });
    expect(mapped(mapOf({ hyperparameters: { S: 3 } }, vectors(3))).method).toEqual({
      id: 'pasta',
      options: { slots: 3, vectors: 'per-slot', head: 'native' },
    });
    expect(mapped(mapOf({ hyperparameters: { S: 4 } }, vectors(1))).method.options).toMatchObject({
      slots: 4,
      vectors: 'shared',
    });
    expect(mapped(mapOf({ encoder: tiny('roberta') }, vectors(4), denseHead)).method.options).toMatchObject({
      head: 'native',
    });
    expect(mapped(mapOf({ encoder: tiny('roberta') }, vectors(4))).method.options).toMatchObject({ head: 'linear' });
    expectUnsupported(mapOf({ hyperparameters: { S: 3 } }, vectors(2)));
    expectUnsupported(mapOf({}, { 'method.e.0': [2, 32] }));
    expectUnsupported(mapOf({}, { 'method.e.0': [2, 32], 'method.e.1': [3, 32] }));
  });

  it.each([
    ['prompt tuning (after the embedding layer)', 'method.prompt', {}, 'after-embedding', 'before-text'],
    ['prompt tuning', 'method.prompt', { combine: 'prefix_after_bos' }, 'after-embedding', 'after-first-token'],
    ['prompt tuning', 'method.prompt_encoder.embedding.weight', {}, 'before-embedding', 'before-text'],
  ] as const)('%s from %s', (method, tensor, hyperparameters, enter, place) => {
    for (const encoder of [tiny('bert'), tiny('electra', 16), tiny('distilbert')]) {
      const { method: built, names } = mapped(
        mapOf({ method, hyperparameters, encoder }, { [tensor]: [5, encoder.embeddingSize] }),
      );
      expect(built).toMatchObject({
        id: 'prompt-tuning',
        options: { length: 5, enter, place, headReads: 'unshifted' },
      });
      expect(names.get(tensor)).toBe('method.prompt');
    }
  });

  it('no prompts that are combined otherwise or trained with something else', () => {
    expectUnsupported(
      mapOf({ method: 'prompt tuning', hyperparameters: { combine: 'suffix' } }, { 'method.prompt': [5, 32] }),
    );
    expectUnsupported(mapOf({ method: 'prompt tuning' }, { 'method.prompt': [5, 32], 'method.other': [1] }));
    expectUnsupported(mapOf({ method: 'prompt tuning' }, {}));
  });

  it('prefixes, flat or from a network, as the library and as PEFT call them', () => {
    const method = 'prefix tuning';
    const library = mapped(mapOf({ method }, { 'method.prefix.control_trans': [640] }));
    expect(library.method.options).toMatchObject({ length: 5, reparametrise: false, shiftPositions: false });
    const peft = mapped(mapOf({ method }, { 'method.prompt_encoder.embedding.weight': [4, 128] }));
    expect(peft.method.options).toMatchObject({ length: 4, reparametrise: false, shiftPositions: true });
    expect(peft.names.get('method.prompt_encoder.embedding.weight')).toBe('method.prefix.rows');
    const tensors = {
      'method.prompt_encoder.embedding.weight': [4, 32],
      'method.prompt_encoder.transform.0.weight': [20, 32],
      'method.prompt_encoder.transform.0.bias': [20],
      'method.prompt_encoder.transform.2.weight': [128, 20],
      'method.prompt_encoder.transform.2.bias': [128],
    };
    const network = mapped(mapOf({ method, hyperparameters: { activation: 'tanh' } }, tensors));
    expect(network.method.options).toMatchObject({
      length: 4,
      bottleneck: 20,
      reparametrise: true,
      shiftPositions: true,
    });
    expect(network.names.get('method.prompt_encoder.transform.2.bias')).toBe('method.prefix.up.bias');
    expectUnsupported(mapOf({ method, hyperparameters: { activation: 'relu' } }, tensors));
    expectUnsupported(mapOf({ method }, { 'method.prefix.wte.weight': [4, 32], 'method.gate.weight': [1, 32] }));
  });

  it('masked words where the case says so, whose head is part of the base model', () => {
    const bias = 'base.lm_head.bias';
    const mapping = mapped(
      mapCase({
        method: 'full fine-tuning',
        task: 'mlm',
        hyperparameters: {},
        frozen: {},
        inputs: { labels: { integers: true, shape: [4, 12] } },
        encoder: tiny('roberta'),
        trainable: { [bias]: [100], 'base.embeddings.word_embeddings.weight': [100, 32] },
      }),
    );
    expect(mapping.objective).toEqual({ kind: 'masked-words' });
    expect(mapping.names.get(bias)).toBe(bias);
    expect(mapping.names.get('base.embeddings.word_embeddings.weight')).toBe(
      'base.roberta.embeddings.word_embeddings.weight',
    );
  });
});

describe('shapes that hold the same numbers in the same order', () => {
  it.each([
    [[960], [5, 192], true],
    [[2, 3, 4], [2, 12], true],
    [[2, 12], [6, 4], false],
    [[2, 3], [3, 2], false],
    [[5, 1], [5], true],
    [[1, 5, 1], [5], true],
    [[], [1], true],
    [[], [2], false],
    [[4, 6], [4, 2, 3], true],
    [[4, 6], [24], true],
    [[4, 0], [4, 0], true],
    [[4], [4, 2], false],
  ])('%j and %j: %s', (a, b, same) => {
    expect([sameView(a, b), sameView(b, a)]).toEqual([same, same]);
  });
});
