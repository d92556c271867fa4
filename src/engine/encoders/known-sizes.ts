import type { EncoderConfig } from './config.ts';

const shared = {
  layerNormEpsilon: 1e-12,
  activation: 'gelu',
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  headDropout: { sequence: 0.1, token: 0.1 },
} as const;

const base = { embeddingSize: 768, hiddenSize: 768, intermediateSize: 3072, layers: 12, attentionHeads: 12 } as const;
const large = {
  embeddingSize: 1024,
  hiddenSize: 1024,
  intermediateSize: 4096,
  layers: 24,
  attentionHeads: 16,
} as const;

const bert = { ...shared, family: 'bert', maxPositions: 512, typeVocabularySize: 2, padTokenId: 0 } as const;
const roberta = {
  ...shared,
  family: 'roberta',
  maxPositions: 514,
  typeVocabularySize: 1,
  padTokenId: 1,
  vocabularySize: 50265,
  layerNormEpsilon: 1e-5,
} as const;

/** The sizes of well-known checkpoints, so that parameters can be counted without weights or a connection. */
export const knownEncoders: Readonly<Record<string, EncoderConfig>> = {
  'bert-base-uncased': { ...bert, ...base, vocabularySize: 30522 },
  'bert-base-cased': { ...bert, ...base, vocabularySize: 28996 },
  'bert-large-uncased': { ...bert, ...large, vocabularySize: 30522 },
  'bert-large-cased': { ...bert, ...large, vocabularySize: 28996 },
  'roberta-base': { ...roberta, ...base },
  'roberta-large': { ...roberta, ...large },
};
