import type { CompileOptions } from './backends/backend.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { frozenProducts } from './graph/frozen-products.ts';
import { layerMatrices, type ModelGraph } from './model-graph.ts';

/**
 * Numbers of a tensor that a CPU's caches hold beside those next to it. Measured with BERT-base and MiniLM on two cores: passes whose largest
 * activations have between 0.5 and 1.6 million take a tenth less time for each example than larger ones, with 8-bit products a fifth.
 */
const CACHED_NUMBERS = 1e6;

/** The threads with which that was measured; more of them share more cache, and want more work at a time. */
const MEASURED_THREADS = 2;

/**
 * The number of tokens, padding included, beyond which a batch is better computed in several passes whose gradients are summed: what
 * leaves one operation is then still in the processor's caches when the next one reads it. No limit for a GPU, nor where a pass costs
 * something that does not depend on its tokens: gradients as large as the encoder, or matrices that are put together first.
 */
export function comfortableTokens(
  model: ModelGraph,
  { intermediateSize }: Pick<EncoderConfig, 'intermediateSize'>,
  { provider, threads }: Pick<CompileOptions, 'provider' | 'threads'>,
): number {
  if (provider !== 'cpu') return Infinity;
  const matrices = layerMatrices(model);
  const read = frozenProducts([model.loss], new Set(matrices.map(({ name }) => name)));
  if (matrices.length === 0 || read.size < matrices.length) return Infinity;
  return Math.floor((CACHED_NUMBERS * Math.max(1, threads / MEASURED_THREADS)) / intermediateSize);
}
