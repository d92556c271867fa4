import { permutation, randomStream } from '../base/random.ts';
import type { FixedInitialiser, Initialiser } from './graph/parameters.ts';

/** A random law or constant, without the checkpoint's: what can be made from a seed alone. */
export type DrawnInitialiser = Exclude<Initialiser, { kind: 'checkpoint' | 'wordEmbeddings' }>;

/** Whether a tensor starts from a random law or a constant, and not from other tensors. */
export function isDrawn(initialiser: FixedInitialiser): initialiser is DrawnInitialiser {
  const { kind } = initialiser;
  return kind !== 'checkpoint' && kind !== 'wordEmbeddings' && kind !== 'permutation';
}

/** `count` different rows of a table of `rows`, in an order that depends on the seed and the name alone; repeated where there are fewer. */
export function drawRows(count: number, rows: number, name: string, seed: number): Uint32Array {
  const order = permutation(rows, randomStream(seed, `initialise.${name}`));
  return Uint32Array.from({ length: count }, (_, i) => order[i % rows] ?? 0);
}

/**
 * The start values of a tensor, row-major. Random ones depend only on the seed, the tensor's name and its shape, so a frozen
 * projection need not be stored.
 */
export function draw(
  initialiser: DrawnInitialiser,
  name: string,
  shape: readonly number[],
  seed: number,
): Float32Array {
  const values = new Float32Array(shape.reduce((size, dim) => size * dim, 1));
  switch (initialiser.kind) {
    case 'zeros':
      return values;
    case 'ones':
      return values.fill(1);
    case 'identity': {
      const columns = shape.at(-1) ?? 1;
      for (let i = 0; i < values.length; i += columns + 1) values[i] = 1;
      return values;
    }
    case 'normal': {
      const random = randomStream(seed, `initialise.${name}`);
      for (let i = 0; i < values.length; i++) values[i] = initialiser.deviation * random.normal();
      return values;
    }
    case 'signs': {
      const random = randomStream(seed, `initialise.${name}`);
      for (let i = 0; i < values.length; i++) values[i] = random.below(2) === 0 ? -1 : 1;
      return values;
    }
    case 'truncatedNormal': {
      const random = randomStream(seed, `initialise.${name}`);
      const inside = (): number => {
        for (;;) {
          const drawn = random.normal();
          if (Math.abs(drawn) <= 2) return drawn;
        }
      };
      for (let i = 0; i < values.length; i++) values[i] = initialiser.deviation * inside();
      return values;
    }
    case 'uniform': {
      const random = randomStream(seed, `initialise.${name}`);
      for (let i = 0; i < values.length; i++) values[i] = initialiser.bound * (2 * random.uniform() - 1);
      return values;
    }
  }
}

/** What a frozen tensor can be made of from a seed alone. */
export type DrawnFixedInitialiser = DrawnInitialiser | Extract<FixedInitialiser, { kind: 'permutation' }>;

/** As {@link isDrawn}, for frozen tensors, which may also hold a permutation. */
export function isDrawnFixed(initialiser: FixedInitialiser): initialiser is DrawnFixedInitialiser {
  return initialiser.kind === 'permutation' || isDrawn(initialiser);
}

/** The values of a frozen tensor, as {@link draw} makes those of a trained one. */
export function drawFixed(
  initialiser: DrawnFixedInitialiser,
  name: string,
  shape: readonly number[],
  seed: number,
): Float32Array | Int32Array {
  if (initialiser.kind !== 'permutation') return draw(initialiser, name, shape, seed);
  const count = shape.reduce((size, dim) => size * dim, 1);
  return Int32Array.from(permutation(count, randomStream(seed, `initialise.${name}`)));
}
