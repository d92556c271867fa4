import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { composedEpsilon } from '../../../src/privacy/prv.ts';
import { rdpEpsilon } from '../../../src/privacy/rdp.ts';

const phases = z.array(z.strictObject({ samplingRate: z.number(), noiseMultiplier: z.number(), steps: z.number() }));
const { values, enclosed } = z
  .strictObject({
    values: z.array(z.strictObject({ phases, delta: z.number(), epsilon: z.number(), check: z.number() })),
    enclosed: z.array(z.strictObject({ phases, delta: z.number(), low: z.number(), high: z.number() })),
  })
  .parse(JSON.parse(readFileSync(new URL('../../fixtures/privacy/references.json', import.meta.url), 'utf8')));

function named(row: { readonly phases: z.infer<typeof phases>; readonly delta: number }): string {
  const steps = row.phases.map((phase) => `${phase.samplingRate} ${phase.noiseMultiplier} ${phase.steps}`);
  return `${steps.join(' + ')}, δ ${row.delta}`;
}

describe('every reference value lies between the bounds, and the bounds are close', () => {
  test.each(values.map((row) => [named(row), row] as const))('%s', (_, row) => {
    // What the reference itself may be off by; its own check is that of one contour against another.
    const [least, most] = [row.epsilon * (1 - 1e-9 - 3 * row.check), row.epsilon * (1 + 1e-9 + 3 * row.check)];
    const { epsilon, lower, upper, rdp } = privacySpent(row.phases, row.delta);
    expect(lower).toBeLessThanOrEqual(most);
    expect(upper).toBeGreaterThanOrEqual(least);
    expect(epsilon).toBe(upper);
    expect(upper - row.epsilon).toBeLessThanOrEqual(0.01 * row.epsilon);
    expect(row.epsilon - lower).toBeLessThanOrEqual(0.01 * row.epsilon);
    expect(rdp?.epsilon ?? 0).toBeGreaterThanOrEqual(least);
  });

  test('also for single steps on the grid, which have a closed form beside it', () => {
    const single = values.filter(({ phases: [phase] }) => phase?.steps === 1);
    expect(single.length).toBeGreaterThan(5);
    for (const row of single) {
      const { lower, upper } = composedEpsilon(row.phases, row.delta);
      expect(lower).toBeLessThanOrEqual(row.epsilon * (1 + 1e-9));
      expect(upper).toBeGreaterThanOrEqual(row.epsilon * (1 - 1e-9));
    }
  });
});

describe("Google's optimistic and pessimistic distributions overlap with the bounds", () => {
  test.each(enclosed.map((row) => [named(row), row] as const))('%s', (_, row) => {
    const { lower, upper } = privacySpent(row.phases, row.delta);
    expect(lower).toBeLessThanOrEqual(row.high);
    expect(upper).toBeGreaterThanOrEqual(row.low);
    expect(upper).toBeLessThanOrEqual(1.01 * row.high);
    expect(rdpEpsilon(row.phases, row.delta).epsilon).toBeGreaterThanOrEqual(row.low);
  });
});
