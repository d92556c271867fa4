import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextSort, sortedIndices, type SortValue } from '../../../src/webviews/components/sorting.ts';
import { formatsOf } from '../../../src/webviews/format.ts';
import type { Summary } from '../../../src/webviews/run/messages.ts';
import {
  chartText,
  factsOf,
  levelText,
  noCurvesText,
  noResultsText,
  progressOf,
  progressText,
  runTitle,
  tickTexts,
} from '../../../src/webviews/run/texts.ts';
import { english, fill, stringsOf } from '../../../src/webviews/strings.ts';

const formats = formatsOf('en');

const summary: Summary = {
  id: '20261121-053220069-5kzrkh',
  state: 'running',
  name: null,
  model: 'bert-base-uncased',
  task: 'sst2',
  method: 'lora',
  seed: 1,
  tags: [],
  note: '',
  starred: false,
  parameters: { method: 294_912, head: 1538, total: 296_450, frozen: 108_310_272 },
  score: 0.9123,
  bestStep: 1200,
  lastScore: 0.9,
  epsilon: 2.5,
  delta: 1e-5,
  step: 1500,
  totalSteps: 2000,
  epoch: 2.25,
  loss: 0.21,
  examplesPerSecond: 81.4,
  remainingMs: 125_000,
  peakBytes: 2_100_000_000,
  trainSeconds: null,
  provider: 'webgpu',
  threads: null,
  deviceReason: 'asked for',
  host: 'here',
  segments: 1,
  createdAt: 0,
  startedAt: 0,
  endedAt: null,
  failure: null,
  diagnostics: [],
  isPrivate: false,
  targetEpsilon: null,
  canStart: true,
  isUnseen: false,
};

describe('the header of a run', () => {
  it('tells all that is known of a running one', () => {
    expect(
      factsOf(summary, english, formats).map(({ title, value, detail = '' }) => `${title}: ${value} ${detail}`.trim()),
    ).toEqual([
      'Score: 0.9123 at step 1,200 · last 0.9000',
      'Loss: 0.21',
      'Trained parameters: 296,450 294,912 method (0.27 % of the frozen weights) + 1,538 head',
      'ε at δ = 1E-5: 2.5',
      'Remaining: 2 min 05 s',
      'Throughput: 81 examples/s',
      'Peak memory: 2.1 GB',
      'Device: webgpu asked for',
    ]);
    expect(progressText(summary, english, formats)).toBe('Step 1,500 of 2,000 · epoch 2.25');
    expect(progressOf(summary)).toBe(0.75);
  });

  it('is short about why a device was chosen, and keeps the whole of it', () => {
    const device = (deviceReason: string) => factsOf({ ...summary, deviceReason }, english, formats).at(-1);
    const whole = 'automatic; webgpu can be asked for by name';
    expect(device(whole)).toEqual({ title: 'Device', value: 'webgpu', detail: 'automatic', whole });
    expect(device('asked for, GPU 1')).toEqual({ title: 'Device', value: 'webgpu', detail: 'asked for, GPU 1' });
  });

  it('of a log line tells only levels that matter', () => {
    expect(['info', 'warning', 'error', 'other'].map((level) => levelText(level, english))).toEqual([
      '',
      'warning: ',
      'error: ',
      'other: ',
    ]);
  });

  it('claims nothing of what is not known', () => {
    const waiting: Summary = {
      ...summary,
      state: 'queued',
      parameters: null,
      score: null,
      epsilon: null,
      step: null,
      totalSteps: null,
      loss: null,
      examplesPerSecond: null,
      remainingMs: null,
      peakBytes: null,
      provider: null,
    };
    expect(factsOf(waiting, english, formats)).toEqual([]);
    expect(progressText(waiting, english, formats)).toBe('waits to be started');
    expect(progressOf(waiting)).toBeNull();
  });

  it('says of a run that has ended that there will be no curves, and of others that there may', () => {
    expect(noCurvesText({ state: 'starting' }, english)).toContain('appear with the first');
    expect(noCurvesText({ state: 'failed' }, english)).toBe('The run ended before its first training step.');
    expect(noResultsText({ state: 'running' }, english)).toContain('not been done yet');
    expect(noResultsText({ state: 'stopped' }, english)).toBe('The run ended without an evaluation.');
  });

  it('shows a title whatever the run is called', () => {
    expect(runTitle(summary, english)).toBe('lora · sst2');
    expect(runTitle({ ...summary, name: '<b>x</b>' }, english)).toBe('<b>x</b>');
    expect(runTitle({ ...summary, name: '  ', method: null, task: null }, english)).toBe('Run 5kzrkh');
  });
});

it('a chart without a finite number says so, others say where they end', () => {
  const plan = {
    id: 'loss',
    title: 'Loss',
    unit: 'number',
    series: [{ metric: 'loss', label: 'train', isEvaluation: false }],
  } as const;
  const data = {
    step: [1, 2, 3],
    epoch: [0, 0, 0],
    time: [0, 0, 0],
    value: [0.5, 0.25, NaN],
    smoothed: undefined,
    total: 3,
  };
  expect(chartText(plan, new Map([['loss', data]]), english, formats)).toBe(
    'Loss: train 0.25 at step 2, lowest 0.25, highest 0.5, 3 points.',
  );
  const one = { ...data, step: [1], epoch: [0], time: [0], value: [0.5], total: 1 };
  expect(chartText(plan, new Map([['loss', one]]), english, formats)).toBe('Loss: train 0.5 at step 1, 1 point.');
  expect(chartText(plan, new Map([['loss', { ...data, value: [NaN, NaN, NaN] }]]), english, formats)).toBe(
    'Loss: no finite number yet.',
  );
  expect(chartText(plan, new Map(), english, formats)).toBe('Loss: no finite number yet.');
});

describe('sorting', () => {
  const values = fc.array(fc.option(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constant(NaN))), { maxLength: 40 });
  const isMissing = (value: SortValue): boolean => value === null || Number.isNaN(value);

  it('orders numbers, keeps the order of equals, and puts what is missing last either way', () => {
    fc.assert(
      fc.property(values, fc.boolean(), (list, descending) => {
        const sorted = sortedIndices(list, descending);
        expect([...sorted].sort((a, b) => a - b)).toEqual(list.map((_, index) => index));
        const known = sorted.filter((index) => !isMissing(list[index] ?? null));
        expect(sorted.slice(0, known.length)).toEqual(known);
        for (const [place, index] of known.entries()) {
          const next = known[place + 1];
          if (next === undefined) continue;
          const step = ((list[next] as number) - (list[index] as number)) * (descending ? -1 : 1);
          expect(step > 0 || (step === 0 && next > index)).toBe(true);
        }
      }),
    );
  });

  it('orders texts as people count', () => {
    const names = ['rank 10', 'rank 9', 'Rank 1'];
    expect(sortedIndices(names, false).map((index) => names[index])).toEqual(['Rank 1', 'rank 9', 'rank 10']);
  });

  it('begins with the greatest number or the first text, and turns round', () => {
    expect(nextSort(undefined, 'score', true)).toEqual({ column: 'score', descending: true });
    expect(nextSort({ column: 'score', descending: true }, 'score', true)).toEqual({
      column: 'score',
      descending: false,
    });
    expect(nextSort({ column: 'score', descending: true }, 'method', false)).toEqual({
      column: 'method',
      descending: false,
    });
  });
});

describe('texts', () => {
  it('are filled once: a value that looks like a place is none', () => {
    expect(fill('{a} and {b} and {c}', { a: '{b}', b: '$&' })).toBe('{b} and $& and {c}');
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(fill('<{x}>', { x: value })).toBe(`<${value}>`);
      }),
    );
  });

  it('are turned round by no value', () => {
    expect(fill('{a}: 12.5', { a: '\u202efdp.x\u2069' })).toBe(' fdp.x : 12.5');
  });

  it('are English where a translation lacks them', () => {
    const strings = stringsOf({ loss: 'Verlust', unknown: 'x' });
    expect([strings.loss, strings.score, Object.keys(strings).length]).toEqual([
      'Verlust',
      'Score',
      Object.keys(english).length,
    ]);
  });
});

describe('a metric', () => {
  it('has four digits after the point, as others in its column', () => {
    const { metric } = formatsOf('en');
    expect([0.8, -0.05, 0, 1, 0.76936].map(metric)).toEqual(['0.8000', '-0.0500', '0.0000', '1.0000', '0.7694']);
    expect([23.4567, Infinity].map(metric)).toEqual(['23.46', 'Infinity']);
  });
});

describe('the numbers of an axis', () => {
  it.each([
    [
      [0.78, 0.8, 0.82],
      ['0.78', '0.80', '0.82'],
    ],
    [
      [0, 0.25, 0.5],
      ['0.00', '0.25', '0.50'],
    ],
    [
      [0.1, 0.2, 0.30000000000000004],
      ['0.1', '0.2', '0.3'],
    ],
    [
      [0, 5, 10],
      ['0', '5', '10'],
    ],
    [
      [-0.5, 0, 0.5],
      ['-0.5', '0.0', '0.5'],
    ],
    [
      [0, 50_000, 100_000],
      ['0', '50K', '100K'],
    ],
    [
      [0, 5e-4, 1e-3],
      ['0', '5E-4', '1E-3'],
    ],
    [
      [0, 1e29, 2e29],
      ['0', '1E29', '2E29'],
    ],
    [[0.9], ['0.9']],
    [[], []],
  ])('%o are written alike: %o', (ticks, texts) => {
    expect(tickTexts(ticks, formats)).toEqual(texts);
  });
});

describe('numbers', () => {
  it('read well', () => {
    expect([0, 1e-5, 0.12345, 1234.5678, 2.5e9, NaN].map(formats.number)).toEqual([
      '0',
      '1E-5',
      '0.1235',
      '1,235',
      '2.5E9',
      'NaN',
    ]);
    expect([400, 9_000, 59_400, 65_000, 7_500_000].map(formats.duration)).toEqual([
      '0.4 s',
      '9.0 s',
      '59 s',
      '1 min 05 s',
      '2 h 05 min',
    ]);
    expect([0, 999, 1_500, 2.4e9].map(formats.bytes)).toEqual(['0 B', '999 B', '1.5 kB', '2.4 GB']);
    expect([0, 0.00001, 0.00047, 0.0027].map(formats.share)).toEqual(['0.00 %', '0.001 %', '0.047 %', '0.27 %']);
  });

  it('have no sign where they are rounded to nothing', () => {
    expect([-0.0003, -0, 0.0003, -0.0006].map((value) => formats.percent(value))).toEqual([
      '0.0',
      '0.0',
      '0.0',
      '-0.1',
    ]);
    expect([formats.integer(-0.2), formats.number(-0), formats.compact(-0)]).toEqual(['0', '0', '0']);
  });

  it('of any kind, in any language, do not fail', () => {
    fc.assert(
      fc.property(
        fc.double(),
        fc.oneof(fc.constantFrom('en', 'de', 'ar', 'zh-cn', ''), fc.string()),
        (value, locale) => {
          const each = formatsOf(locale);
          for (const text of [
            each.integer,
            each.number,
            each.share,
            each.compact,
            each.moment,
            each.clock,
            each.compactOrScientific,
          ])
            expect(typeof text(value)).toBe('string');
        },
      ),
    );
  });
});
