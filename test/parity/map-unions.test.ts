import { describe, expect, it } from 'vitest';
import type { EncoderConfig } from '../../src/engine/encoders/config.ts';
import { knownEncoders } from '../../src/engine/encoders/known-sizes.ts';
import { mapCase, type CaseMapping } from '../../src/engine/verify/map-case.ts';
import type { CaseFacts, Shapes } from '../../src/engine/verify/mapping.ts';
import { buildModel } from '../../src/engine/model-graph.ts';

const [hidden, intermediate, layers] = [24, 48, 3];

function tiny(family: EncoderConfig['family']): EncoderConfig {
  const base = knownEncoders['bert-base-uncased'];
  if (base === undefined) throw new Error('bert-base-uncased is built in');
  const sizes = { embeddingSize: hidden, hiddenSize: hidden, intermediateSize: intermediate, layers };
  return { ...base, ...sizes, family, attentionHeads: 4 };
}

const head: Shapes = { 'head.classifier.weight': [3, hidden], 'head.classifier.bias': [3] };

/** The same tensors in every layer. */
function inLayers(tensors: Shapes): Shapes {
  return Object.fromEntries(
    Array.from({ length: layers }, (_, layer) =>
      Object.entries(tensors).map(([name, shape]) => [`method.layer.${layer}.${name}`, shape] as const),
    ).flat(),
  );
}

function gate(module: string): Shapes {
  return { [`${module}.weight`]: [1, hidden], [`${module}.bias`]: [1] };
}

function lora(modules: readonly string[], rank: number, gated: boolean): Shapes {
  return inLayers(
    Object.assign(
      {},
      ...modules.map((module) => ({
        [`${module}.lora_A`]: [rank, hidden],
        [`${module}.lora_B`]: [hidden, rank],
        ...(gated ? gate(`${module}.gate`) : {}),
      })),
    ) as Shapes,
  );
}

function adapters(width: number, gated: boolean, position = 'ffn'): Shapes {
  return inLayers({
    [`${position}.adapter_down.0.weight`]: [width, hidden],
    [`${position}.adapter_down.0.bias`]: [width],
    [`${position}.adapter_up.weight`]: [hidden, width],
    [`${position}.adapter_up.bias`]: [hidden],
    ...(gated ? gate(`${position}.gate`) : {}),
  });
}

function prefix(length: number, width: number, gated: boolean): Shapes {
  return {
    'method.prefix.wte.weight': [length, hidden],
    'method.prefix.control_trans.0.weight': [width, hidden],
    'method.prefix.control_trans.0.bias': [width],
    'method.prefix.control_trans.2.weight': [2 * layers * hidden, width],
    'method.prefix.control_trans.2.bias': [2 * layers * hidden],
    ...(gated ? inLayers(gate('prefix_gate')) : {}),
  };
}

function mapOf(
  method: string,
  trainable: Shapes,
  hyperparameters: CaseFacts['hyperparameters'] = {},
  encoder = tiny('bert'),
): CaseMapping {
  return mapCase({
    method,
    hyperparameters,
    trainable: { ...trainable, ...head },
    frozen: {},
    inputs: { labels: { integers: true, shape: [4] } },
    encoder,
  });
}

/** The mapped method, checked to train exactly the case's tensors under our names. */
function mapped(...[method, trainable, hyperparameters, encoder]: Parameters<typeof mapOf>): object {
  const mapping = mapOf(method, trainable, hyperparameters, encoder);
  if (mapping.kind !== 'mapped') throw new Error(mapping.reason);
  const model = buildModel(
    { encoder: encoder ?? tiny('bert'), hasPooler: true, method: mapping.method, objective: mapping.objective },
    { dropout: 'off' },
  );
  const names = Object.keys(trainable).map((name) => mapping.names.get(name) ?? name);
  expect(
    model.trained
      .filter(({ part }) => part === 'method')
      .map(({ name }) => name)
      .sort(),
  ).toEqual(names.sort());
  return mapping.method;
}

const unipelt = { ...prefix(5, 7, true), ...adapters(6, true), ...lora(['query', 'value'], 2, true) };

describe('what is built for a case with several parts', () => {
  it('UniPELT and its prompt, by their own options', () => {
    const options = { prefixLength: 5, prefixBottleneck: 7, reparametrise: true, bottleneck: 6, rank: 2 };
    expect(mapped('UniPELT', unipelt, { alpha: 2 })).toMatchObject({
      id: 'unipelt',
      options: { ...options, maskedGateMean: false },
    });
    const prompted = { ...unipelt, 'method.prompt': [9, hidden] };
    for (const name of ['UniPELT + prompt', 'PT+UniPELT', 'UniPELT with prompt tuning']) {
      expect(mapped(name, prompted, { combine: 'prefix_after_bos' })).toMatchObject({
        id: 'unipelt-prompt',
        options: { ...options, promptLength: 9, place: 'after-first-token' },
      });
    }
  });

  it('several parts as a union, whatever joins their names', () => {
    const compacter = {
      'method.phm_rule': [2, 2, 2],
      ...inLayers({
        'ffn.adapter_down.0.W_left': [2, 12, 1],
        'ffn.adapter_down.0.W_right': [2, 1, 3],
        'ffn.adapter_down.0.b': [6],
        'ffn.adapter_up.W_left': [2, 3, 1],
        'ffn.adapter_up.W_right': [2, 1, 12],
        'ffn.adapter_up.b': [hidden],
      }),
    };
    const both = { ...compacter, ...lora(['query'], 2, false) };
    const ids = { id: 'union', options: { parts: [{ id: 'compacter', reads: 'normalised' }, { id: 'lora' }] } };
    for (const name of [
      'Compacter++ + LoRA (library)',
      'Compacter++ and LoRA',
      'LoRA (r 2) + Compacter++',
      'two parts',
    ]) {
      expect(mapped(name, both, { alpha: 5 }), name).toMatchObject(ids);
    }
    expect(mapped('Compacter++ (library)', compacter)).toMatchObject({ id: 'compacter++' });
    const gated = lora(['query'], 2, true);
    for (const name of ['LoRA, gated', 'LoRA with gates', 'LoRA (gating)', 'LoRA with a gate']) {
      expect(mapped(name, gated), name).toMatchObject({ options: { parts: [{ id: 'lora', gated: true }] } });
    }
  });

  it('a part of UniPELT that has more than its options say, as a part of a union', () => {
    const norms = inLayers({ 'ffn.adapter_norm_after.weight': [hidden], 'ffn.adapter_norm_after.bias': [hidden] });
    expect(mapped('UniPELT', { ...unipelt, ...norms }, { alpha: 2 })).toMatchObject({
      id: 'union',
      options: { parts: [{ id: 'prefix-tuning' }, { id: 'adapter-pfeiffer', layerNormAfter: true }, { id: 'lora' }] },
    });
  });

  it('variants of UniPELT as unions', () => {
    expect(mapped('UniPELT variant AL', { ...adapters(6, true), ...lora(['query', 'value'], 2, true) })).toMatchObject({
      id: 'union',
      options: {
        parts: [
          { id: 'adapter-pfeiffer', bottleneck: 6, reads: 'normalised', gated: true, maskedGateMean: false },
          { id: 'lora', rank: 2, targets: ['query', 'value'], gated: true },
        ],
      },
    });
    const keys = { ...prefix(5, 7, true), ...adapters(6, true), ...lora(['query', 'key'], 2, true) };
    expect(mapped('UniPELT', keys)).toMatchObject({ id: 'union' });
  });

  it('parts without gates, which need what gates make superfluous', () => {
    const parts = { ...prefix(5, 7, false), ...lora(['query'], 2, false) };
    expect(mapped('prefix + LoRA', parts, { alpha: 8 })).toMatchObject({
      options: {
        parts: [
          { id: 'prefix-tuning', length: 5 },
          { id: 'lora', alpha: 8 },
        ],
      },
    });
    expect(mapOf('prefix + LoRA', parts)).toMatchObject({ kind: 'unsupported' });
  });

  it.each([
    ['prefix + LoRA', { alpha: 5 }, false],
    ['prefix + rsLoRA', { alpha: 5 }, true],
    ['prefix + LoRA', { alpha: 5, use_rslora: true }, true],
    ['prefix + LoRA', { alpha: 5, scale: 'alpha/sqrt(r)' }, true],
  ])('"%s" with %o, whose LoRA is scaled as it would be alone', (method, hyperparameters, rankStabilised) => {
    const parts = { ...prefix(5, 7, false), ...lora(['query'], 3, false) };
    expect(mapped(method, parts, hyperparameters)).toMatchObject({
      options: { parts: [{ id: 'prefix-tuning' }, { id: 'lora', alpha: 5, rankStabilised }] },
    });
    expect(mapOf(method, parts, { ...hyperparameters, scale: 'alpha' })).toMatchObject({ kind: 'unsupported' });
  });

  it('LoRA in some layers only, beside what is in all', () => {
    const all = Object.entries(lora(['query'], 2, true));
    const last = Object.fromEntries(all.filter(([name]) => name.includes(`.${layers - 1}.`)));
    expect(mapped('UniPELT variant', { ...prefix(5, 7, true), ...last })).toMatchObject({
      options: { parts: [{ id: 'prefix-tuning' }, { id: 'lora', layers: [layers - 1], gated: true }] },
    });
  });

  const n = 4;
  const width = 8;
  const maps = {
    low: (from: number, to: number): Shapes => ({ W_left: [from, 1], W_right: [1, to], b: [to] }),
    phm: (from: number, to: number): Shapes => ({ phm_rule: [n, n, n], W: [n, from / n, to / n], b: [to] }),
    lphm: (from: number, to: number): Shapes => ({ W_left: [n, from / n, 1], W_right: [n, 1, to / n], b: [to] }),
    dense: (from: number, to: number): Shapes => ({ weight: [to, from], bias: [to] }),
  };

  /** Adapters whose projections are of any kind, in either spelling. */
  function adaptersOf(
    map: (from: number, to: number) => Shapes,
    positions: readonly string[],
    [down, up]: readonly [string, string],
  ): Shapes {
    const side = (position: string, name: string, from: number, to: number): Shapes =>
      Object.fromEntries(
        Object.entries(map(from, to)).map(([tensor, shape]) => [`${position}.${name}.${tensor}`, shape]),
      );
    return inLayers(
      Object.assign(
        {},
        ...positions.flatMap((position) => [side(position, down, hidden, width), side(position, up, width, hidden)]),
      ) as Shapes,
    );
  }

  const library = ['adapter_down.0', 'adapter_up'] as const;
  const controller = ['down', 'up'] as const;
  const rule = { 'method.phm_rule': [n, n, n] };
  const both = ['attention', 'ffn'];

  it.each([
    ['dense', library, ['ffn'], {}, { id: 'adapter-pfeiffer', reads: 'normalised', activation: 'relu' }],
    ['dense', library, ['attention'], {}, { id: 'adapter-pfeiffer', reads: 'normalised', activation: 'relu' }],
    ['dense', library, both, {}, { id: 'adapter-pfeiffer', reads: 'output', activation: 'swish' }],
    ['dense', controller, ['ffn'], {}, { id: 'adapter-pfeiffer', reads: 'output', activation: 'gelu-tanh' }],
    ['lphm', library, ['ffn'], rule, { id: 'compacter', reads: 'normalised', activation: 'gelu' }],
    ['lphm', library, both, rule, { id: 'compacter', reads: 'output', activation: 'gelu' }],
    ['lphm', controller, both, rule, { id: 'compacter', reads: 'output', activation: 'gelu-tanh' }],
    ['phm', controller, both, {}, { id: 'adapter-phm', n, sharedRule: false, activation: 'gelu-tanh' }],
    ['low', controller, both, {}, { id: 'adapter-low-rank', rank: 1, reads: 'output', activation: 'gelu-tanh' }],
  ] as const)(
    '%s adapters spelled %o at %o beside a prefix, read as they would be alone',
    (kind, spelling, at, shared, part) => {
      const parts = { ...prefix(5, 7, false), ...shared, ...adaptersOf(maps[kind], at, spelling) };
      expect(mapped('prefix + adapters', parts)).toMatchObject({
        options: { parts: [{ id: 'prefix-tuning' }, { bottleneck: width, ...part }] },
      });
      const named = mapped('prefix + adapters', parts, { activation: 'tanh', scaling: 2 });
      expect(named).toMatchObject({ options: { parts: [{}, { activation: 'tanh', scaling: 2 }] } });
    },
  );

  it('flat prefixes beside parallel adapters', () => {
    const flat = { 'method.prefix.control_trans': [4 * 2 * layers * hidden] };
    const parts = { ...flat, ...adapters(6, false) };
    expect(mapped('MAM adapter (prefix + parallel)', parts, { activation: 'relu', scaling: 4 })).toMatchObject({
      options: {
        parts: [
          { id: 'prefix-tuning', length: 4, reparametrise: false },
          { id: 'adapter-pfeiffer', reads: 'input', scaling: 4 },
        ],
      },
    });
  });

  it('gated IA3 in the form of the library, beside other parts and alone', () => {
    const scales = inLayers({
      'key.lora_B': [hidden, 1],
      'intermediate.dense.lora_B': [intermediate, 1],
      ...gate('key.gate'),
      ...gate('intermediate.dense.gate'),
    });
    const ia3 = { outputs: ['key', 'intermediate'], inputs: [], gateForm: 'whole', gated: true, maskedGateMean: false };
    expect(mapped('IA3+adapter, gated', { ...scales, ...adapters(6, true) })).toMatchObject({
      id: 'union',
      options: { parts: [{ id: 'adapter-pfeiffer' }, { id: 'ia3', ...ia3 }] },
    });
    expect(mapped('IA3 (library)', scales)).toMatchObject({ id: 'ia3', options: ia3 });
  });

  it.each(['bert', 'roberta', 'electra'] as const)(
    "PEFT's IA3 on %s: a row scales the input, a column the result",
    (family) => {
      const vectors = inLayers({
        'key.ia3_l': [hidden, 1],
        'value.ia3_l': [hidden, 1],
        'attention.output.dense.ia3_l': [1, hidden],
        'output.dense.ia3_l': [1, intermediate],
      });
      expect(mapped('IA3', vectors, {}, tiny(family))).toMatchObject({
        options: { outputs: ['key', 'value'], inputs: ['attentionOutput', 'output'] },
      });
    },
  );

  it("PEFT's IA3 by the names of DistilBERT", () => {
    const vectors = inLayers({
      'attention.k_lin.ia3_l': [hidden, 1],
      'v_lin.ia3_l': [hidden, 1],
      'ffn.lin2.ia3_l': [1, intermediate],
    });
    expect(mapped('(IA)^3', vectors, {}, tiny('distilbert'))).toMatchObject({
      options: { outputs: ['key', 'value'], inputs: ['output'] },
    });
  });

  it.each([
    ['a tensor that no part has', { ...unipelt, 'method.other': [3] }],
    ['a gate of nothing', { ...lora(['query'], 2, true), ...inLayers(gate('output.dense.gate')) }],
    ['several ranks', { ...lora(['query'], 2, true), ...lora(['value'], 3, true) }],
    ['trained norms', { ...unipelt, 'base.bert.embeddings.LayerNorm.weight': [hidden] }],
    ['nothing', {}],
  ] satisfies readonly (readonly [string, Shapes])[])('refuses %s', (_, trainable) => {
    expect(mapOf('UniPELT variant', trainable)).toEqual({
      kind: 'unsupported',
      reason: expect.stringMatching(/^method: "UniPELT variant" (?:trains|has|says) /) as string,
    });
  });
});
