export interface Throughput {
  readonly examplesPerSecond: number;
  readonly tokensPerSecond: number;
  readonly millisecondsPerStep: number;
}

interface Measured {
  readonly examples: number;
  readonly tokens: number;
  readonly milliseconds: number;
}

/** Rates over the last steps, so that they follow the machine. */
export function createThroughputMeter(window = 20): (step: Measured) => Throughput {
  const recent: Measured[] = [];
  return (step) => {
    recent.push(step);
    if (recent.length > window) recent.shift();
    const total = (pick: (entry: Measured) => number): number => recent.reduce((sum, entry) => sum + pick(entry), 0);
    const milliseconds = Math.max(
      total((entry) => entry.milliseconds),
      1e-3,
    );
    return {
      examplesPerSecond: (1000 * total((entry) => entry.examples)) / milliseconds,
      tokensPerSecond: (1000 * total((entry) => entry.tokens)) / milliseconds,
      millisecondsPerStep: milliseconds / recent.length,
    };
  };
}
