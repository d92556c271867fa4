import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { comparisonReport } from '../../../src/analysis/html-report.ts';

const hostile = '</script><img src=x onerror=alert(1)>';
const evaluated = { step: 3, splits: { dev: { accuracy: 0.5, score: 0.5 } } };

const report = await comparisonReport({
  script: 'const text = "ü";',
  version: '1.2.3',
  made: new Date(0),
  rows: ['method'],
  interval: { method: 'bootstrap', level: 0.9 },
  parameters: 'method',
  runs: [
    {
      id: 'a',
      name: hostile,
      seed: 1,
      createdAt: 0,
      state: 'finished',
      config: { method: { id: hostile }, task: { id: 'sst2' }, note: 'private', device: { provider: 'cpu' } },
      parameters: { method: 1, head: 2, total: 3 },
      epsilon: null,
      trainSeconds: 12,
      best: evaluated,
      last: evaluated,
    },
  ],
});

function between(start: string, end: string): string {
  const from = report.indexOf(start) + start.length;
  return report.slice(from, report.indexOf(end, from));
}

const hash = (text: string): string => createHash('sha256').update(text).digest('base64');

it('allows exactly the script and the style that it holds', () => {
  const policy = between('content="', '"').replaceAll('&#39;', "'");
  expect(policy.split('; ')).toEqual([
    "default-src 'none'",
    `script-src 'sha256-${hash(between('<script>', '</script>'))}'`,
    `style-src 'sha256-${hash(between('<style>', '</style>'))}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
});

it('is printed in light colours, also from a dark screen', () => {
  const style = between('<style>', '</style>');
  expect(style.match(/@media[^{]*/g)).toEqual([
    '@media screen and (prefers-color-scheme:dark)',
    '@media (forced-colors: active) ',
  ]);
});

it('holds the runs without what a comparison does not need, and names that open no element', () => {
  expect(report.match(/<script/g)).toHaveLength(2);
  expect(report).not.toContain('<img');
  const data = JSON.parse(between('id="data">', '</script>')) as Record<string, unknown>;
  expect(data).toMatchObject({
    made: '1970-01-01T00:00:00.000Z',
    version: '1.2.3',
    view: { metric: 'score', at: 'best', count: 'method' },
    rows: ['method'],
    interval: { method: 'bootstrap', level: 0.9 },
    runs: [{ id: 'a', name: hostile, config: { method: { id: hostile }, task: { id: 'sst2' } }, best: evaluated }],
  });
  expect(JSON.stringify(data)).not.toContain('private');
});

it('holds what is incidental where rows are made of it', async () => {
  const config = {
    method: { id: 'lora' },
    task: { id: 'sst2' },
    name: 'mine',
    device: { provider: 'cpu', threads: 2 },
  };
  const run = { name: 'mine', seed: 1, createdAt: 0, state: 'finished', config, parameters: null, epsilon: null };
  const runs = [{ id: 'a', trainSeconds: null, best: evaluated, last: evaluated, ...run }];
  const text = await comparisonReport({
    script: '',
    version: '1',
    made: new Date(0),
    rows: ['method', 'device.threads'],
    runs,
  });
  const [, data = ''] = /id="data">(.*?)<\/script>/s.exec(text) ?? [];
  const { name: _, ...kept } = config;
  expect((JSON.parse(data) as { runs: { config: unknown }[] }).runs[0]?.config).toEqual(kept);
});

it('refuses a script that would end its element', async () => {
  await expect(comparisonReport({ script: '"</ScRiPt >"', version: '1', made: new Date(0), runs: [] })).rejects.toThrow(
    RangeError,
  );
});
