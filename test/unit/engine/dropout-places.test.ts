import { describe, expect, it } from 'vitest';
import { parseEncoderConfig } from '../../../src/engine/encoders/config.ts';
import { buildModel, type Objective } from '../../../src/engine/model-graph.ts';

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
