import type { Floats } from './optimisers/adamw.ts';

/** A score and where it was reached. */
export interface Best {
  readonly step: number;
  readonly score: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Where a training is, beside its tensors: with them, all that an exact continuation needs. */
export interface Progress {
  /** Optimiser steps done. */
  readonly step: number;
  /** The next micro-batch: epoch and place in its order. */
  readonly epoch: number;
  readonly batch: number;
  readonly best: Best | undefined;
  /** Evaluations since the best one. */
  readonly evaluationsWithoutGain: number;
  /** The last evaluation's metrics. */
  readonly lastMetrics: Readonly<Record<string, number>> | undefined;
  /** Seconds spent training in all segments. */
  readonly trainSeconds: number;
  /** The next step's clipping norm, in a private training that adapts it. */
  readonly clippingNorm?: number;
}

export const atStart: Progress = {
  step: 0,
  epoch: 0,
  batch: 0,
  best: undefined,
  evaluationsWithoutGain: 0,
  lastMetrics: undefined,
  trainSeconds: 0,
};

/** A training that can be continued. */
export interface TrainerState {
  readonly progress: Progress;
  /** Trained tensors by name. */
  readonly values: ReadonlyMap<string, Float32Array>;
  /** The optimiser's moments by name (see adamWTensors) and its step count. */
  readonly optimiserStep: number;
  readonly optimiser: ReadonlyMap<string, Floats>;
  /** Where it was read, for messages. */
  readonly file?: string;
}

/** How many numbers each trained tensor has, by name. */
export function sizesOf(
  trained: readonly { readonly name: string; readonly shape: readonly number[] }[],
): ReadonlyMap<string, number> {
  return new Map(trained.map(({ name, shape }) => [name, shape.reduce((size, dim) => size * dim, 1)]));
}

/** What tells that tensors are not those of a training, which has these sizes; nothing where they fit. */
export function misfit(sizes: ReadonlyMap<string, number>, held: ReadonlyMap<string, Floats>): string | undefined {
  for (const [name, size] of sizes) {
    const found = held.get(name)?.length;
    if (found !== size) return `${name} holds ${found ?? 'no'} numbers instead of ${size}`;
  }
  const more = [...held.keys()].find((name) => !sizes.has(name));
  return more === undefined ? undefined : `it holds ${more}, which is not trained here`;
}
