/**
 * AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101) with torch's semantics: decay decoupled and scaled by the
 * learning rate, both moments bias-corrected, epsilon added after the correction.
 */

/** Parameters are float32; float64 is there to check traces to the last digit. */
export type Floats = Float32Array | Float64Array;

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export const defaultAdamW: AdamWOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/** A tensor to train; `value` is updated in place. */
export interface Trained {
  readonly name: string;
  readonly value: Floats;
  /** Decoupled weight decay of this tensor; 0 where it is excluded. */
  readonly weightDecay: number;
}

interface Moments {
  /** Running mean of the gradient (torch's `exp_avg`). */
  readonly mean: Floats;
  /** Running mean of its square (torch's `exp_avg_sq`). */
  readonly square: Floats;
}

/** What the optimiser carries from step to step. */
export interface AdamWState {
  /** Steps taken. */
  step: number;
  readonly moments: ReadonlyMap<string, Moments>;
}

/** The state before the first step. */
export function createAdamW(trained: readonly Trained[]): AdamWState {
  const zeros = ({ value }: Trained): Floats =>
    value instanceof Float64Array ? new Float64Array(value.length) : new Float32Array(value.length);
  const moments = new Map(trained.map((tensor) => [tensor.name, { mean: zeros(tensor), square: zeros(tensor) }]));
  if (moments.size !== trained.length) throw new Error('two trained tensors share a name');
  return { step: 0, moments };
}

/** What is the same for all elements of a tensor in one step. */
interface Coefficients extends AdamWOptions {
  readonly gradientScale: number;
  /** 1 - lr decay. */
  readonly kept: number;
  /** lr / (1 - beta1^t). */
  readonly stepSize: number;
  /** 1 / sqrt(1 - beta2^t). */
  readonly inverseRoot: number;
}

/**
 * One fused pass over a tensor: for every element, with gradient g, m and v its running means,
 *   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 *   p = p (1 - lr decay) - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon).
 */
function update(value: Floats, gradient: Floats, { mean, square }: Moments, coefficients: Coefficients): void {
  const { length } = value;
  const { beta1, beta2, epsilon, gradientScale, kept, stepSize, inverseRoot } = coefficients;
  const rest1 = 1 - beta1;
  const rest2 = 1 - beta2;
  for (let i = 0; i < length; i++) {
    const g = (gradient[i] as number) * gradientScale;
    const m = beta1 * (mean[i] as number) + rest1 * g;
    const v = beta2 * (square[i] as number) + rest2 * g * g;
    mean[i] = m;
    square[i] = v;
    value[i] = (value[i] as number) * kept - (stepSize * m) / (Math.sqrt(v) * inverseRoot + epsilon);
  }
}

/**
 * Takes one step: updates every tensor of `trained` and the state in place.
 * @param gradients by name, one for each trained tensor
 * @param gradientScale multiplies every gradient first, so that clipping needs no pass of its own
 * @throws Error when a gradient or a moment is missing or of another length
 */
export function stepAdamW(
  state: AdamWState,
  trained: readonly Trained[],
  gradients: ReadonlyMap<string, Floats>,
  learningRate: number,
  options: AdamWOptions = defaultAdamW,
  gradientScale = 1,
): void {
  const work = trained.map(({ name, value, weightDecay }) => {
    const gradient = gradients.get(name);
    const moments = state.moments.get(name);
    if (gradient?.length !== value.length || moments?.mean.length !== value.length)
      throw new Error(
        `${name} holds ${value.length} numbers, its gradient ${gradient?.length ?? 'none'}, its moments ${moments?.mean.length ?? 'none'}`,
      );
    return { value, gradient, moments, weightDecay };
  });
  state.step++;
  const stepSize = learningRate / (1 - options.beta1 ** state.step);
  const inverseRoot = 1 / Math.sqrt(1 - options.beta2 ** state.step);
  for (const { value, gradient, moments, weightDecay } of work) {
    const kept = 1 - learningRate * weightDecay;
    update(value, gradient, moments, { ...options, gradientScale, kept, stepSize, inverseRoot });
  }
}

const meanPrefix = 'exp_avg/';
const squarePrefix = 'exp_avg_sq/';

/** What the moments of a tensor are called among {@link adamWTensors}. */
export function adamWNames(name: string): readonly [mean: string, square: string] {
  return [meanPrefix + name, squarePrefix + name];
}

/** The state as plain tensors by name (`exp_avg/<name>`, `exp_avg_sq/<name>`), to be saved beside {@link AdamWState.step}. */
export function adamWTensors(state: AdamWState): ReadonlyMap<string, Floats> {
  return new Map(
    [...state.moments].flatMap(([name, { mean, square }]): [string, Floats][] => {
      const [ofMean, ofSquare] = adamWNames(name);
      return [
        [ofMean, mean],
        [ofSquare, square],
      ];
    }),
  );
}

/**
 * The state saved by {@link adamWTensors}, for the tensors now trained; the arrays are copied.
 * @throws Error when a tensor is missing, superfluous, or of another length: the checkpoint is of another model or method
 */
export function restoreAdamW(
  trained: readonly Trained[],
  step: number,
  tensors: ReadonlyMap<string, Floats>,
): AdamWState {
  if (!Number.isInteger(step) || step < 0) throw new Error(`optimiser step ${step}`);
  const state = createAdamW(trained);
  if (tensors.size !== 2 * trained.length)
    throw new Error(`${tensors.size} optimiser tensors for ${trained.length} trained tensors`);
  for (const [name, target] of adamWTensors(state)) {
    const saved = tensors.get(name);
    if (saved?.length !== target.length)
      throw new Error(`optimiser tensor ${name} holds ${saved?.length ?? 'no'} numbers instead of ${target.length}`);
    target.set(saved);
  }
  state.step = step;
  return state;
}
