import { sizeOf, symbol, type Shape } from './dims.ts';
import { add, constant, dimension, divide, input, iota, less, multiply, reshape, slice, where } from './operations.ts';
import type { Value } from './value.ts';

/** The name of the input that holds two 32-bit keys for each dropout site: int32 `[sites, 2]`. */
export const DROPOUT_KEYS = 'dropout_keys';

const FIRST_MULTIPLIER = 0x9e3779b1 | 0;
const SECOND_MULTIPLIER = 0x85ebca6b | 0;
const THIRD_MULTIPLIER = 0xc2b2ae35 | 0;

/**
 * A bool tensor that holds true with probability `1 - rate`, a pure function of two keys and the element's index: nothing is drawn, so a
 * resumed run sees the same masks. A hash in wrapping 32-bit arithmetic of operations that every provider has (no shifts or exclusive
 * ors): the index is multiplied by the first key made odd and added to the second, then twice folded upon itself and multiplied. The
 * key multiplies, for if it were only added it would shift one mask along the elements to give the next step's.
 * @param keys int32 `[1, 2]`
 */
export function keepMask(shape: Shape, rate: number, keys: Value): Value {
  const columns = shape.at(-1) ?? 1;
  const rows = sizeOf(shape.slice(0, -1));
  const multiplier = add(multiply(reshape(slice(keys, 1, 0, 1), []), 2), 1);
  const offset = reshape(slice(keys, 1, 1, 2), []);
  const spread = multiply(multiplier, constant([FIRST_MULTIPLIER], [], 'int32'));
  const along = multiply(iota(columns), spread);
  const down = add(multiply(iota(rows), multiply(spread, dimension(columns, 'int32'))), offset);
  const index = add(reshape(down, [rows, 1]), reshape(along, [1, columns]));
  const folded = multiply(add(index, divide(index, 65536)), constant([SECOND_MULTIPLIER], [], 'int32'));
  const hash = multiply(add(folded, divide(folded, 32768)), constant([THIRD_MULTIPLIER], [], 'int32'));
  const threshold = Math.round(rate * 2 ** 32) - 2 ** 31 - 1;
  return reshape(less(constant([threshold], [], 'int32'), hash), shape);
}

/** Hands out dropout sites while a graph is built, each with keys of its own. */
export interface DropoutSites {
  /** Zero with probability `rate`, else divided by `1 - rate`. */
  apply(x: Value, rate: number): Value;
  /** Sites handed out so far: the rows that the keys input needs. */
  count(): number;
}

export function createDropoutSites(): DropoutSites {
  const keys = input(DROPOUT_KEYS, 'int32', [symbol('sites'), 2]);
  let count = 0;
  return {
    apply(x, rate) {
      if (rate === 0) return x;
      if (!(rate > 0 && rate < 1)) throw new RangeError(`dropout rate ${rate} is outside [0, 1)`);
      const site = slice(keys, 0, count, count + 1);
      count += 1;
      return where(keepMask(x.shape, rate, site), multiply(x, 1 / (1 - rate)), 0);
    },
    count: () => count,
  };
}
