import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { summarise } from '../../../src/analysis/sample.ts';
import { findMethod } from '../../../src/peft/registry.ts';

const docs = join(import.meta.dirname, '..', '..', '..', 'docs');
const page = readFileSync(join(docs, 'results.md'), 'utf8');

/** What the page calls the methods of its tables. */
const calledOnThePage: Readonly<Record<string, string>> = {
  'full fine-tuning': 'full',
  'head only': 'head',
  'head only (linear, first token)': 'head',
  BitFit: 'bitfit',
  'LoRA, rank 8': 'lora',
  IA3: 'ia3',
  'SLaSh, dimension 1024': 'slash',
  'JR-WARP': 'jr-warp',
  WARP: 'warp',
  PASTA: 'pasta',
  'prompt tuning': 'prompt-tuning',
  'prefix tuning': 'prefix-tuning',
  "Houlsby's adapters": 'adapter-houlsby',
  "Pfeiffer's adapter": 'adapter-pfeiffer',
  "Pfeiffer's adapters": 'adapter-pfeiffer',
  'parallel adapters': 'adapter-parallel',
  'AdapterDrop, two layers without': 'adapter-drop',
  'low-rank adapters': 'adapter-low-rank',
  'PHM adapters': 'adapter-phm',
  Compacter: 'compacter',
  'Compacter++': 'compacter++',
  'intrinsic SAID': 'intrinsic-said',
  UniPELT: 'unipelt',
  'UniPELT with a prompt': 'unipelt-prompt',
  'prefixes and parallel adapters together': 'union',
};

type Cells = Readonly<Record<string, string>>;

/** The rows of the first table below a heading that begins so, by the titles of their columns. */
function tableBelow(heading: string): readonly Cells[] {
  const lines = page.slice(page.indexOf(`\n${heading}`)).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const table = lines.slice(first, lines.indexOf('', first));
  const [titles = [], , ...rows] = table.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return rows.map((row) => Object.fromEntries(titles.map((title, index) => [title, row[index] ?? ''])));
}

interface SingleRun {
  readonly task: string;
  readonly seed: number;
  readonly score: number;
  readonly parameters: number;
  readonly seconds: number;
}

/** The single runs of a page's table by method, and by epsilon where they have one: `slash`, `slash · ε 1`. No cell is quoted. */
function singleRuns(file: string): ReadonlyMap<string, readonly SingleRun[]> {
  const [header = '', ...lines] = readFileSync(join(docs, 'results', file), 'utf8')
    .trim()
    .split(/\r?\n/);
  const titles = header.split(',');
  const runs = new Map<string, SingleRun[]>();
  for (const line of lines) {
    const cells = Object.fromEntries(line.split(',').map((cell, index) => [titles[index] ?? '', cell]));
    const [, row = '', seed] = /^(.*) · seed (\d)$/.exec(cells['row'] ?? '') ?? [];
    const run = {
      task: cells['task'] ?? '',
      seed: Number(seed),
      score: Number(cells['mean']),
      parameters: Number(cells['method_parameters']),
      seconds: Number(cells['train_seconds']),
    };
    runs.set(row, [...(runs.get(row) ?? []), run]);
  }
  return runs;
}

/** Mean and half-width of Student's interval, as the page writes them. */
function asWritten(scores: readonly number[]): string {
  const { mean = NaN, interval } = summarise(scores) ?? {};
  return `${mean.toFixed(3)} ± ${((interval?.high ?? NaN) - mean).toFixed(3)}`;
}

function methodOf(row: Cells): string {
  const method = calledOnThePage[row['method'] ?? ''];
  if (method === undefined) throw new Error(`the page has no method "${row['method'] ?? ''}"`);
  return method;
}

const scoresOf = (runs: readonly SingleRun[]): readonly number[] => runs.map(({ score }) => score);
const fastestOf = (runs: readonly SingleRun[]): string => Math.min(...runs.map(({ seconds }) => seconds)).toFixed(0);
const countOf = (row: Cells): number => Number((row['method parameters'] ?? '').replaceAll(',', ''));

describe('what the results page says follows from its single runs', () => {
  const small = singleRuns('mrpc-stsb.csv');
  const cola = singleRuns('cola.csv');

  it.each(tableBelow('### Every method on MRPC and STS-B').map((row) => [methodOf(row), row] as const))(
    'MRPC and STS-B: %s',
    (method, row) => {
      const [mrpc, stsb] = ['mrpc', 'stsb'].map((task) => (small.get(method) ?? []).filter((run) => run.task === task));
      if (mrpc === undefined || stsb === undefined) throw new Error('two tasks');
      expect([row['MRPC'], row['STS-B']]).toEqual([asWritten(scoresOf(mrpc)), asWritten(scoresOf(stsb))]);
      expect(row['seconds']).toBe(`${fastestOf(mrpc)}, ${fastestOf(stsb)}`);
      expect([...mrpc, ...stsb].map(({ parameters }) => parameters)).toEqual(Array(6).fill(countOf(row)));
    },
  );

  it.each(tableBelow('### Every method on CoLA').map((row) => [methodOf(row), row] as const))(
    'CoLA: %s',
    (method, row) => {
      const runs = (cola.get(method) ?? []).toSorted((a, b) => a.seed - b.seed);
      expect(row['seeds 0, 1, 2']).toBe(
        scoresOf(runs)
          .map((score) => score.toFixed(3).replace(/^-(0\.0+)$/, '$1'))
          .join(', '),
      );
      expect(row['Matthews correlation']).toBe(asWritten(scoresOf(runs)));
      expect(row['seconds of training']).toBe(fastestOf(runs));
      expect(runs.map(({ parameters }) => parameters)).toEqual(Array(3).fill(countOf(row)));
    },
  );

  const sst2 = singleRuns('sst2.csv');
  it.each(tableBelow('### Every method on 8,000 sentences').map((row) => [methodOf(row), row] as const))(
    '8,000 sentences of SST-2: %s',
    (method, row) => {
      const runs = sst2.get(method) ?? [];
      expect(runs.map(({ seed }) => seed).toSorted()).toEqual([0, 1, 2]);
      expect(row['accuracy']).toBe(asWritten(scoresOf(runs)));
      expect(row['seconds of training']).toBe(fastestOf(runs));
      expect(runs.map(({ parameters }) => parameters)).toEqual(Array(3).fill(countOf(row)));
    },
  );

  const allOfSst2 = singleRuns('sst2-all.csv');
  it.each(tableBelow('### SST-2, all 67,349 sentences').map((row) => [methodOf(row), row] as const))(
    'all of SST-2: %s',
    (method, row) => {
      const [run, ...more] = allOfSst2.get(method) ?? [];
      expect(more).toEqual([]);
      expect(row['accuracy']).toBe(run?.score.toFixed(4));
      expect(row['seconds of training']).toBe(run?.seconds.toFixed(0));
      expect(run?.parameters).toBe(countOf(row));
    },
  );

  it.each([
    ['private-sst2.csv', '## SST-2 in private'],
    ['private-stsb.csv', '## STS-B in private'],
  ])('%s', (file, heading) => {
    const runs = singleRuns(file);
    const table = tableBelow(heading).filter((row) => row['method'] !== 'noise multiplier');
    const written = table.map((row) => [row['method'], row['epsilon 1'], row['2'], row['4'], row['8']]);
    const computed = table.map((row) => [
      row['method'],
      ...[1, 2, 4, 8].map((epsilon) => asWritten(scoresOf(runs.get(`${methodOf(row)} · ε ${epsilon}`) ?? []))),
    ]);
    expect(written).toEqual(computed);
  });
});

it.each([
  '### SST-2, all 67,349 sentences',
  '### Every method on 8,000 sentences',
  '### Every method on CoLA',
  '### Every method on MRPC and STS-B',
])('%s: each method is trained at the rate that it has unless told', (heading) => {
  for (const row of tableBelow(heading)) {
    expect(Number(row['learning rate']), row['method']).toBe(findMethod(methodOf(row)).training?.learningRate);
  }
});
