import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const programs = join(import.meta.dirname, '..', 'support');
const here = process.platform === 'linux' && spawnSync('prlimit', ['--version'], { stdio: 'ignore' }).status === 0;

describe.skipIf(!here)(`memory that runs out${here ? '' : ' (there is no prlimit to limit it with)'}`, () => {
  it('in the middle of a step splits its batch, and gives what enough memory gives', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(programs, 'limited-memory.ts'), '200']);
    const told = JSON.parse(stdout) as {
      messages: readonly string[];
      toldWithoutLimit: number;
      tooMany: number;
      losses: readonly [number, number];
      norms: readonly [number, number];
    };
    expect(told.messages.length).toBeGreaterThan(0);
    expect(told.messages[0]).toContain('8192 examples of 13 tokens do not fit');
    expect(told.tooMany).toBeLessThanOrEqual(8192 * 13);
    expect(told.toldWithoutLimit).toBe(0);
    expect(told.losses[1]).toBeCloseTo(told.losses[0], 5);
    expect(told.norms[1] / told.norms[0]).toBeCloseTo(1, 4);
  });

  it('before a model is there says that the model is too large', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(programs, 'limited-compile.ts'),
      ...['50', '350', '4000'],
    ]);
    const tooLarge = expect.stringMatching(/^UserError: .*the model does not fit into the memory/) as string;
    expect(stdout.trim().split('\n')).toEqual([tooLarge, tooLarge, 'compiled']);
  });
});
