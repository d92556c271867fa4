import { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { asRows, multiplyLast } from '../engine/graph/functions.ts';
import { add, constant, dimAt, gemm, matmul, multiply, reshape, transpose } from '../engine/graph/operations.ts';
import { multiplyDims } from '../engine/graph/dims.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import { initOptions, matrixLaw, type AffineMap, type MatrixInit } from './affine.ts';

/** The n matrices of a hypercomplex map: either whole, or products of factors of some rank. */
export type Blocks =
  | { readonly kind: 'whole'; readonly matrices: Value }
  | { readonly kind: 'factored'; readonly left: Value; readonly right: Value };

function numberAt(x: Value, axis: number): number {
  const dim = dimAt(x, axis);
  if (typeof dim !== 'number') throw new Error('the tensors of a method have fixed sizes');
  return dim;
}

/** Σ_i A_i ⊗ B_i `[n·u, n·v]`, from A `[n, n, n]` (the first axis counts i) and B `[n, u, v]`. */
export function kroneckerSum(rule: Value, blocks: Value): Value {
  const [n, u, v] = [numberAt(blocks, 0), numberAt(blocks, 1), numberAt(blocks, 2)];
  const products = gemm(reshape(rule, [n, n * n]), reshape(blocks, [n, u * v]), { transposeA: true });
  return reshape(transpose(reshape(products, [n, n, u, v]), [0, 2, 1, 3]), [n * u, n * v]);
}

/** The blocks as matrices `[n, u, v]`. */
function wholeBlocks(blocks: Blocks): Value {
  return blocks.kind === 'whole' ? blocks.matrices : matmul(blocks.left, blocks.right);
}

/** x H + b with H = Σ_i A_i ⊗ B_i built once a step; x `[..., n·u]`. */
export function explicitProduct(x: Value, rule: Value, blocks: Blocks, bias: Value | undefined): Value {
  return multiplyLast(x, kroneckerSum(rule, wholeBlocks(blocks)), bias);
}

function identity(size: number): readonly number[] {
  return Array.from({ length: size * size }, (_, index) => (index % (size + 1) === 0 ? 1 : 0));
}

/**
 * The same without H: with x seen as X `[n, u]`, Y = Σ_i A_iᵀ (X s_i) t_i; s `[n, u, r]`, t `[n, r, v]`. Per token that takes
 * n r (n u + n v) + (n² r)² multiplications in place of n u · n v.
 */
export function factoredProduct(
  x: Value,
  rule: Value,
  { left, right }: { readonly left: Value; readonly right: Value },
  bias: Value | undefined,
): Value {
  const [n, u, r] = [numberAt(left, 0), numberAt(left, 1), numberAt(left, 2)];
  const v = numberAt(right, 2);
  const inner = n * r;
  const flat = asRows(x);
  const rows = dimAt(flat, 0);
  const stacked = reshape(flat, [multiplyDims(rows, n), u]);
  const narrow = gemm(stacked, reshape(transpose(left, [1, 0, 2]), [u, inner]));
  // The n rules act on n·r columns each; written as one matrix that is zero where i differs.
  const same = constant(identity(inner), [1, n, r, 1, n, r]);
  const ruled = reshape(transpose(rule, [1, 0, 2]), [n, n, 1, n, 1, 1]);
  const mixing = reshape(multiply(ruled, same), [n * inner, n * inner]);
  const mixed = gemm(reshape(narrow, [rows, n * inner]), mixing);
  const wide = gemm(reshape(mixed, [multiplyDims(rows, n), inner]), reshape(right, [inner, v]));
  const result = reshape(wide, [...x.shape.slice(0, -1), n * v]);
  return bias === undefined ? result : add(result, bias);
}

/** How a hypercomplex map is evaluated; both ways give the same numbers. */
export type Evaluation = 'auto' | 'factored' | 'explicit';

/**
 * Whether {@link factoredProduct} is the faster of the two: multiplications a token, where those of thin matrices count double. Measured on
 * a CPU, both passes over 2048 tokens of width 768 with n = 4: 7.5 against 9.1 ms at a bottleneck of 24, 8.3 against 18 ms at 96, 12.9
 * against 58.6 ms at 384; with n = 12, whose mixing matrix is large, 15.6 against 7.9 ms at 24 and 12.3 against 16.3 ms at 96. In per-example
 * gradients the factored form also copies no matrix of size from × to for each example.
 */
export function factoredIsFaster(n: number, rank: number, from: number, to: number): boolean {
  return 2 * (n * rank * (from + to) + (n * n * rank) ** 2) < from * to;
}

/** The options of hypercomplex maps. */
export interface HypercomplexOptions extends MatrixInit {
  readonly n: number;
  /** Of the factors of each B_i; undefined keeps B_i whole. */
  readonly rank: number | undefined;
  readonly sharedRule: boolean;
  readonly factorisedRule: boolean;
  readonly ruleDeviation: number;
  readonly bias: boolean;
  readonly evaluation: Evaluation;
}

export const orderOption = z
  .int()
  .positive()
  .max(1024)
  .describe('n: how many Kronecker products are added; it must divide the hidden size and the bottleneck.');

/** Schemas of what the hypercomplex methods share. The init is that of each B_i or factor, as a matrix of its own size. */
export const hypercomplexOptions = {
  factorisedRule: z
    .boolean()
    .default(false)
    .describe('Each A_i is itself a product of a column and a row, in the place of a whole matrix.'),
  bias: z.boolean().default(true).describe('Both projections have a bias.'),
  ...initOptions({ init: 'glorot-uniform', initDeviation: 0.01, initGain: Math.SQRT2 }),
};

/** The option for the standard deviation of the n × n rules A_i, whose usual value differs between Compacter's code and PHM layers'. */
export function ruleDeviationOption(usual: number): z.ZodDefault<z.ZodNumber> {
  return z
    .number()
    .nonnegative()
    .default(usual)
    .describe('The standard deviation with which the entries of the A_i start.');
}

/** @throws UserError when n does not divide both widths; it lists what would */
export function checkOrder(method: string, n: number, hiddenSize: number, bottleneck: number): void {
  const divides = (candidate: number): boolean => hiddenSize % candidate === 0 && bottleneck % candidate === 0;
  if (divides(n)) return;
  const possible = Array.from({ length: Math.min(hiddenSize, bottleneck) }, (_, index) => index + 1).filter(divides);
  const below = bottleneck - (bottleneck % n);
  const advice =
    hiddenSize % n === 0
      ? `Or choose a bottleneck that ${n} divides, such as ${below === 0 ? n : `${below} or ${below + n}`}.`
      : 'No bottleneck fits this n, since it does not divide the hidden size.';
  throw new UserError(
    `${method}: n = ${n} must divide the hidden size ${hiddenSize} and the bottleneck ${bottleneck}`,
    `These divide both: ${possible.join(', ')}. ${advice}`,
  );
}

/** A rule's own tensors, or the one for all maps. */
function declareRule(
  { n, sharedRule, factorisedRule, ruleDeviation }: HypercomplexOptions,
  name: string,
  scope: ParameterScope,
): Value {
  const start = { kind: 'normal', deviation: ruleDeviation } as const;
  const owner = sharedRule ? 'method' : name;
  if (!factorisedRule) return scope.trained(`${owner}.phm_rule`, [n, n, n], start);
  const left = scope.trained(`${owner}.phm_rule_left`, [n, n, 1], start);
  return matmul(left, scope.trained(`${owner}.phm_rule_right`, [n, 1, n], start));
}

/**
 * A hypercomplex (PHM) map: y = x Σ_i A_i ⊗ B_i + b (Zhang et al. 2021, equation 3), with `.W` B `[n, from/n, to/n]` or, factored
 * (LPHM; Karimi Mahabadi et al. 2021, equation 4), B_i = s_i t_i with `.W_left` s `[n, from/n, r]` and `.W_right` t `[n, r, to/n]`; `.b`
 * `[to]` from zero; A `phm_rule` `[n, n, n]` of the map itself or one for the whole model.
 */
export function hypercomplexMap(options: HypercomplexOptions, scope: ParameterScope): AffineMap {
  const { n, rank, bias, evaluation } = options;
  return (x, name, from, to) => {
    const [u, v] = [from / n, to / n];
    const rule = declareRule(options, name, scope);
    const matrix = (suffix: string, rows: number, columns: number): Value =>
      scope.trained(`${name}.${suffix}`, [n, rows, columns], matrixLaw(options, rows, columns));
    const blocks: Blocks =
      rank === undefined
        ? { kind: 'whole', matrices: matrix('W', u, v) }
        : { kind: 'factored', left: matrix('W_left', u, rank), right: matrix('W_right', rank, v) };
    const shift = bias ? scope.trained(`${name}.b`, [to], { kind: 'zeros' }) : undefined;
    const factored =
      blocks.kind === 'factored' &&
      (evaluation === 'factored' || (evaluation === 'auto' && factoredIsFaster(n, rank ?? 0, from, to)));
    return factored ? factoredProduct(x, rule, blocks, shift) : explicitProduct(x, rule, blocks, shift);
  };
}
