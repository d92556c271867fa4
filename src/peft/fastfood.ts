import {
  constant,
  divide,
  gather,
  gemm,
  matmul,
  multiply,
  pad,
  reduceSum,
  reshape,
  slice,
  sqrt,
} from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';

/** The widest of the small matrices that a transform is made of; each costs a pass over the vector, so they are not the smallest. */
const WIDEST_BITS = 6;

function isOdd(bits: number): boolean {
  let odd = false;
  for (let rest = bits; rest > 0; rest &= rest - 1) odd = !odd;
  return odd;
}

/** Rows 0..rows-1 and columns 0..columns-1 of the Walsh-Hadamard matrix in Sylvester's order: (-1)^popcount(i & j). */
function hadamard(rows: number, columns: number): Value {
  const entries = Array.from({ length: rows * columns }, (_, index) =>
    isOdd(Math.floor(index / columns) & (index % columns)) ? -1 : 1,
  );
  return constant(entries, [rows, columns]);
}

/** How H of size 2^bits is split: H = H_outer ⊗ H_inner[0] ⊗ …, each of at most 2^6. */
interface Split {
  readonly outer: number;
  readonly inner: readonly number[];
  /** The product of the inner sizes. */
  readonly block: number;
}

function splitOf(size: number): Split {
  const bits = Math.log2(size);
  const parts = Math.max(1, Math.ceil(bits / WIDEST_BITS));
  const [outer = 1, ...inner] = Array.from(
    { length: parts },
    (_, index) => 2 ** (Math.floor((bits * (index + 1)) / parts) - Math.floor((bits * index) / parts)),
  );
  return { outer, inner, block: size / outer };
}

/** The inner factors of H on each row of x `[rows, block]`. */
function transformBlocks(x: Value, rows: number, { inner, block }: Split): Value {
  let before = rows;
  let y = x;
  for (const [index, size] of inner.entries()) {
    const after = inner.slice(index + 1).reduce((product, factor) => product * factor, 1);
    y =
      after === 1
        ? gemm(reshape(y, [before, size]), hadamard(size, size))
        : matmul(hadamard(size, size), reshape(y, [before, size, after]));
    before *= size;
  }
  return reshape(y, [rows, block]);
}

/** H x `[size]` for x `[length]` with zeros behind it. Blocks of zeros are left out. */
function transformHead(x: Value, length: number, size: number): Value {
  const split = splitOf(size);
  const used = Math.ceil(length / split.block);
  const rows = reshape(pad(x, 0, 0, used * split.block - length), [used, split.block]);
  return reshape(gemm(hadamard(split.outer, used), transformBlocks(rows, used, split)), [size]);
}

/** The first `length` entries of H x, for x `[size]`. */
function transformTo(x: Value, length: number, size: number): Value {
  const split = splitOf(size);
  const used = Math.ceil(length / split.block);
  const rows = gemm(hadamard(used, split.outer), reshape(x, [split.outer, split.block]));
  return slice(reshape(transformBlocks(rows, used, split), [used * split.block]), 0, 0, length);
}

/** The size of a Fastfood map's transform: the power of two that holds both its input and its output. */
export function transformSize(from: number, to: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(from, to)));
}

/**
 * A Fastfood map (Le, Sarlós and Smola 2013, equation 6, as Aghajanyan et al. 2021 normalise it): the first `to` entries of
 * H G Π H B x / √(to · ΣG²) for x `[from]`, with H the unnormalised Walsh-Hadamard matrix, B random signs, Π a random permutation and G a
 * diagonal from N(0, 1); random parts are fixed and called after `name`. The scale keeps ‖x‖ in the mean. H is applied as a few products
 * with small matrices, for H of size 2^(a+b) is H_2^a ⊗ H_2^b; its gradient is the exact adjoint, H again.
 */
export function fastfood(x: Value, from: number, to: number, name: string, scope: ParameterScope): Value {
  const size = transformSize(from, to);
  const signs = scope.fixed(`${name}.signs`, [from], { kind: 'signs' });
  const order = scope.fixed(`${name}.permutation`, [size], { kind: 'permutation' });
  const gaussian = scope.fixed(`${name}.gaussian`, [size], { kind: 'normal', deviation: 1 });
  const mixed = gather(transformHead(multiply(x, signs), from, size), order);
  const drawn = transformTo(multiply(mixed, gaussian), to, size);
  return divide(drawn, sqrt(multiply(reduceSum(multiply(gaussian, gaussian), [0]), to)));
}
