/** The usual delta for a data set: half a chance in its size. */
export function defaultDelta(examples: number): number {
  return 1 / (2 * examples);
}

/** Whether delta is so large that publishing a few records outright would satisfy it: above one in the size of the data set. */
export function deltaIsWeak(delta: number, examples: number): boolean {
  return delta > 1 / examples;
}
