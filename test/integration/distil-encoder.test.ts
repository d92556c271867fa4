import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEncoder } from '../../src/engine/encoder-checkpoint.ts';
import { makeTinyEncoder, tinySentences, tinyVocabulary } from '../support/tiny-encoder.ts';

const scripts = join(import.meta.dirname, '..', '..', 'scripts', 'corpus');

let scratch: string;
let teacher: Awaited<ReturnType<typeof makeTinyEncoder>>;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'distil-'));
  teacher = await makeTinyEncoder();
});

afterAll(async () => {
  await teacher.remove();
  await rm(scratch, { recursive: true });
});

function sentences(count: number, seed: number): string {
  return tinySentences(count, seed)
    .split('\n')
    .slice(1)
    .map((row) => row.split('\t')[0] ?? '')
    .join('\n');
}

it('learns what the teacher says of sentences, and goes on predicting words', async () => {
  const corpus = join(scratch, 'corpus');
  await mkdir(corpus);
  await writeFile(join(corpus, 'train.txt'), sentences(3200, 0));
  await writeFile(join(corpus, 'heldout.txt'), sentences(100, 1));
  const [student, output] = [join(scratch, 'student'), join(scratch, 'output')];
  const run = promisify(execFile);
  await run(process.execPath, [
    join(scripts, 'prune-encoder.ts'),
    ...[teacher.folder, join(corpus, 'train.txt'), student],
    ...['--layers', '1', '--intermediate', '16', '--vocabulary', String(tinyVocabulary.length), '--positions', '40'],
  ]);
  const { stdout } = await run(process.execPath, [
    join(scripts, 'distil-encoder.ts'),
    ...[student, teacher.folder, corpus, output, '--sentences', '3200', '--batch', '16', '--rate', '3e-3'],
  ]);
  const rows = [
    ...stdout.matchAll(/^step (\d+): .* words ([\d.]+), .* mean token ([\d.-]+), of the first ([\d.-]+)$/gmu),
  ];
  const [begun, ended] = [rows[0], rows.at(-1)].map((row) => row?.slice(1).map(Number));
  expect([begun?.[0], ended?.[0]]).toEqual([0, 200]);
  const [, wordsBefore = NaN, meanBefore = NaN, firstBefore = NaN] = begun ?? [];
  const [, wordsAfter = NaN, meanAfter = NaN, firstAfter = NaN] = ended ?? [];
  expect(wordsAfter).toBeLessThan(wordsBefore - 0.5);
  expect(meanAfter).toBeGreaterThan(Math.max(0.9, meanBefore));
  expect(firstAfter).toBeGreaterThan(Math.max(0.8, firstBefore));
  expect((await openEncoder(output)).hasWordHead).toBe(true);
});
