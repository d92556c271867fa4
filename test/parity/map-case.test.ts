import { describe, expect, it } from 'vitest';
import type { EncoderConfig } from '../../src/engine/encoders/config.ts';
import { knownEncoders } from '../../src/engine/encoders/known-sizes.ts';
import { mapCase, type CaseMapping } from '../../src/engine/verify/map-case.ts';
import type { CaseFacts, Shapes } from '../../src/engine/verify/mapping.ts';

function tiny(family: EncoderConfig['family']): EncoderConfig {
  const base = knownEncoders['bert-base-uncased'];
  if (base === undefined) throw new Error('bert-base-uncased is built in');
  return { ...base, family, hiddenSize: 32, intermediateSize: 64, layers: 2, attentionHeads: 4 };
}

const head: Shapes = { 'head.classifier.weight': [3, 32], 'head.classifier.bias': [3] };

function facts(given: Partial<CaseFacts>): CaseFacts {
  return {
    method: 'LoRA',
    hyperparameters: {},
    trainable: head,
    frozen: {},
    inputs: { labels: { integers: true, shape: [4] } },
    encoder: tiny('bert'),
    ...given,
  };
}

/** The tensors of LoRA on some modules of both layers, as HF peft calls them. */
function lora(modules: readonly string[], ranks: readonly number[] = [4, 4]): Shapes {
  return Object.fromEntries(
    ranks.flatMap((rank, layer) =>
      modules.flatMap((module) => [
        [`method.layer.${layer}.${module}.lora_A.weight`, [rank, 32]],
        [`method.layer.${layer}.${module}.lora_B.weight`, [32, rank]],
      ]),
    ),
  );
}

function mapped(mapping: CaseMapping): CaseMapping & { readonly kind: 'mapped' } {
  if (mapping.kind !== 'mapped') throw new Error(mapping.reason);
  return mapping;
}

function expectUnsupported(given: Partial<CaseFacts>, part: 'method' | 'head'): void {
  const mapping = mapCase(facts(given));
  expect(mapping).toEqual({ kind: 'unsupported', reason: expect.stringMatching(`^${part}: `) as string });
}

describe('what is built for a golden case', () => {
  it.each([
    ['bert', ['query', 'attention.self.value', 'attention.output.dense', 'intermediate.dense', 'output.dense']],
    ['distilbert', ['attention.q_lin', 'v_lin', 'attention.out_lin', 'ffn.lin1', 'ffn.lin2']],
  ] as const)('LoRA targets by the names of %s', (family, modules) => {
    const { method, names } = mapped(
      mapCase(
        facts({ encoder: tiny(family), hyperparameters: { alpha: 8 }, trainable: { ...lora(modules), ...head } }),
      ),
    );
    expect(method).toEqual({
      id: 'lora',
      options: {
        rank: 4,
        alpha: 8,
        rankStabilised: false,
        targets: ['query', 'value', 'attentionOutput', 'intermediate', 'output'],
        head: family === 'bert' ? 'native' : 'linear',
      },
    });
    expect(names.get(`method.layer.1.${modules[0]}.lora_A.weight`)).toBe('method.layer.1.query.lora_A');
  });

  it("LoRA's scale as the case says it", () => {
    const trainable = { ...lora(['query']), ...head };
    const stabilised = mapCase(facts({ trainable, hyperparameters: { alpha: 8, scale: 'alpha / sqrt(r)' } }));
    expect(mapped(stabilised).method.options).toMatchObject({ rankStabilised: true });
    const named = mapCase(facts({ method: 'rsLoRA', trainable, hyperparameters: { alpha: 8 } }));
    expect(mapped(named).method.options).toMatchObject({ rankStabilised: true });
    expectUnsupported({ trainable, hyperparameters: { alpha: 8, scale: 'alpha' } }, 'method');
    expectUnsupported({ trainable, hyperparameters: { alpha: 8, scale: 2 } }, 'method');
    expectUnsupported({ trainable, hyperparameters: {} }, 'method');
  });

  it('no LoRA of another form: other tensors, several ranks, other layers of each map, one factor', () => {
    const hyperparameters = { alpha: 8 };
    const full = lora(['query']);
    for (const trainable of [
      {},
      { ...full, 'method.layer.0.query.gate.weight': [1, 32] },
      { ...full, 'base.bert.encoder.layer.0.attention.self.query.bias': [32] },
      lora(['query'], [4, 8]),
      { ...lora(['query']), ...lora(['value'], [4]) },
      lora(['dense']),
      lora(['embeddings.word_embeddings']),
      Object.fromEntries(Object.entries(full).filter(([name]) => !name.includes('lora_A'))),
    ]) {
      expectUnsupported({ hyperparameters, trainable: { ...trainable, ...head } }, 'method');
    }
  });

  it('LoRA in some layers only, in the same of each linear map', () => {
    const last = Object.fromEntries(Object.entries(lora(['query', 'value'])).filter(([name]) => name.includes('.1.')));
    const { method } = mapped(mapCase(facts({ hyperparameters: { alpha: 8 }, trainable: { ...last, ...head } })));
    expect(method.options).toMatchObject({ targets: ['query', 'value'], layers: [1] });
  });

  const slash = { 'method.z': [1, 16], ...head };
  const projections: Shapes = { 'frozen.W.0': [16, 32], 'frozen.W.1': [16, 32] };

  it.each([
    [{}, { dimension: 16, position: 'output', head: 'linear' }],
    [{ pooling: 'first <mask>' }, { dimension: 16, position: 'output', head: 'mask' }],
    [
      { position: 'attention', pooling: 'position 0' },
      { dimension: 16, position: 'attention', head: 'linear' },
    ],
  ])('SLaSh with %o', (hyperparameters, options) => {
    const given = { method: 'SLaSh', trainable: slash, frozen: projections, hyperparameters };
    expect(mapped(mapCase(facts(given))).method).toEqual({ id: 'slash', options });
  });

  it('no SLaSh without its projections or at another place, and nothing that only looks like it', () => {
    const given = { method: 'SLaSh', trainable: slash, frozen: projections };
    expectUnsupported({ ...given, frozen: { 'frozen.W.0': [16, 32] } }, 'method');
    expectUnsupported({ ...given, hyperparameters: { position: 'key' } }, 'method');
    expectUnsupported({ ...given, method: 'Slush' }, 'method');
    expectUnsupported({ ...given, trainable: { ...slash, 'method.y': [1] } }, 'method');
  });

  /** The tensors of Houlsby's adapters as either library calls them, of some layers and positions. */
  function adapters(
    layers: readonly number[],
    positions: readonly string[],
    [down, up]: readonly [string, string],
  ): Shapes {
    return Object.fromEntries(
      layers.flatMap((layer) =>
        positions.flatMap((position) => [
          [`method.layer.${layer}.${position}.${down}.weight`, [6, 32]],
          [`method.layer.${layer}.${position}.${down}.bias`, [6]],
          [`method.layer.${layer}.${position}.${up}.weight`, [32, 6]],
          [`method.layer.${layer}.${position}.${up}.bias`, [32]],
        ]),
      ),
    );
  }
  const library = ['adapter_down.0', 'adapter_up'] as const;
  const controller = ['down', 'up'] as const;

  it.each([
    ['adapter, Houlsby (DoubleSeqBn)', library, ['attention', 'ffn'], 'adapter-houlsby', 'output'],
    ['adapter (Houlsby positions)', controller, ['attention', 'ffn'], 'adapter-houlsby', 'output'],
    ['adapter, Pfeiffer (SeqBn)', library, ['ffn'], 'adapter-pfeiffer', 'normalised'],
    [
      "adapter after self-attention only (Compacter paper's Pfeiffer)",
      controller,
      ['attention'],
      'adapter-pfeiffer',
      'output',
    ],
    ['adapter, parallel (ParBn)', library, ['ffn'], 'adapter-parallel', 'input'],
  ] as const)('"%s" by its tensors', (method, spelling, positions, id, reads) => {
    const given = facts({
      method,
      hyperparameters: { activation: 'gelu_new (tanh form)', scaling: 2 },
      trainable: { ...adapters([0, 1], positions, spelling), ...head },
    });
    const { method: built, names } = mapped(mapCase(given));
    expect(built).toEqual({
      id,
      options: {
        bottleneck: 6,
        positions: positions.map((position) => (position === 'ffn' ? 'feedForward' : position)),
        activation: 'gelu-tanh',
        reads,
        scaling: 2,
        trainNorms: false,
        head: 'native',
      },
    });
    const [position] = positions;
    expect(names.get(`method.layer.1.${position}.${spelling[1]}.weight`)).toBe(
      `method.layer.1.${position === 'ffn' ? 'feedForward' : position}.up.weight`,
    );
  });

  it('adapters in some layers only, in the same at each position', () => {
    const hyperparameters = { activation: 'relu' };
    const some = { ...adapters([1], ['attention', 'ffn'], controller), ...head };
    const built = mapped(mapCase(facts({ method: 'adapter (Houlsby positions)', hyperparameters, trainable: some })));
    expect(built.method.options).toMatchObject({ layers: [1], positions: ['attention', 'feedForward'] });
    const dropped = mapped(mapCase(facts({ method: 'AdapterDrop', hyperparameters, trainable: some })));
    expect(dropped.method).toMatchObject({ id: 'adapter-drop', options: { drop: 1 } });
    const uneven = { ...some, ...adapters([0], ['ffn'], controller) };
    expectUnsupported({ method: 'adapter (Houlsby positions)', hyperparameters, trainable: uneven }, 'method');
  });

  it("adapters with layer norms of their own, and the reference's activation where none is named", () => {
    const norms = Object.fromEntries(
      [0, 1].flatMap((layer) => [
        [`method.layer.${layer}.ffn.post_layer_norm.weight`, [32]],
        [`method.layer.${layer}.ffn.post_layer_norm.bias`, [32]],
      ]),
    );
    const trainable = { ...adapters([0, 1], ['ffn'], controller), ...norms, ...head };
    const { method, names } = mapped(mapCase(facts({ method: 'adapter (Houlsby positions)', trainable })));
    expect(method.options).toMatchObject({ layerNormAfter: true, activation: 'gelu-tanh' });
    expect(names.get('method.layer.1.ffn.post_layer_norm.bias')).toBe('method.layer.1.feedForward.normAfter.bias');
    const pfeiffer = { ...adapters([0, 1], ['ffn'], library), ...head };
    const other = mapped(mapCase(facts({ method: 'adapter, Pfeiffer', trainable: pfeiffer })));
    expect(other.method.options).toMatchObject({ reads: 'normalised', activation: 'relu' });
  });

  it("the library's adapters with layer norms of their own, which move the places within a side", () => {
    const norms = Object.fromEntries(
      [0, 1].flatMap((layer) =>
        ['before', 'after'].flatMap((place) => [
          [`method.layer.${layer}.ffn.adapter_norm_${place}.weight`, [32]],
          [`method.layer.${layer}.ffn.adapter_norm_${place}.bias`, [32]],
        ]),
      ),
    );
    const trainable = { ...adapters([0, 1], ['ffn'], ['adapter_down.1', 'adapter_up']), ...norms, ...head };
    const { method, names } = mapped(mapCase(facts({ method: 'adapter, Pfeiffer (SeqBn)', trainable })));
    expect(method).toMatchObject({
      id: 'adapter-pfeiffer',
      options: { bottleneck: 6, layerNormBefore: true, layerNormAfter: true, reads: 'normalised' },
    });
    expect(names.get('method.layer.1.ffn.adapter_norm_before.bias')).toBe('method.layer.1.feedForward.normBefore.bias');
    expect(names.get('method.layer.0.ffn.adapter_down.1.weight')).toBe('method.layer.0.feedForward.down.weight');
  });

  it.each([
    ['adapter, Pfeiffer (SeqBn)', ['ffn'], { original_ln_before: false }, 'output'],
    ['adapter, Houlsby (DoubleSeqBn)', ['attention', 'ffn'], { original_ln_before: true }, 'normalised'],
    ['adapter, parallel (ParBn)', ['ffn'], { original_ln_before: false }, 'input'],
    ['AdapterDrop', ['ffn'], {}, 'normalised'],
    ['AdapterDrop', ['attention', 'ffn'], {}, 'output'],
  ] as const)('what the library\'s "%s" at %o reads with %o', (method, positions, hyperparameters, reads) => {
    const trainable = { ...adapters([0, 1], positions, library), ...head };
    expect(mapped(mapCase(facts({ method, hyperparameters, trainable }))).method.options).toMatchObject({ reads });
  });

  it("none of the library's adapters with another residual than ours", () => {
    const trainable = { ...adapters([0, 1], ['ffn'], library), ...head };
    for (const hyperparameters of [
      { residual_before_ln: false },
      { residual_before_ln: 'post_add' },
      { adapter_residual_before_ln: true },
      { original_ln_after: false },
    ]) {
      expectUnsupported({ method: 'adapter, Pfeiffer (SeqBn)', hyperparameters, trainable }, 'method');
    }
  });

  it("the activation under the library's own name for it", () => {
    const trainable = { ...adapters([0, 1], ['ffn'], library), ...head };
    const given = { method: 'adapter, Pfeiffer (SeqBn)', hyperparameters: { non_linearity: 'leakyrelu' }, trainable };
    expect(mapped(mapCase(facts(given))).method.options).toMatchObject({ activation: 'leaky-relu' });
  });

  it('all norms trained or none, and nothing else of the base model', () => {
    const encoder = tiny('distilbert');
    const norm = (name: string): Shapes => ({ [`base.${name}.weight`]: [32], [`base.${name}.bias`]: [32] });
    const norms = {
      ...norm('embeddings.LayerNorm'),
      ...norm('transformer.layer.0.sa_layer_norm'),
      ...norm('transformer.layer.0.output_layer_norm'),
      ...norm('distilbert.transformer.layer.1.sa_layer_norm'),
      ...norm('transformer.layer.1.output_layer_norm'),
    };
    const given = { method: 'adapter, Houlsby', hyperparameters: { activation: 'gelu' }, encoder };
    const own = { ...adapters([0, 1], ['attention', 'ffn'], controller), ...head };
    const built = mapped(mapCase(facts({ ...given, trainable: { ...own, ...norms } })));
    expect(built.method.options).toMatchObject({ trainNorms: true, activation: 'gelu' });
    expectUnsupported({ ...given, trainable: { ...own, ...norm('embeddings.LayerNorm') } }, 'method');
    expectUnsupported({ ...given, trainable: { ...own, ...norms, ...bias } }, 'method');
  });

  /** Compacter's tensors, as either library calls them. */
  function compacter(rule: Shapes, [down, up]: readonly [string, string], rank = 2): Shapes {
    const maps = Object.fromEntries(
      [0, 1].flatMap((layer) => [
        [`method.layer.${layer}.ffn.${down}.W_left`, [4, 8, rank]],
        [`method.layer.${layer}.ffn.${down}.W_right`, [4, rank, 3]],
        [`method.layer.${layer}.ffn.${down}.b`, [12]],
        [`method.layer.${layer}.ffn.${up}.W_left`, [4, 3, rank]],
        [`method.layer.${layer}.ffn.${up}.W_right`, [4, rank, 8]],
        [`method.layer.${layer}.ffn.${up}.b`, [32]],
      ]),
    );
    return { ...rule, ...maps };
  }

  it.each([
    ['Compacter++', { 'method.phm_rule': [4, 4, 4] }, controller, 'output', false],
    ['Compacter++ (library)', { 'method.shared_parameters.a.phm_rule': [4, 4, 4] }, library, 'normalised', false],
    [
      'Compacter++',
      { 'method.phm_rule_left': [4, 4, 1], 'method.phm_rule_right': [4, 1, 4] },
      controller,
      'output',
      true,
    ],
  ] as const)('%s %o by its tensors', (method, rule, spelling, reads, factorisedRule) => {
    const hyperparameters = { activation: 'gelu (erf)' };
    const trainable = { ...compacter(rule, spelling), ...head };
    const built = mapped(mapCase(facts({ method, hyperparameters, trainable })));
    expect(built.method).toEqual({
      id: 'compacter++',
      options: {
        ...{ n: 4, rank: 2, bottleneck: 12, bias: true, sharedRule: true, factorisedRule, reads },
        ...{ positions: ['feedForward'], activation: 'gelu', scaling: 1, trainNorms: false, head: 'native' },
      },
    });
    expect([...built.names.values()]).toContain(factorisedRule ? 'method.phm_rule_left' : 'method.phm_rule');
  });

  it('hypercomplex projections by their tensors, whole or in factors, whatever they are called', () => {
    const rule = { 'method.phm_rule': [4, 4, 4] };
    const factors = mapped(
      mapCase(facts({ method: 'PHM adapter', trainable: { ...compacter(rule, controller), ...head } })),
    );
    expect(factors.method).toMatchObject({ id: 'compacter', options: { n: 4, rank: 2, sharedRule: true } });
    const whole = Object.fromEntries(
      [0, 1].flatMap((layer) => [
        [`method.layer.${layer}.ffn.adapter_down.0.W`, [4, 8, 3]],
        [`method.layer.${layer}.ffn.adapter_down.0.b`, [12]],
        [`method.layer.${layer}.ffn.adapter_up.W`, [4, 3, 8]],
        [`method.layer.${layer}.ffn.adapter_up.b`, [32]],
      ]),
    );
    const trainable = { 'method.shared_parameters.a.phm_rule': [4, 4, 4], ...whole, ...head };
    for (const method of ['PHM adapter', 'Compacter (library)']) {
      expect(mapped(mapCase(facts({ method, trainable }))).method).toMatchObject({
        id: 'adapter-phm',
        options: { n: 4, bottleneck: 12, sharedRule: true },
      });
    }
  });

  it('no adapters of other projections than the method has, and no unknown activation', () => {
    const hyperparameters = { activation: 'relu' };
    const rule = { 'method.phm_rule': [4, 4, 4] };
    const trainable = { ...compacter(rule, controller), ...head };
    for (const method of ['low-rank adapter', 'adapter, Houlsby']) {
      expectUnsupported({ method, hyperparameters, trainable }, 'method');
    }
    expectUnsupported({ method: 'Compacter++', hyperparameters: { activation: 'mish' }, trainable }, 'method');
    expectUnsupported(
      { method: 'Compacter++', hyperparameters, trainable: { ...trainable, 'method.other': [1] } },
      'method',
    );
  });

  const bias = { 'base.encoder.layer.0.output.dense.bias': [32] };

  it("base tensors under our names, whether or not the file carries the family's prefix", () => {
    const { method, names } = mapped(mapCase(facts({ method: 'BitFit', trainable: { ...bias, ...head } })));
    expect(method.id).toBe('bitfit');
    expect(names.get('base.encoder.layer.0.output.dense.bias')).toBe('base.bert.encoder.layer.0.output.dense.bias');
  });

  it('full, BitFit and head only as far as their tensors are those of the method', () => {
    const weight = { 'base.bert.embeddings.word_embeddings.weight': [100, 32] };
    expect(mapped(mapCase(facts({ method: 'full fine-tuning', trainable: { ...weight, ...head } }))).method.id).toBe(
      'full',
    );
    expect(mapped(mapCase(facts({ method: 'head only' }))).method.id).toBe('head');
    expectUnsupported({ method: 'full fine-tuning' }, 'method');
    expectUnsupported({ method: 'BitFit' }, 'method');
    expectUnsupported({ method: 'BitFit', trainable: { ...weight, ...head } }, 'method');
    expectUnsupported({ method: 'head only', trainable: { ...bias, ...head } }, 'method');
  });

  it.each([
    [{ labels: { integers: true, shape: [4] } }, head, { kind: 'classification', labels: 3 }],
    [{ labels: { integers: true, shape: [4, 12] } }, head, { kind: 'token-classification', labels: 3 }],
    [{ labels: { integers: false, shape: [4] } }, { 'head.classifier.weight': [1, 32] }, { kind: 'regression' }],
    [
      { labels: { integers: true, shape: [4] } },
      { 'head.classifier.dense.weight': [32, 32], 'head.classifier.out_proj.weight': [2, 32] },
      { kind: 'classification', labels: 2 },
    ],
    [
      { start_positions: { integers: true, shape: [4] }, end_positions: { integers: true, shape: [4] } },
      { 'head.qa_outputs.weight': [2, 32] },
      { kind: 'span' },
    ],
  ] as const)('the head for %o', (inputs, trainable, objective) => {
    expect(mapped(mapCase(facts({ method: 'head only', inputs, trainable }))).objective).toEqual(objective);
  });

  const layers = {
    dense: { 'head.classifier.dense.weight': [32, 32], 'head.classifier.dense.bias': [32] },
    outProjection: { 'head.classifier.out_proj.weight': [3, 32], 'head.classifier.out_proj.bias': [3] },
    preClassifier: { 'head.pre_classifier.weight': [32, 32], 'head.pre_classifier.bias': [32] },
  } satisfies Readonly<Record<string, Shapes>>;
  const twoLayers = { ...layers.dense, ...layers.outProjection };

  it.each([
    ['bert', head, {}, 'native'],
    ['bert', head, { pooling: 'pooler' }, 'native'],
    ['bert', head, { pooling: 'position 0' }, 'linear'],
    ['bert', head, { pooling: 'first [MASK]' }, 'mask'],
    ['bert', twoLayers, {}, 'two-layer'],
    ['roberta', twoLayers, {}, 'native'],
    ['roberta', head, {}, 'linear'],
    ['roberta', head, { pooling: 'first <mask>' }, 'mask'],
    ['electra', twoLayers, {}, 'native'],
    ['electra', head, {}, 'linear'],
    ['distilbert', { ...layers.preClassifier, ...head }, {}, 'native'],
    ['distilbert', twoLayers, {}, 'two-layer'],
    ['distilbert', head, {}, 'linear'],
  ] as const)('the form of a head on %s with the tensors %o that reads %o', (family, trainable, pooling, form) => {
    const encoder = tiny(family);
    const norms = adapters([0, 1], ['ffn'], library);
    const row = { 'method.prompt': [4, 32] };
    for (const [method, tensors] of [
      ['full fine-tuning', { 'base.embeddings.word_embeddings.weight': [100, 32] }],
      ['head only', {}],
      ['BitFit', bias],
      ['LoRA', lora(family === 'distilbert' ? ['q_lin'] : ['query'])],
      ['adapter, Pfeiffer (SeqBn)', norms],
      ['prompt tuning', row],
      ['UniPELT', { ...norms, ...row }],
      ['IA3', { 'method.layer.0.output.dense.ia3_l': [32, 1], 'method.layer.1.output.dense.ia3_l': [32, 1] }],
    ] as const) {
      if (method === 'IA3' && family === 'distilbert') continue;
      const given = {
        method,
        encoder,
        hyperparameters: { alpha: 8, ...pooling },
        trainable: { ...tensors, ...trainable },
      };
      expect(mapped(mapCase(facts(given))).method.options, method).toMatchObject({ head: form });
    }
  });

  it('BitFit by what it trains of a head of two maps', () => {
    const given = { method: 'BitFit', encoder: tiny('roberta') };
    const whole = mapped(mapCase(facts({ ...given, trainable: { ...bias, ...twoLayers } })));
    expect(whole.method.options).toEqual({ classifier: 'whole', head: 'native' });
    const { 'head.classifier.dense.weight': _weight, ...withoutWeight } = twoLayers;
    const final = mapped(mapCase(facts({ ...given, trainable: { ...bias, ...withoutWeight } })));
    expect(final.method.options).toEqual({ head: 'native' });
    const distilbert = { ...bias, ...layers.preClassifier, ...head };
    expect(
      mapped(mapCase(facts({ method: 'BitFit', encoder: tiny('distilbert'), trainable: distilbert }))).method.options,
    ).toEqual({ classifier: 'whole', head: 'native' });
  });

  it.each([
    ['LoRA', lora(['query']), 'bert_mlm', false],
    ['LoRA', lora(['query']), 'lora_bert-mlm', false],
    ['BitFit', { 'base.cls.predictions.bias': [100] }, 'bitfit_bert_mlm', false],
    ['LoRA', lora(['query']), 'bert_base', true],
  ] as const)('masked words with %s, whose case trains no head', (method, trainable, task, hasWordHead) => {
    const inputs = { labels: { integers: true, shape: [4, 12] } };
    const given = { method, trainable, task, inputs, hyperparameters: { alpha: 8 } };
    expect(mapped(mapCase(facts({ ...given, hasWordHead }))).objective).toEqual({ kind: 'masked-words' });
    expectUnsupported({ ...given, task: 'bert_base' }, 'head');
    expectUnsupported({ ...given, hasWordHead, inputs: { labels: { integers: true, shape: [4] } } }, 'head');
  });

  it('no head that is none of ours', () => {
    const method = 'head only';
    expectUnsupported({ method, trainable: {} }, 'head');
    expectUnsupported({ method, trainable: { 'head.lm_head.weight': [100, 32] } }, 'head');
    expectUnsupported({ method, inputs: {} }, 'head');
    for (const trainable of [twoLayers, { ...layers.preClassifier, ...head }]) {
      expectUnsupported({ method, trainable, hyperparameters: { pooling: 'first <mask>' } }, 'head');
    }
    expectUnsupported({ method, inputs: { labels: { integers: false, shape: [4] } } }, 'head');
  });
});
