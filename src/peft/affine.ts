import { z } from 'zod';
import { linear, multiplyLast } from '../engine/graph/functions.ts';
import type { Initialiser, ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';

/** A trained affine map of a method: x `[..., from]` to `[..., to]`; its tensors are declared under `name`. */
export type AffineMap = (x: Value, name: string, from: number, to: number) => Value;

/** The two maps of a bottleneck; they are of one kind, but may start differently. */
export interface BottleneckMaps {
  readonly down: AffineMap;
  readonly up: AffineMap;
}

/** The same kind of map on both sides. */
export function alike(map: AffineMap): BottleneckMaps {
  return { down: map, up: map };
}

const initLaws = [
  'normal',
  'truncated-normal',
  'uniform',
  'glorot-uniform',
  'glorot-normal',
  'kaiming-uniform',
] as const;

/** How the entries of a matrix start. */
export interface MatrixInit {
  readonly init: (typeof initLaws)[number];
  /** Standard deviation of the normal laws (before truncation) and of the uniform one. */
  readonly initDeviation: number;
  /** A factor on Glorot's laws. */
  readonly initGain: number;
}

/** Options of how matrices start. */
export function initOptions(defaults: MatrixInit): {
  readonly init: z.ZodDefault<z.ZodEnum<{ [Law in MatrixInit['init']]: Law }>>;
  readonly initDeviation: z.ZodDefault<z.ZodNumber>;
  readonly initGain: z.ZodDefault<z.ZodNumber>;
} {
  return {
    init: z
      .enum(initLaws)
      .default(defaults.init)
      .describe(
        "How the matrices start: N(0, initDeviation²), the same cut at two deviations, a uniform law of that deviation, Glorot's laws times initGain, or U(-1/√in, 1/√in).",
      ),
    initDeviation: z
      .number()
      .nonnegative()
      .default(defaults.initDeviation)
      .describe('The standard deviation of the laws that have one.'),
    initGain: z.number().positive().default(defaults.initGain).describe("The factor on Glorot's laws."),
  };
}

/** The law of a matrix of `from` inputs and `to` outputs. */
export function matrixLaw({ init, initDeviation, initGain }: MatrixInit, from: number, to: number): Initialiser {
  switch (init) {
    case 'normal':
      return { kind: 'normal', deviation: initDeviation };
    case 'truncated-normal':
      return { kind: 'truncatedNormal', deviation: initDeviation };
    case 'uniform':
      return { kind: 'uniform', bound: Math.sqrt(3) * initDeviation };
    case 'glorot-uniform':
      return { kind: 'uniform', bound: initGain * Math.sqrt(6 / (from + to)) };
    case 'glorot-normal':
      return { kind: 'normal', deviation: initGain * Math.sqrt(2 / (from + to)) };
    case 'kaiming-uniform':
      return { kind: 'uniform', bound: 1 / Math.sqrt(from) };
  }
}

/** An ordinary linear map: `.weight` `[to, from]`, `.bias` `[to]` from zero. */
export function denseMap(law: (from: number, to: number) => Initialiser, scope: ParameterScope): AffineMap {
  return (x, name, from, to) => {
    const weight = scope.trained(`${name}.weight`, [to, from], law(from, to));
    return linear(x, weight, scope.trained(`${name}.bias`, [to], { kind: 'zeros' }));
  };
}

/**
 * A map of rank r: x L R + b with `.W_left` L `[from, r]`, `.W_right` R `[r, to]`, `.b` `[to]` from zero. A product of matrices at every
 * rank; the released code of Karimi Mahabadi et al. multiplies the factors element by element, which is the same at rank 1 only.
 */
export function lowRankMap(rank: number, init: MatrixInit, scope: ParameterScope): AffineMap {
  return (x, name, from, to) => {
    const left = scope.trained(`${name}.W_left`, [from, rank], matrixLaw(init, from, rank));
    const right = scope.trained(`${name}.W_right`, [rank, to], matrixLaw(init, rank, to));
    const bias = scope.trained(`${name}.b`, [to], { kind: 'zeros' });
    return multiplyLast(multiplyLast(x, left), right, bias);
  };
}
