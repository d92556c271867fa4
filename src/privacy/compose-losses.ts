import {
  frequencyOrder,
  inverseTransform,
  mirrored,
  transform,
  transformError,
  UNIT_ROUNDOFF,
  type Roots,
} from './fft.ts';
import type { LossGrid } from './loss-grid.ts';
import type { Plan } from './loss-window.ts';

/** One step's law on the grid and how often it is composed. */
export interface Part {
  readonly steps: number;
  readonly law: LossGrid;
}

/** log M(θ) of a law on the grid. */
export function logMomentOf({ step, offset, first, masses }: LossGrid, theta: number): number {
  const size = masses.length;
  const greatest = theta * step * (theta > 0 ? first + size - 1 : first);
  let sum = 0;
  for (let i = 0; i < size; i++) sum += (masses[i] as number) * Math.exp(theta * (first + i) * step - greatest);
  return greatest + theta * offset + Math.log(sum);
}

/** Adds the tilted law into a window of n points, folded around. @returns log M(θ) */
function foldTilted(law: LossGrid, theta: number, into: Float64Array): number {
  const { step, offset, first, masses } = law;
  const n = into.length;
  const logMoment = logMomentOf(law, theta);
  let place = ((first % n) + n) % n;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] as number;
    if (mass > 0)
      into[place] = (into[place] as number) + mass * Math.exp(theta * ((first + i) * step + offset) - logMoment);
    place = place + 1 === n ? 0 : place + 1;
  }
  return logMoment;
}

/** The tilted law of all steps in a window, and by how much any of its masses may be off. */
export interface Composed {
  readonly masses: Float64Array;
  /** Σ steps·log M(θ). */
  readonly logMoment: number;
  readonly error: number;
}

/** What one of the two signals of a packed transform has come to, a value for each pair of frequencies ±k. */
interface Spectrum {
  readonly logSize: Float64Array;
  readonly angle: Float64Array;
  /** log of the product of (|z| + e)^steps. */
  readonly logLimit: Float64Array;
  /** Σ steps·(relative error). */
  readonly relative: Float64Array;
}

/** Below this logarithm a frequency's part of the composed law is nothing but an error, and is counted as one. */
const negligible = -90;

function emptySpectrum(n: number): Spectrum {
  const array = (): Float64Array => new Float64Array(n);
  return { logSize: array(), angle: array(), logLimit: array(), relative: array() };
}

function multiply(spectrum: Spectrum, at: number, re: number, im: number, steps: number, error: number): void {
  const size = Math.sqrt(re * re + im * im);
  const { logSize, angle, logLimit, relative } = spectrum;
  logSize[at] = (logSize[at] as number) + steps * Math.log(size);
  const limit = (logLimit[at] as number) + steps * Math.log(size + error);
  logLimit[at] = limit;
  if (limit < negligible) return;
  angle[at] = (angle[at] as number) + steps * Math.atan2(im, re);
  relative[at] = (relative[at] as number) + (steps * (error + 16 * UNIT_ROUNDOFF * size)) / (size + error);
}

/** One bound's law: what is composed, tilted and read. */
export interface Signal {
  readonly side: 'upper' | 'lower';
  readonly parts: readonly Part[];
  readonly plan: Plan;
}

/** A point of a signal that is transformed by itself. */
interface Lump {
  readonly place: number;
  readonly mass: number;
}

/** How many points of a signal are transformed by themselves at most. */
const mostLumps = 8;

/**
 * Takes the greatest masses out of a signal. At a small rate nearly all of a step's loss is one lump around 0; transformed exactly, it adds
 * nothing to the transform's error, which grows with the norm of the rest.
 */
function takeLumps(signal: Float64Array): readonly Lump[] {
  const lumps: Lump[] = [];
  while (lumps.length < mostLumps) {
    let place = 0;
    for (let k = 1; k < signal.length; k++) if ((signal[k] as number) > (signal[place] as number)) place = k;
    const mass = signal[place] as number;
    if (mass < 0.005) break;
    lumps.push({ place, mass });
    signal[place] = 0;
  }
  return lumps;
}

/**
 * Adds the lumps' part of the transform, mass·(cos + i·sin), to a spectrum whose indices stand for `frequencies`.
 * @param sign of the sine; −1 with the parts exchanged for a signal that is the imaginary part, since i·(cos + i·sin) = −sin + i·cos
 */
function addLumps(
  lumps: readonly Lump[],
  frequencies: Uint32Array,
  roots: Roots,
  cosines: Float64Array,
  sines: Float64Array,
  sign: 1 | -1,
): void {
  const n = frequencies.length;
  const half = n / 2;
  const { cos, sin } = roots;
  for (const { place, mass } of lumps) {
    for (let k = 0; k < n; k++) {
      // The product modulo n, which divides 2^32; the root of that power stands where its bits are reversed, beyond half with another sign.
      const power = Math.imul(frequencies[k] as number, place) & (n - 1);
      const at = (frequencies[power & (half - 1)] as number) >> 1;
      const part = power < half ? mass : -mass;
      cosines[k] = (cosines[k] as number) + part * (cos[at] as number);
      sines[k] = (sines[k] as number) + sign * part * (sin[at] as number);
    }
  }
}

/**
 * Composes two laws at once, as the real and the imaginary part of one signal. Both have the same phases.
 * @param n the window's points, a power of two
 */
export function compose(first: Signal, second: Signal, n: number, roots: Roots): readonly [Composed, Composed] {
  const transformed = transformError(n);
  const spectra = [emptySpectrum(n), emptySpectrum(n)] as const;
  const logMoments: [number, number] = [0, 0];
  const frequencies = frequencyOrder(n);
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  first.parts.forEach(({ steps, law }, index) => {
    re.fill(0);
    im.fill(0);
    logMoments[0] += steps * foldTilted(law, first.plan.tilt, re);
    logMoments[1] += steps * foldTilted((second.parts[index] as Part).law, second.plan.tilt, im);
    const lumps = [takeLumps(re), takeLumps(im)] as const;
    let squares = 0;
    for (let k = 0; k < n; k++) squares += (re[k] as number) ** 2 + (im[k] as number) ** 2;
    // Lumps are of size 1 at most and computed to some units; of those of one signal, so much is left in the other.
    const error = transformed * Math.sqrt(n * squares) + 16 * UNIT_ROUNDOFF;
    transform(re, im, roots);
    addLumps(lumps[0], frequencies, roots, re, im, 1);
    addLumps(lumps[1], frequencies, roots, im, re, -1);
    for (let k = 0; k < n; k++) {
      const m = mirrored(k);
      if (m < k) continue;
      const ar = re[k] as number;
      const ai = im[k] as number;
      const br = re[m] as number;
      const bi = im[m] as number;
      multiply(spectra[0], k, (ar + br) / 2, (ai - bi) / 2, steps, error);
      multiply(spectra[1], k, (ai + bi) / 2, (br - ar) / 2, steps, error);
    }
  });
  const errors: [number, number] = [0, 0];
  let squares = 0;
  for (let k = 0; k < n; k++) {
    const m = mirrored(k);
    if (m < k) continue;
    const weight = m === k ? 1 : 2;
    const power = (which: 0 | 1): readonly [number, number] => {
      const { logSize, angle, logLimit, relative } = spectra[which];
      const limit = logLimit[k] as number;
      if (limit < negligible) {
        errors[which] += weight * Math.exp(limit);
        return [0, 0];
      }
      errors[which] += weight * Math.exp(limit) * ((relative[k] as number) + 16 * UNIT_ROUNDOFF);
      const size = Math.exp(logSize[k] as number);
      squares += weight * size * size;
      return [size * Math.cos(angle[k] as number), size * Math.sin(angle[k] as number)];
    };
    const [ar, ai] = power(0);
    const [br, bi] = power(1);
    re[k] = ar - bi;
    im[k] = ai + br;
    if (m !== k) {
      re[m] = ar + bi;
      im[m] = br - ai;
    }
  }
  inverseTransform(re, im, roots);
  for (let k = 0; k < n; k++) {
    re[k] = (re[k] as number) / n;
    im[k] = (im[k] as number) / n;
  }
  // A little more than the sums come to, which are themselves rounded.
  const back = transformed * Math.sqrt(squares / n);
  const result = (which: 0 | 1, masses: Float64Array): Composed => ({
    masses,
    logMoment: logMoments[which],
    error: 1.001 * (errors[which] / n + back),
  });
  return [result(0, re), result(1, im)];
}
