import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import {
  openPrivateTraining,
  privateKeyFile,
  privateRecordFile,
  type PrivateTraining,
} from '../../../src/runs/private-training.ts';
import type { JournalEvent } from '../../../src/runs/events.ts';
import { started } from '../store/workspace.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'private-training-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const settings = {
  epsilon: 3,
  maxGradNorm: 0.1,
  clipping: 'flat',
  accountant: 'tightest',
  sampling: 'poisson',
  publicEvaluation: false,
} as const;
const training = { batchSize: 32, accumulation: 4, length: { kind: 'epochs', epochs: 5 } } as const;
const EXAMPLES = 4000;

function open(
  before: readonly JournalEvent[] = [],
  fromStep = 1,
  changed = {},
  trainingData: readonly string[] = [],
  arithmetic: string | null = 'a processor, 2 threads',
  computation?: string,
): PrivateTraining {
  return openPrivateTraining(folder, { ...settings, ...changed }, training, {
    examples: EXAMPLES,
    trainingData,
    before,
    fromStep,
    arithmetic: arithmetic ?? undefined,
    computation,
  });
}

/** The journal of a segment that opened with this ledger and took the steps from one to another. */
function after(ledger: PrivateTraining['ledger'], last: number, first = 1, segment = 0): readonly JournalEvent[] {
  const stamp = { segment, time: 0 };
  const step = (number: number): JournalEvent => ({
    ...stamp,
    seq: number,
    type: 'step',
    step: number,
    epoch: 0,
    loss: null,
    learningRate: 1e-3,
    gradientNorm: 1,
    examplesPerSecond: 1,
    tokensPerSecond: 0,
  });
  const steps = Array.from({ length: last - first + 1 }, (_, index) => step(first + index));
  return [{ ...stamp, seq: 0, ...ledger }, { ...stamp, seq: 1, ...started(first) }, ...steps];
}

describe('a private training', () => {
  it('is calibrated: the planned steps cost at most the target, and less noise would cost more', () => {
    const { ledger, mechanism } = open();
    expect(ledger).toMatchObject({ samplingRate: 0.032, expectedBatchSize: 128, plannedSteps: 155, targetEpsilon: 3 });
    expect(ledger.delta).toBe(1 / 8000);
    expect(ledger.version).toMatch(/^\d+\.\d+\.\d+/);
    const spent = mechanism.spent(ledger.plannedSteps).epsilon;
    expect(spent).toBeLessThanOrEqual(3);
    expect(spent).toBeGreaterThan(2.98);
    const less = { samplingRate: 0.032, noiseMultiplier: ledger.noiseMultiplier * 0.99, steps: 155 };
    expect(privacySpent([less], ledger.delta).epsilon).toBeGreaterThan(3);
  });

  it('keeps its key where only the user can read it, and removes it at the end', () => {
    const opened = open();
    const file = privateKeyFile(folder);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o700);
    expect(readFileSync(file)).toHaveLength(32);
    expect(JSON.stringify(opened.ledger)).not.toContain(readFileSync(file).toString('hex').slice(0, 16));
    opened.finish();
    expect(existsSync(file)).toBe(false);
  });

  it('opened again with its key, repeats the same draws and noise, and nothing counts twice', () => {
    const first = open();
    const again = open(after(first.ledger, 20), 11);
    expect(again.mechanism.draw(15)).toEqual(first.mechanism.draw(15));
    const sum = Float64Array.of(1, 2, 3);
    expect(again.mechanism.addNoise(sum, 15, 'z', 0.1)).toEqual(first.mechanism.addNoise(sum, 15, 'z', 0.1));
    expect(again.ledger).toEqual(first.ledger);
  });

  it('whose key was lost takes new draws and counts what it computes again', () => {
    const first = open();
    rmSync(privateKeyFile(folder));
    const again = open(after(first.ledger, 20), 11);
    expect(again.mechanism.draw(15)).not.toEqual(first.mechanism.draw(15));
    expect(again.ledger.repeatedSteps).toBe(10);
    expect(again.ledger.noiseMultiplier).toBe(first.ledger.noiseMultiplier);
    expect(again.warnings.join()).toContain('count twice');
    const { samplingRate, noiseMultiplier, delta } = first.ledger;
    expect(again.mechanism.spent(155).epsilon).toBe(
      privacySpent([{ samplingRate, noiseMultiplier, steps: 165 }], delta).epsilon,
    );
    rmSync(privateKeyFile(folder));
    // The first key's 1 to 20, the second's 11 to 30: a third that goes on at 21 has 20 releases more behind it than its steps say.
    const both = [...after(first.ledger, 20), ...after(again.ledger, 30, 11, 1)];
    expect(open(both, 21).ledger.repeatedSteps).toBe(20);
  });

  it.each([
    ['other threads', 'a processor, 2 threads', 'a processor, 1 thread'],
    ['a GPU, whose sums differ each time', null, null],
    ['a GPU in place of the processor', 'a processor, 2 threads', null],
  ])('continued with %s takes new noise and counts what it computes again', (_, before, now) => {
    const first = open([], 1, {}, [], before);
    const again = open(after(first.ledger, 20), 11, {}, [], now);
    expect(again.ledger.keyId).not.toBe(first.ledger.keyId);
    expect(again.ledger.repeatedSteps).toBe(10);
    expect(again.warnings.join()).toContain('count twice');
  });

  it.each([
    ['another configuration or model', 'one', 'two'],
    ['a record that does not tell from what it computed', undefined, 'two'],
  ])('continued with %s takes new noise and counts what it computes again', (_, before, now) => {
    const first = open([], 1, {}, [], undefined, before);
    const again = open(after(first.ledger, 20), 11, {}, [], undefined, now);
    expect(again.ledger.keyId).not.toBe(first.ledger.keyId);
    expect(again.ledger.repeatedSteps).toBe(10);
    expect(open(after(again.ledger, 20), 11, {}, [], undefined, now).ledger.repeatedSteps).toBe(0);
  });

  it.each([
    ['privacy.epsilon', { epsilon: 8 }],
    ['privacy.noiseMultiplier', { epsilon: undefined, noiseMultiplier: 2 }],
    ['privacy.delta', { delta: 1e-6 }],
    ['privacy.maxGradNorm', { maxGradNorm: 1 }],
    ['privacy.clipping', { clipping: 'automatic' }],
    ['privacy.accountant', { accountant: 'rdp' }],
    ['privacy.publicEvaluation', { publicEvaluation: true }],
    ['privacy.insecureSeed', { insecureSeed: 3 }],
  ])('refuses to go on where %s was changed', (name, changed) => {
    const { ledger } = open();
    expect(() => open(after(ledger, 20), 11, changed)).toThrow(name);
  });

  it.each([
    ['the number of training examples', { examples: 5000 }, training],
    ['training.batchSize times accumulation', {}, { ...training, accumulation: 2 }],
    ['the number of steps', {}, { ...training, length: { kind: 'epochs', epochs: 50 } as const }],
  ])('refuses to go on where %s was changed', (name, changed, lengths) => {
    const { ledger } = open();
    const start = { examples: EXAMPLES, trainingData: [], fromStep: 11, arithmetic: undefined, ...changed };
    const goOn = () => openPrivateTraining(folder, settings, lengths, { ...start, before: after(ledger, 20) });
    expect(goOn).toThrow(UserError);
    expect(goOn).toThrow(name);
  });

  it('refuses to go on where the norm adapts in another way', () => {
    const adaptive = { quantile: 0.5, rate: 0.2 };
    const { ledger } = open([], 1, { clipping: 'adaptive', adaptive });
    const goOn = (changed: object) => open(after(ledger, 20), 11, { clipping: 'adaptive', ...changed });
    expect(goOn({}).ledger.adaptive).toEqual(ledger.adaptive);
    expect(() => goOn({ adaptive: { ...adaptive, quantile: 0.9 } })).toThrow('privacy.adaptive');
  });

  it('whose passes were cut into other parts on the way is not repeated with the same noise', () => {
    const first = open();
    first.mechanism.onUnrepeatable?.();
    expect(open(after(first.ledger, 20), 11).ledger.repeatedSteps).toBe(10);
  });

  it('whose key was lost after a resumed part that came less far counts all that was released before', () => {
    const first = open();
    // Steps 1 to 100, then 61 to 70 again under the same key, then the key is gone.
    const before = [...after(first.ledger, 100), ...after(first.ledger, 70, 61, 1)];
    rmSync(privateKeyFile(folder));
    expect(open(before, 61).ledger.repeatedSteps).toBe(40);
  });

  it('refuses to go on with other data, where it can tell', () => {
    const { ledger } = open([], 1, {}, ['k:1']);
    expect(open(after(ledger, 20), 11, {}, ['k:1']).ledger.trainingData).toEqual(['k:1']);
    expect(() => open(after(ledger, 20), 11, {}, ['k:2'])).toThrow('not those that this run began with');
    expect(open(after(ledger, 20), 11, {}, ['other:2']).ledger.trainingData).toEqual(['other:2']);
  });

  it.each<[string, (whole: readonly JournalEvent[]) => readonly JournalEvent[]]>([
    ['is gone', () => []],
    ['is cut before its checkpoint', (whole) => whole.slice(0, 6)],
    ['has lost its ledger', (whole) => whole.slice(1)],
  ])('refuses to go on where the journal %s', (_, damage) => {
    const whole = after(open().ledger, 20);
    expect(() => open(damage(whole), 21)).toThrow(/the journal of this run .*epsilon would mean nothing/);
    expect(open(whole, 21).ledger.repeatedSteps).toBe(0);
  });

  it('refuses to begin again where its own record tells of steps and the journal of no ledger', () => {
    const first = open();
    first.record({ step: 1, drawn: 9, loss: 0.5, gradientNorm: 1, clipped: 0, nonFinite: 0 });
    expect(() => open([], 1)).toThrow('has lost the ledger');
    expect(open(after(first.ledger, 1), 1).ledger.keyId).toBe(first.ledger.keyId);
  });

  it('with a damaged key says what to do, and loses nothing', () => {
    open();
    writeFileSync(privateKeyFile(folder), 'short');
    expect(() => open()).toThrow(FileError);
    expect(readFileSync(privateKeyFile(folder), 'utf8')).toBe('short');
  });

  it('whose norm adapts pays for the count out of the same budget, and follows the norms', () => {
    const { ledger, mechanism } = open([], 1, { clipping: 'adaptive', insecureSeed: 1 });
    expect(ledger).toMatchObject({ clipping: 'adaptive', adaptive: { quantile: 0.5, rate: 0.2, countDeviation: 6.4 } });
    expect(ledger.noiseMultiplier).toBe(open([], 1, { insecureSeed: 1 }).ledger.noiseMultiplier);
    const { gradientNoiseMultiplier = NaN, countDeviation = NaN } = ledger.adaptive ?? {};
    expect(gradientNoiseMultiplier ** -2 + (2 * countDeviation) ** -2).toBeCloseTo(ledger.noiseMultiplier ** -2, 12);
    const zeros = new Float64Array(20_000);
    for (const norm of [0.1, 7]) {
      const noisy = mechanism.addNoise(zeros, 3, 'z', norm);
      const deviation = Math.sqrt(noisy.reduce((sum, x) => sum + x * x, 0) / noisy.length);
      expect(deviation / (gradientNoiseMultiplier * norm)).toBeGreaterThan(0.97);
      expect(deviation / (gradientNoiseMultiplier * norm)).toBeLessThan(1.03);
    }
    // All 128 that are expected beyond the norm, or all within it: more than any noise on their number.
    expect(mechanism.adapt?.(1, -64, 5)).toBeGreaterThan(1.05);
    expect(mechanism.adapt?.(1, 64, 5)).toBeLessThan(0.95);
    expect(mechanism.adapt?.(1, 3, 5)).toBe(mechanism.adapt?.(1, 3, 5));
    const changes = Array.from({ length: 500 }, (_, step) => Math.log(mechanism.adapt?.(1, 0, step) ?? NaN));
    const spread = Math.sqrt(changes.reduce((sum, x) => sum + x * x, 0) / 500);
    expect(spread / ((0.2 * countDeviation) / 128)).toBeGreaterThan(0.85);
    expect(spread / ((0.2 * countDeviation) / 128)).toBeLessThan(1.15);
  });

  it('refuses a count that alone would cost more than the budget', () => {
    const changed = { clipping: 'adaptive', adaptive: { quantile: 0.5, rate: 0.2, countNoise: 0.1 } };
    expect(() => open([], 1, changed)).toThrow(UserError);
  });

  it('keeps what epsilon does not cover in a file of its own', () => {
    const { record } = open();
    record({ step: 1, drawn: 120, loss: 0.7, gradientNorm: 4, clipped: 1, nonFinite: 0 });
    record({ step: 2, drawn: 0, loss: NaN, gradientNorm: NaN, clipped: NaN, nonFinite: 0 });
    const lines = readFileSync(privateRecordFile(folder), 'utf8').trim().split('\n');
    // A copy of the folder may leave the folder's own permissions behind.
    if (process.platform !== 'win32') expect(statSync(privateRecordFile(folder)).mode & 0o777).toBe(0o600);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { step: 1, drawn: 120, loss: 0.7, gradientNorm: 4, clipped: 1, nonFinite: 0 },
      { step: 2, drawn: 0, loss: null, gradientNorm: null, clipped: null, nonFinite: 0 },
    ]);
  });

  it('refuses a batch larger than the data', () => {
    const start = { examples: 100, trainingData: [], before: [], fromStep: 1, arithmetic: undefined };
    expect(() => openPrivateTraining(folder, settings, training, start)).toThrow(UserError);
  });

  it('warns of a delta that publishing a record would satisfy, and of a known seed', () => {
    expect(open([], 1, { delta: 1e-3 }).warnings.join()).toContain('1 / 4000');
    expect(open().warnings).toEqual([]);
    const seeded = open([], 1, { insecureSeed: 1 });
    expect(seeded.ledger.insecure).toBe(true);
    expect(seeded.warnings.join()).toContain('not private');
    expect(seeded.mechanism.draw(1)).toEqual(open([], 1, { insecureSeed: 1 }).mechanism.draw(1));
  });
});
