import { describe, expect, it } from 'vitest';
import { parseEncoderConfig } from '../../../src/engine/encoders/config.ts';
import { topologicalOrder } from '../../../src/engine/graph/value.ts';
import { buildModel, type Objective } from '../../../src/engine/model-graph.ts';
import { findMethod } from '../../../src/peft/registry.ts';

const sizes = { vocab_size: 60, max_position_embeddings: 40 };

const configs = {
  bert: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2 },
  roberta: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2 },
  distilbert: { dim: 16, hidden_dim: 32, n_layers: 2, n_heads: 2 },
};

const classification: Objective = { kind: 'classification', labels: 2 };
const tokens: Objective = { kind: 'token-classification', labels: 3 };
const spans: Objective = { kind: 'span' };

/** How often dropout acts in a step. */
function places(
  family: keyof typeof configs,
  objective: Objective,
  { rates = {}, dropout = 'model' }: { readonly rates?: object; readonly dropout?: 'model' | number } = {},
): number {
  const raw = { model_type: family, ...sizes, ...configs[family], ...rates };
  const encoder = parseEncoderConfig(raw, 'config.json');
  const method = { id: 'full', options: {} };
  return buildModel({ encoder, hasPooler: family === 'bert', method, objective }, { dropout }).dropoutSites.length;
}

describe("where dropout acts, as in Hugging Face's models", () => {
  const bertLayers = 1 + 2 * 3;
  // DistilBERT's blocks drop attention weights and the feed-forward block's output, nothing between them.
  const distilbertLayers = 1 + 2 * 2;

  it.each([
    ['bert', classification, bertLayers + 1],
    ['bert', tokens, bertLayers + 1],
    ['bert', spans, bertLayers],
    ['roberta', classification, bertLayers + 2],
    ['distilbert', classification, distilbertLayers + 1],
    ['distilbert', tokens, distilbertLayers + 1],
    ['distilbert', spans, distilbertLayers + 1],
  ] as const)('%s with %o', (family, objective, count) => {
    expect(places(family, objective)).toBe(count);
    expect(places(family, objective, { dropout: 0.3 })).toBe(count);
  });

  it.each([
    [{ seq_classif_dropout: 0.2 }, [1, 0, 0]],
    [{ qa_dropout: 0.2 }, [0, 0, 1]],
    [{ dropout: 0.2 }, [3, 4, 3]],
  ])("DistilBERT's heads have rates of their own: %o", (rate, counts) => {
    const rates = { dropout: 0, attention_dropout: 0, seq_classif_dropout: 0, qa_dropout: 0, ...rate };
    expect([classification, tokens, spans].map((objective) => places('distilbert', objective, { rates }))).toEqual(
      counts,
    );
  });
});

describe('dropout of a method', () => {
  const encoder = parseEncoderConfig({ model_type: 'bert', ...sizes, ...configs.bert }, 'config.json');

  /** Which rates act how often: what the places multiply what they keep with is 1 / (1 - rate). */
  function rates(
    id: string,
    options: Readonly<Record<string, unknown>>,
    dropout: 'model' | 'off' | number,
  ): Record<string, number> {
    const method = { id, options: findMethod(id).parse(options) };
    const { losses } = buildModel({ encoder, hasPooler: true, method, objective: classification }, { dropout });
    const found: Record<string, number> = {};
    for (const { operation, inputs } of topologicalOrder([losses])) {
      const [kept, factor] = inputs;
      if (operation.kind !== 'multiply' || kept?.operation.kind !== 'cast') continue;
      const keptShare = factor?.operation.kind === 'constant' ? 1 / (factor.operation.data[0] ?? NaN) : NaN;
      const rate = (1 - keptShare).toFixed(2);
      found[rate] = (found[rate] ?? 0) + 1;
    }
    return found;
  }

  it.each(['slash', 'jr-warp', 'warp'])("%s turns the model's off, but not a rate that is asked for", (id) => {
    expect(rates(id, {}, 'model')).toEqual({});
    expect(rates(id, {}, 0.3)).toEqual({ '0.30': 7 });
    expect(rates(id, { head: 'native' }, 0.3)).toEqual({ '0.30': 8 });
    expect(rates(id, {}, 'off')).toEqual({});
  });

  it.each([
    ['lora', { dropout: 0.5 }, 4],
    ['adapter-houlsby', { dropout: 0.5, bottleneck: 2 }, 4],
    ['prefix-tuning', { dropout: 0.5 }, 4],
    ['pasta', { dropout: 0.5 }, 2],
  ] as const)('%s %o keeps its own rate beside any of the encoder', (id, options, count) => {
    expect(rates(id, options, 'model')).toEqual({ '0.10': 8, '0.50': count });
    expect(rates(id, options, 0)).toEqual({ '0.50': count });
    expect(rates(id, options, 0.3)).toEqual({ '0.30': 8, '0.50': count });
    expect(rates(id, options, 'off')).toEqual({});
    const parts = [
      { id, ...options },
      { id: 'slash', dimension: 4 },
    ];
    expect(rates('union', { parts }, 'model')).toEqual({ '0.50': count });
  });

  it("PASTA's is that of the encoder where it has none of its own", () => {
    expect(rates('pasta', {}, 'model')).toEqual({ '0.10': 10 });
    expect(rates('pasta', {}, 0.3)).toEqual({ '0.30': 10 });
    expect(rates('pasta', { dropout: 0 }, 0.3)).toEqual({ '0.30': 8 });
  });
});
