/** How computed tensors are held against the stored ones: the error measure and the tolerances of the golden files' own README. */

/** A computed tensor and what the reference computed. */
export interface Comparison {
  readonly name: string;
  readonly got: ArrayLike<number>;
  readonly want: ArrayLike<number>;
}

/** How far the tensors of one group are off. */
export interface GroupReport {
  /** `logits`, `loss`, `layer_output`, `grad`, …; with `training/` in front, from the graph that computes only what the head reads. */
  readonly group: string;
  /** Relative errors are measured against the tensor's own size and its group's, absolute ones are plain differences. */
  readonly measure: 'relative' | 'absolute';
  readonly tensors: number;
  /** The greatest error, and the tensor that has it. Infinite where a number is missing or none (`null` in JSON). */
  readonly error: number;
  readonly worst: string;
  readonly tolerance: number;
  /** For updated tensors, the greatest mean difference of one tensor is bounded too. */
  readonly mean?: { readonly error: number; readonly tolerance: number };
  readonly passed: boolean;
}

export type Precision = 'float32' | 'float64';

export interface Tolerances {
  readonly outputs: number;
  readonly layerOutput: number;
  readonly gradient: number;
  /** Of norms and clipped sums. */
  readonly clipping: number;
  /** Of gradients that are mathematically zero: absolute. */
  readonly zeroGradient: number;
  /** Of tensors after AdamW steps: the greatest and the mean absolute difference. */
  readonly update: { readonly greatest: number; readonly mean: number };
}

export const tolerances: Readonly<Record<Precision, Tolerances>> = {
  float32: {
    outputs: 5e-5,
    layerOutput: 5e-5,
    gradient: 2e-4,
    clipping: 2e-4,
    zeroGradient: 1e-6,
    update: { greatest: 5e-4, mean: 1e-5 },
  },
  float64: {
    outputs: 1e-6,
    layerOutput: 1e-6,
    gradient: 1e-6,
    clipping: 2e-4,
    zeroGradient: 1e-6,
    update: { greatest: 1e-6, mean: 1e-6 },
  },
};

/** The share of its group's size that a tensor's error is measured against, beside its own size. */
const GROUP_SHARE = 0.01;

function greatest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] ?? 0));
  return most;
}

/** The greatest and the mean absolute difference; infinite where the lengths differ or a number is none. */
function differences({ got, want }: Comparison): { readonly greatest: number; readonly mean: number } {
  if (got.length !== want.length) return { greatest: Infinity, mean: Infinity };
  let most = 0;
  let sum = 0;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs((got[i] ?? NaN) - (want[i] ?? NaN));
    if (Number.isNaN(difference)) return { greatest: Infinity, mean: Infinity };
    most = Math.max(most, difference);
    sum += difference;
  }
  return { greatest: most, mean: want.length === 0 ? 0 : sum / want.length };
}

function worstOf(
  errors: readonly { readonly name: string; readonly error: number }[],
): { readonly name: string; readonly error: number } | undefined {
  return errors.reduce<(typeof errors)[number] | undefined>(
    (worst, each) => (worst === undefined || each.error > worst.error ? each : worst),
    undefined,
  );
}

/**
 * The greatest over the group of max|got − want| / (max|want| + 0.01 · the group's max|want|). Nothing is reported of an empty group.
 */
export function compareRelative(
  group: string,
  comparisons: readonly Comparison[],
  tolerance: number,
): readonly GroupReport[] {
  const share = GROUP_SHARE * Math.max(0, ...comparisons.map(({ want }) => greatest(want)));
  const worst = worstOf(
    comparisons.map((comparison) => {
      const difference = differences(comparison).greatest;
      const error = difference === 0 ? 0 : difference / (greatest(comparison.want) + share);
      return { name: comparison.name, error: Number.isNaN(error) ? Infinity : error };
    }),
  );
  if (worst === undefined) return [];
  return [
    {
      group,
      measure: 'relative',
      tensors: comparisons.length,
      error: worst.error,
      worst: worst.name,
      tolerance,
      passed: worst.error <= tolerance,
    },
  ];
}

/** The greatest plain difference over the group, and with `mean` the greatest mean difference of one tensor. */
export function compareAbsolute(
  group: string,
  comparisons: readonly Comparison[],
  tolerance: { readonly greatest: number; readonly mean?: number },
): readonly GroupReport[] {
  const measured = comparisons.map((comparison) => ({ name: comparison.name, ...differences(comparison) }));
  const worst = worstOf(measured.map(({ name, greatest: error }) => ({ name, error })));
  if (worst === undefined) return [];
  const meanError = Math.max(...measured.map(({ mean }) => mean));
  const meanPassed = tolerance.mean === undefined || meanError <= tolerance.mean;
  return [
    {
      group,
      measure: 'absolute',
      tensors: comparisons.length,
      error: worst.error,
      worst: worst.name,
      tolerance: tolerance.greatest,
      ...(tolerance.mean === undefined ? {} : { mean: { error: meanError, tolerance: tolerance.mean } }),
      passed: worst.error <= tolerance.greatest && meanPassed,
    },
  ];
}
