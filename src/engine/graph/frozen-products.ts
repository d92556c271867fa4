import { inputAt } from './operations.ts';
import { topologicalOrder, type Value } from './value.ts';

/** How a product reads a stored matrix W `[out, in]`: x Wᵀ, as the forward half does, or g W, as the backward half does. */
export type Reading = 'transposed' | 'straight';

/** A product of computed rows with a stored matrix. */
export interface FrozenProduct {
  readonly name: string;
  readonly reading: Reading;
}

/** The stored matrix that a value multiplies computed rows with, and how; nothing for any other value. */
export function frozenProduct(value: Value): FrozenProduct | undefined {
  const { operation } = value;
  if (operation.kind !== 'gemm' || operation.transposeA || operation.scale !== 1) return undefined;
  const matrix = inputAt(value, 1).operation;
  if (matrix.kind !== 'weight') return undefined;
  return { name: matrix.name, reading: operation.transposeB ? 'transposed' : 'straight' };
}

/** Which stored matrices some outputs multiply rows with, and in which ways, of the products that `counts` takes. */
export function frozenProducts(
  outputs: readonly Value[],
  counts: (product: FrozenProduct) => boolean,
): ReadonlyMap<string, ReadonlySet<Reading>> {
  const products = new Map<string, Set<Reading>>();
  for (const value of topologicalOrder(outputs)) {
    const product = frozenProduct(value);
    if (product === undefined || !counts(product)) continue;
    products.set(product.name, (products.get(product.name) ?? new Set()).add(product.reading));
  }
  return products;
}
