import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PrivacyAudit } from '../../../src/runs/audit.ts';
import { privateKeyFile, privateRecordFile } from '../../../src/runs/private-training.ts';
import { makeBench, type Bench } from '../../support/cli.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(async () => {
  for (const id of bench.ids()) await bench.run('stop', '--force', id);
  bench.remove();
});

function folderOf(index: number): string {
  const id = bench.ids()[index];
  if (id === undefined) throw new Error('the run is missing');
  return bench.runFolder(id);
}

async function audit(index: number): Promise<PrivacyAudit> {
  const id = bench.ids()[index] ?? '';
  const { out, code } = await bench.run('audit', id, '--json');
  const found = JSON.parse(out) as PrivacyAudit;
  expect(code).toBe(found.verdict === 'holds' ? 0 : 1);
  return found;
}

const training = { epochs: 4, steps: undefined, evaluateEvery: 'epoch', checkpointEvery: 10, dropout: 0.1 };

describe('a private run', () => {
  test('ends within its target, tells nothing that epsilon does not cover, and passes its audit', async () => {
    const file = bench.configure('a', { training, privacy: { epsilon: 4 } });
    const { code, out } = await bench.run('run', file, '--json');
    expect({ code, out }).toMatchObject({ code: 0 });
    const [id = ''] = bench.ids();
    const folder = folderOf(0);
    // No copy of the texts is made, in the project or elsewhere.
    expect(existsSync(join(bench.folder, '.peft', 'cache'))).toBe(false);
    const steps = bench.events(id).filter((event) => event.type === 'step');
    expect(steps.every(({ loss }) => loss === null)).toBe(true);
    const { epsilon, verdict } = await audit(0);
    expect(verdict).toBe('holds');
    expect(epsilon?.computed).toBeLessThanOrEqual(4);
    expect(epsilon?.computed).toBeGreaterThan(3.9);
    expect(existsSync(privateKeyFile(folder))).toBe(false);
    const records = readFileSync(privateRecordFile(folder), 'utf8').trim().split('\n');
    expect(records).toHaveLength(steps.length);
    const listed = JSON.parse((await bench.run('ls', '--json')).out) as { runs: { epsilon: number; score: number }[] };
    expect(listed.runs[0]?.epsilon).toBe(epsilon?.computed);
    expect(listed.runs[0]?.score).toBeGreaterThanOrEqual(0);
    const shown = (await bench.run('show', id)).out;
    expect(shown).toContain('epsilon does not cover these scores');
    expect(shown).toMatch(/\nepsilon +3\.9\d+\n/);
    expect(shown).toMatch(/\nscore +0\.\d+ at the last evaluation\n/);
  });

  test('killed and resumed with its key, repeats its noise and ends in the numbers of an unbroken one', async () => {
    const long = { ...training, epochs: 40, checkpointEvery: 60 };
    const file = bench.configure('a', { training: long, privacy: { noiseMultiplier: 1, insecureSeed: 5 } });
    expect((await bench.run('run', file)).code).toBe(0);
    const life = bench.start('run', file);
    const { id } = await bench.wait(1, (event) => event.type === 'step' && event.step >= 100);
    const started = bench.events(id).findLast((event) => event.type === 'started');
    process.kill(started?.processId ?? 0, 'SIGKILL');
    expect((await life.ended).code).toBe(1);
    expect((await bench.run('resume', id.slice(-6))).code).toBe(0);
    expect(bench.numbers(id)).toEqual(bench.numbers(bench.ids()[0] ?? ''));
    // A seed that is known hides nothing.
    expect(await audit(1)).toMatchObject({ verdict: 'fails', steps: { repeated: 0 } });
  });

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['neither a target nor noise', { privacy: { delta: 1e-5 } }, 'needs epsilon or noiseMultiplier'],
    ['both', { privacy: { epsilon: 1, noiseMultiplier: 1 } }, 'exclude one another'],
    ['fixed batches', { privacy: { epsilon: 1, sampling: 'shuffle' } }, 'privacy.sampling'],
    [
      'a stop by evaluations',
      { privacy: { epsilon: 1 }, training: { earlyStopping: { patience: 1 } } },
      'may not stop',
    ],
  ])('is refused with %s, before anything is trained', async (_, settings, message) => {
    const { code, err } = await bench.run('run', bench.configure('a', settings));
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(bench.ids()).toEqual([]);
  });
});
