import { sizeOf, type Dim, type Shape } from './dims.ts';
import { add, constant, divide, input, less, multiply, reshape, slice, where } from './operations.ts';
import type { Value } from './value.ts';

const MULTIPLIER = 0xc2b2ae35 | 0;

/**
 * A bool tensor that holds true with probability `1 - rate`, a pure function of the words of each element's row and column. An
 * element's hash is row · column₁ + column₂, folded upon itself and multiplied, in wrapping 32-bit arithmetic that every provider has
 * (no shifts or exclusive ors); its sign and high bits decide. With independent random words the masks are independent between
 * elements, sites and steps; hashing the plain index with two or three such rounds is not (it was tried, and the tests refused it).
 * @param rowWords int32 `[rows]`, odd: one for each combination of the leading axes
 * @param columnWords int32 `[2, columns]`: two for each place along the last axis
 */
export function keepMask(shape: Shape, rate: number, rowWords: Value, columnWords: Value): Value {
  const columns = shape.at(-1) ?? 1;
  const rows = sizeOf(shape.slice(0, -1));
  const line = reshape(rowWords, [rows, 1]);
  const product = multiply(line, slice(columnWords, 0, 0, 1));
  const mixed = add(product, slice(columnWords, 0, 1, 2));
  const hash = multiply(add(mixed, divide(mixed, 65536)), constant([MULTIPLIER], [], 'int32'));
  // At least one word is dropped, or the smallest of rates would leave the range of int32.
  const threshold = Math.max(Math.round(rate * 2 ** 32), 1) - 2 ** 31 - 1;
  return reshape(less(constant([threshold], [], 'int32'), hash), [...shape.slice(0, -1), columns]);
}

/** A place in a graph where dropout acts, with the inputs that its random words are fed to. */
export interface DropoutSite {
  /** int32 `[rows]`, odd words. */
  readonly rowInput: string;
  readonly rows: Dim;
  /** int32 `[2, columns]`. */
  readonly columnInput: string;
  readonly columns: Dim;
}

/** Hands out dropout sites while a graph is built. */
export interface DropoutSites {
  /** Zero with probability `rate`, else divided by `1 - rate`. */
  readonly apply: (x: Value, rate: number) => Value;
  readonly sites: readonly DropoutSite[];
}

export function createDropoutSites(): DropoutSites {
  const sites: DropoutSite[] = [];
  return {
    apply(x, rate) {
      if (rate === 0) return x;
      if (!(rate > 0 && rate < 1)) throw new RangeError(`dropout rate ${rate} is outside [0, 1)`);
      const site: DropoutSite = {
        rowInput: `dropout.${sites.length}.rows`,
        rows: sizeOf(x.shape.slice(0, -1)),
        columnInput: `dropout.${sites.length}.columns`,
        columns: x.shape.at(-1) ?? 1,
      };
      sites.push(site);
      const rowWords = input(site.rowInput, 'int32', [site.rows]);
      const columnWords = input(site.columnInput, 'int32', [2, site.columns]);
      return where(keepMask(x.shape, rate, rowWords, columnWords), multiply(x, 1 / (1 - rate)), 0);
    },
    sites,
  };
}
