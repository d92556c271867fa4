/**
 * Auditing by one run (Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", theorem 5.2): every canary was in the
 * data or not by a fair coin of its own, and an adversary guesses some of the coins. Of an (ε, δ)-private training no adversary has more right
 * than a binomial law of e^ε/(1 + e^ε) allows, so that many right guesses speak against a small ε.
 */
export interface Guesses {
  /** Canaries in all. */
  readonly canaries: number;
  /** Those whose coin was guessed; chosen before the result was known. */
  readonly guessed: number;
  readonly right: number;
}

/** log n! for n from 0 to `most`. */
function logFactorials(most: number): Float64Array {
  const logs = new Float64Array(most + 1);
  for (let n = 1; n <= most; n++) logs[n] = (logs[n - 1] ?? 0) + Math.log(n);
  return logs;
}

/** The probability of `right` or more right guesses, at most, if the training were (ε, δ)-private. */
export function chanceOfGuesses({ canaries, guessed, right }: Guesses, epsilon: number, delta: number): number {
  const logs = logFactorials(guessed);
  const rate = 1 / (1 + Math.exp(-epsilon));
  const mass = (k: number): number =>
    Math.exp(
      (logs[guessed] ?? 0) -
        (logs[k] ?? 0) -
        (logs[guessed - k] ?? 0) +
        k * Math.log(rate) +
        (guessed - k) * Math.log1p(-rate),
    );
  let tail = 0;
  for (let k = guessed; k >= right; k--) tail += mass(k);
  // What delta allows beside: the most that a shift of the binomial law by i guesses brings, at the price of i failures.
  let below = 0;
  let worst = 0;
  for (let i = 1; i <= right; i++) {
    below += mass(right - i);
    worst = Math.max(worst, below / i);
  }
  return Math.min(1, tail + 2 * canaries * delta * worst);
}

/** The ε that the training had at least, with that confidence; 0 where the guesses prove nothing. */
export function epsilonAtLeast(guesses: Guesses, delta: number, confidence: number): number {
  const refuted = (epsilon: number): boolean => chanceOfGuesses(guesses, epsilon, delta) < 1 - confidence;
  if (!refuted(0)) return 0;
  let [low, high] = [0, 50];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (refuted(middle)) low = middle;
    else high = middle;
  }
  return low;
}
