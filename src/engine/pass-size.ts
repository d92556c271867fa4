import type { CompileOptions } from './backends/backend.ts';
import type { EncoderConfig } from './encoders/config.ts';
import { frozenProducts } from './graph/frozen-products.ts';
import { topologicalOrder } from './graph/value.ts';
import { countParameters, layerMatrices, type ModelGraph } from './model-graph.ts';

/**
 * Numbers of a tensor that a CPU's caches hold beside those next to it. Measured with BERT-base and MiniLM on two cores: passes whose largest
 * activations have between 0.8 and 3 million take up to a fifth less time for each example than larger ones, and half the memory.
 */
const CACHED_NUMBERS = 1e6;

/** The threads with which that was measured; more of them share more cache, and want more work at a time. */
const MEASURED_THREADS = 2;

/** What each pass costs whatever its tokens are, in floating-point operations of matrix products that take as long. */
const fixedCost = { operation: 5e5, trainedNumber: 600 };

/** Operations of a step for each one of its forward half. */
const WITH_GRADIENTS = 3;

/** The share of a pass that may be spent on what does not depend on its tokens. */
const FIXED_SHARE = 0.05;

/**
 * The number of tokens, padding included, beyond which a batch is better computed in several passes whose gradients are summed: what
 * leaves one operation is then still in the processor's caches when the next one reads it. No limit for a GPU, nor where matrices of the
 * encoder are trained or put together first.
 */
export function comfortableTokens(
  model: ModelGraph,
  { intermediateSize }: Pick<EncoderConfig, 'intermediateSize'>,
  { provider, threads }: Pick<CompileOptions, 'provider' | 'threads'>,
): number {
  if (provider !== 'cpu') return Infinity;
  const matrices = layerMatrices(model);
  const names = new Set(matrices.map(({ name }) => name));
  const read = frozenProducts([model.loss], ({ name }) => names.has(name));
  if (matrices.length === 0 || read.size < matrices.length) return Infinity;
  const weights = matrices.reduce((sum, { shape: [out = 0, inner = 0] }) => sum + out * inner, 0);
  const operations = WITH_GRADIENTS * topologicalOrder([model.loss]).length;
  const fixed = fixedCost.operation * operations + fixedCost.trainedNumber * countParameters(model.trained).total;
  // A multiplication and an addition with each weight, forward and backward.
  const worthwhile = fixed / FIXED_SHARE / (4 * weights);
  const cached = (CACHED_NUMBERS * Math.max(1, threads / MEASURED_THREADS)) / intermediateSize;
  return Math.floor(Math.max(cached, worthwhile));
}
