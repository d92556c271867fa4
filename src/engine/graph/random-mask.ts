import { sizeOf, type Dim, type Shape } from './dims.ts';
import { add, cast, constant, input, less, multiply, reshape, slice } from './operations.ts';
import type { Value } from './value.ts';

/**
 * A bool tensor that holds true with probability `1 - rate`, a pure function of the words of each element's row and column. An
 * element's hash is row · column₁ + column₂ in wrapping 32-bit arithmetic, of which every provider has the operations; its sign and
 * high bits decide. That is multiply-add hashing (Dietzfelbinger 1996), which is independent between any two elements of a column,
 * and the elements of a row are independent altogether, for every column has words of its own. Folding the hash once more costs as
 * much again and improves nothing that could be measured, the singular values of whole masks included; hashing the plain index with
 * two or three folds in place of words does not pass the tests.
 * @param rowWords int32 `[rows]`, odd: one for each combination of the leading axes
 * @param columnWords int32 `[2, columns]`: two for each place along the last axis
 */
export function keepMask(shape: Shape, rate: number, rowWords: Value, columnWords: Value): Value {
  const columns = shape.at(-1) ?? 1;
  const rows = sizeOf(shape.slice(0, -1));
  const line = reshape(rowWords, [rows, 1]);
  const product = multiply(line, slice(columnWords, 0, 0, 1));
  const hash = add(product, slice(columnWords, 0, 1, 2));
  // At least one word is dropped, or the smallest of rates would leave the range of int32.
  const threshold = Math.max(Math.round(rate * 2 ** 32), 1) - 2 ** 31 - 1;
  return reshape(less(constant([threshold], [], 'int32'), hash), [...shape.slice(0, -1), columns]);
}

/** A place in a graph where dropout acts, with the inputs that its random words are fed to. */
export interface DropoutSite {
  /** int32 `[rows]`, odd words. */
  readonly rowInput: string;
  /** All axes but the last, whose product the rows are; of a site within the examples their axis is the first, or the outer part of it. */
  readonly leading: Shape;
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

/**
 * Begins the list of a graph's dropout sites. Masks are computed in the graph from the words of {@link keepMask}, so that none is copied
 * to it.
 */
export function createDropoutSites(): DropoutSites {
  const sites: DropoutSite[] = [];
  return {
    apply(x, rate) {
      if (rate === 0) return x;
      if (!(rate > 0 && rate < 1)) throw new RangeError(`dropout rate ${rate} is outside [0, 1)`);
      const site: DropoutSite = {
        rowInput: `dropout.${sites.length}.rows`,
        leading: x.shape.slice(0, -1),
        rows: sizeOf(x.shape.slice(0, -1)),
        columnInput: `dropout.${sites.length}.columns`,
        columns: x.shape.at(-1) ?? 1,
      };
      sites.push(site);
      const rowWords = input(site.rowInput, 'int32', [site.rows]);
      const columnWords = input(site.columnInput, 'int32', [2, site.columns]);
      // As a factor rather than a choice: the runtime's Where takes longer than a cast and two products.
      const kept = cast(keepMask(x.shape, rate, rowWords, columnWords), 'float32');
      return multiply(x, multiply(kept, 1 / (1 - rate)));
    },
    sites,
  };
}
