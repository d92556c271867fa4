import { UserError } from '../../base/errors.ts';
import { permutation, randomStream } from '../../base/random.ts';
import type { Task } from '../../tasks/task.ts';

/** A regression's labels are stratified by this many bins of equally many examples, by rank of score. */
const regressionBins = 10;

/** Indices of `bins` groups of equally many examples (to within one), in ascending order of label. */
function quantileBins(labels: ArrayLike<number>, bins: number): readonly (readonly number[])[] {
  const byLabel = Array.from({ length: labels.length }, (_, i) => i).sort(
    (a, b) => (labels[a] as number) - (labels[b] as number),
  );
  const edge = (bin: number): number => Math.floor((bin * byLabel.length) / bins);
  return Array.from({ length: bins }, (_, bin) => byLabel.slice(edge(bin), edge(bin + 1)));
}

/** Indices of the examples of each class, in ascending order of class. */
function classMembers(labels: ArrayLike<number>): readonly (readonly number[])[] {
  const members = new Map<number, number[]>();
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    const known = members.get(label);
    if (known === undefined) members.set(label, [i]);
    else known.push(i);
  }
  return [...members].sort(([a], [b]) => a - b).map(([, indices]) => indices);
}

/**
 * Splits `total` among strata in proportion to their sizes, rounded by largest remainder (ties to the earlier stratum), and at
 * least one to each where `total` allows. No stratum is given more than it has.
 */
function apportion(sizes: readonly number[], total: number): readonly number[] {
  const available = sizes.reduce((sum, size) => sum + size, 0);
  const least = total >= sizes.length ? 1 : 0;
  const shares = sizes.map((size, stratum) => {
    const exact = (size * total) / available;
    return { stratum, size, exact, share: Math.max(least, Math.floor(exact)) };
  });
  let missing = total - shares.reduce((sum, { share }) => sum + share, 0);
  for (const entry of shares.toSorted((a, b) => b.exact - b.share - (a.exact - a.share) || a.stratum - b.stratum)) {
    if (missing <= 0) break;
    if (entry.share === entry.size) continue;
    entry.share++;
    missing--;
  }
  // Raising rare strata to one may have overspent: the largest shares give it back.
  for (; missing < 0; missing++) shares.reduce((most, entry) => (entry.share > most.share ? entry : most)).share--;
  return shares.map(({ share }) => share);
}

/**
 * The examples that `training.examples: n` keeps: n of them, in ascending order, every class (for a regression: every tenth of
 * the scores by rank) with its share of the whole, drawn by `seed` alone.
 * @throws UserError when n is not a whole number from 1 to the number of examples
 */
export function stratifiedSubset(labels: ArrayLike<number>, kind: Task['kind'], n: number, seed: number): Uint32Array {
  if (!Number.isInteger(n) || n < 1)
    throw new UserError(`training.examples is ${n}`, 'It must be a whole number of at least 1.');
  if (n > labels.length)
    throw new UserError(
      `training.examples is ${n}, but the training split holds ${labels.length} examples`,
      `Set it to ${labels.length} or less, or leave it out to train on all of them.`,
    );
  const strata = kind === 'regression' ? quantileBins(labels, Math.min(regressionBins, n)) : classMembers(labels);
  const shares = apportion(
    strata.map(({ length }) => length),
    n,
  );
  const random = randomStream(seed, 'data.subset');
  const chosen = strata.flatMap((members, i) =>
    Array.from(permutation(members.length, random).subarray(0, shares[i]), (j) => members[j] as number),
  );
  return Uint32Array.from(chosen).sort();
}
