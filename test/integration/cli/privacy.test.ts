import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../../bin/peft-lab.mjs', import.meta.url));

/** Runs the command as it is typed: no word of it holds a blank. */
function privacy(command: string): {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
} {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'privacy', ...command.split(' ')], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

const run = '--sampling-rate 0.01 --noise-multiplier 1 --steps 1000';
const spending = `epsilon ${run} --delta 1e-5`;

describe('peft-lab privacy epsilon', () => {
  test('prints certified bounds in one line of JSON', () => {
    const { code, out, err } = privacy(`${spending} --accountant prv --json`);
    expect([code, err]).toEqual([0, '']);
    const found = JSON.parse(out) as Record<string, number>;
    expect(Object.keys(found).slice(0, 4)).toEqual(['epsilon', 'lower', 'upper', 'accountant']);
    // The value is 1.828244.
    expect(found).toMatchObject({ accountant: 'prv', delta: 1e-5, epsilon: found['upper'] });
    expect(found['lower']).toBeLessThanOrEqual(1.8282445);
    expect(found['upper']).toBeGreaterThanOrEqual(1.8282435);
    expect((found['upper'] ?? 0) - (found['lower'] ?? 0)).toBeLessThan(0.004);
    expect(out.trim().split('\n')).toHaveLength(1);
  });

  test('without an accountant the smaller value is reported and both are kept', () => {
    const found = JSON.parse(privacy(`${spending} --json`).out) as Record<string, unknown>;
    const rdp = JSON.parse(privacy(`${spending} --accountant rdp --json`).out) as Record<string, unknown>;
    expect(found).toMatchObject({ accountant: 'prv', rdp: rdp['rdp'] });
    expect(rdp['epsilon']).toBeGreaterThan(Number(found['epsilon']));
    expect(rdp['epsilon']).toBeLessThanOrEqual(2.10139);
  });

  test('batch size, examples and epochs stand for rate, steps and delta', () => {
    const derived = JSON.parse(
      privacy('epsilon --batch-size 1000 --examples 67349 --epochs 3 --noise-multiplier 0.7 --json').out,
    ) as Record<string, unknown>;
    expect(derived).toMatchObject({
      delta: 1 / (2 * 67_349),
      phases: [{ samplingRate: 1000 / 67_349, noiseMultiplier: 0.7, steps: 201 }],
    });
  });

  test('what was spent before is composed', () => {
    const alone = JSON.parse(privacy(`${spending} --json`).out) as Record<string, unknown>;
    const after = JSON.parse(privacy(`${spending} --spent 0.1,2,20 --spent 1,30,5 --json`).out) as Record<
      string,
      unknown
    >;
    expect(after['lower']).toBeGreaterThan(Number(alone['upper']));
    expect(after['phases']).toHaveLength(3);
  });

  test('for people it says what the guarantee assumes, and warns of a weak delta', () => {
    const { code, out, err } = privacy(`epsilon ${run} --delta 1e-4 --examples 60000`);
    expect(code).toBe(0);
    expect(out).toMatch(/^epsilon \d\.\d+\n/);
    expect(out).toContain('added or removed');
    expect(out).toContain('Poisson');
    expect(out).toMatch(/delta +0\.0001, for 60,000 examples/);
    expect(err).toContain('delta 0.0001 is above 1/60000');
  });
});

describe('peft-lab privacy calibrate', () => {
  test('prints a noise multiplier whose epsilon, asked for anew, is within the goal', () => {
    const asked = '--sampling-rate 0.01649036 --steps 1092 --delta 1e-5';
    const { code, out } = privacy(`calibrate --epsilon 3 ${asked} --json`);
    expect(code).toBe(0);
    const { noiseMultiplier, epsilon } = JSON.parse(out) as { noiseMultiplier: number; epsilon: number };
    // dp_accounting finds 1.04914 by privacy loss distributions.
    expect(noiseMultiplier).toBeGreaterThan(1.0489);
    expect(noiseMultiplier).toBeLessThan(1.0505);
    const again = JSON.parse(privacy(`epsilon ${asked} --noise-multiplier ${noiseMultiplier} --json`).out) as {
      epsilon: number;
    };
    expect(again.epsilon).toBe(epsilon);
    expect(epsilon).toBeLessThanOrEqual(3);
    expect(epsilon).toBeGreaterThan(2.995);
  });

  test('for people too', () => {
    const { code, out } = privacy('calibrate --epsilon 1 --sampling-rate 0.01 --steps 1 --delta 1e-5');
    expect(code).toBe(0);
    expect(out).toMatch(/^noise multiplier 0\.673\d*\n/);
    expect(out).toContain('at most 1');
  });
});

describe('wrong input ends with 2 and names the option', () => {
  test.each<[says: RegExp, command: string]>([
    [/--sampling-rate.*above 0 and at most 1/, 'epsilon --sampling-rate 2 --noise-multiplier 1 --steps 1 --delta 1e-5'],
    [/--sampling-rate.*above 0/, 'epsilon --sampling-rate often --noise-multiplier 1 --steps 1 --delta 1e-5'],
    [/--noise-multiplier.*above 0/, 'epsilon --sampling-rate 0.1 --noise-multiplier 0 --steps 1 --delta 1e-5'],
    [/--noise-multiplier/, 'epsilon --sampling-rate 0.1 --steps 1 --delta 1e-5'],
    [/--steps.*whole number/, `${spending} --steps 1.5`],
    [/--steps and --epochs/, 'epsilon --sampling-rate 0.1 --noise-multiplier 1 --delta 1e-5'],
    [/only one of --steps and --epochs/, `${spending} --epochs 2`],
    [/only one of --sampling-rate and --batch-size/, `${spending} --batch-size 10 --examples 100`],
    [/--batch-size needs --examples/, 'epsilon --batch-size 10 --noise-multiplier 1 --steps 1 --delta 1e-5'],
    [
      /--batch-size 20 is more than --examples 10/,
      'epsilon --batch-size 20 --examples 10 --noise-multiplier 1 --steps 1',
    ],
    [/--delta.*between 0 and 1/, `${spending} --delta 1`],
    [/--delta is missing/, `epsilon ${run}`],
    [/--accountant.*prv, rdp/, `${spending} --accountant gdp`],
    [/--spent.*RATE,NOISE,STEPS/, `${spending} --spent 0.1,1`],
    [/--epsilon/, 'calibrate --sampling-rate 0.1 --steps 10 --delta 1e-5'],
    [/--epsilon.*above 0/, 'calibrate --epsilon -1 --sampling-rate 0.1 --steps 10 --delta 1e-5'],
    [
      /no noise keeps epsilon within 1/,
      'calibrate --epsilon 1 --sampling-rate 0.1 --steps 10 --delta 1e-5 --spent 0.5,1,100',
    ],
  ])('%s', (says, command) => {
    const { code, out, err } = privacy(command);
    expect(err).toMatch(says);
    expect([code, out]).toEqual([2, '']);
    expect(err).not.toMatch(/^\s+at /m);
  });
});
