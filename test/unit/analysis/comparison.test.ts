import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupRuns, withoutRepetitions } from '../../../src/analysis/aggregate.ts';
import { compareRuns, type ComparedRun } from '../../../src/analysis/comparison.ts';
import { glueAverage, taskScore } from '../../../src/analysis/glue-score.ts';
import type { JsonObject } from '../../../src/analysis/json.ts';
import { comparisonFormats, renderComparison } from '../../../src/analysis/render.ts';
import { englishRowWords } from '../../../src/analysis/row-words.ts';
import { english } from '../../../src/webviews/strings.ts';

let count = 0;

function run(
  task: string,
  method: JsonObject,
  seed: number,
  score: number,
  changes: Partial<ComparedRun> & { config?: JsonObject } = {},
): ComparedRun {
  const { config = {}, ...rest } = changes;
  const splits =
    task === 'mnli'
      ? { dev: { accuracy: score }, 'dev-mismatched': { accuracy: score - 0.02 } }
      : { dev: { score, accuracy: score, mcc: score } };
  return {
    id: `run-${count++}`,
    state: 'finished',
    config: {
      name: `${task} ${seed}`,
      task: { id: task, maxLength: task === 'cola' ? 64 : 128 },
      method,
      training: { seed, epochs: 3 },
      ...config,
    },
    parameters: { method: 100, head: task === 'mnli' ? 30 : 20, total: task === 'mnli' ? 130 : 120 },
    epsilon: null,
    trainSeconds: null,
    best: { step: 10, splits },
    last: { step: 20, splits: { dev: { score: score / 2, accuracy: score / 2, mcc: score / 2 } } },
    ...rest,
  };
}

const lora8: JsonObject = { id: 'lora', rank: 8 };
const lora16: JsonObject = { id: 'lora', rank: 16 };
const slash: JsonObject = { id: 'slash', dimension: 1024 };

const runs = [
  ...[0.9, 0.92, 0.94].map((score, seed) => run('sst2', lora8, seed, score)),
  ...[0.91, 0.93].map((score, seed) => run('sst2', lora16, seed, score)),
  run('sst2', slash, 0, 0.95),
  ...[0.5, 0.6].map((score, seed) => run('cola', lora8, seed, score)),
  run('cola', slash, 0, 0.7),
  run('mnli', lora8, 0, 0.82),
  run('wnli', lora8, 0, 0.56),
];

describe('private runs', () => {
  const privately = (seed: number, score: number, privacy: JsonObject = { epsilon: 3 }): ComparedRun =>
    run('sst2', lora8, seed, score, { config: { privacy }, best: null, epsilon: 3 });

  it('count with their last evaluation where none may be chosen by them', () => {
    const { rows, leftOut } = compareRuns([0.6, 0.8].map((score, seed) => privately(seed, score)));
    expect(leftOut).toEqual([]);
    // The last evaluation of these runs has half of the score.
    expect(rows[0]?.cells[0]?.summary).toMatchObject({ n: 2, mean: 0.35 });
  });

  it('of one seed are several observations, unless their noise comes from it too', () => {
    expect(withoutRepetitions([privately(0, 0.6), privately(0, 0.7)]).repeated).toEqual([]);
    for (const known of [{ epsilon: 3, insecureSeed: 1 }, { epsilon: null }]) {
      const [first, second] = [privately(0, 0.6, known), privately(0, 0.7, known)];
      expect(withoutRepetitions([first, second]).repeated).toEqual([first]);
    }
  });
});

describe("a private run's folder", () => {
  const told = { trainSeconds: 12.345678, epsilon: 3, config: { privacy: { epsilon: 3 } } };

  it('that was copied is one observation', () => {
    const original = run('sst2', lora8, 0, 0.7, told);
    const copy = { ...original, id: 'a copy' };
    const other = run('sst2', lora8, 0, 0.7, { ...told, trainSeconds: 12.345679 });
    expect(withoutRepetitions([original, copy, other])).toEqual({ runs: [copy, other], repeated: [original] });
  });
});

describe('groups', () => {
  it('are everything but the seed, and what is incidental', () => {
    const groups = groupRuns(runs);
    expect(groups.map((group) => group.runs.length)).toEqual([3, 2, 1, 2, 1, 1, 1]);
    expect([...(groups[0]?.settings.keys() ?? [])]).toEqual([
      'task.id',
      'task.maxLength',
      'method.id',
      'method.rank',
      'training.epochs',
      'training.precision',
      'training.frozenPrecision',
    ]);
  });

  it('are made by any settings, whatever the order of members', () => {
    expect(
      groupRuns(runs, { by: ['method'] }).map(({ runs: members, settings }) => [
        settings.get('method'),
        members.length,
      ]),
    ).toEqual([
      ['lora', 9],
      ['slash', 2],
    ]);
    const [a, b] = [
      { id: 'a', config: { x: 1, y: { z: 2, w: [1] } } },
      { id: 'b', config: { y: { w: [1], z: 2 }, x: 1 } },
    ];
    expect(groupRuns([a, b])).toHaveLength(1);
    expect(
      groupRuns([a, { id: 'c', config: null }], { by: ['x', 'missing'] }).map(({ settings }) => [...settings.values()]),
    ).toEqual([
      [1, null],
      [null, null],
    ]);
  });

  it('part the runs', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ rank: fc.nat(3), seed: fc.nat(3), lr: fc.nat(2) }), { maxLength: 30 }),
        (settings) => {
          const many = settings.map(({ rank, seed, lr }, index) => ({
            id: String(index),
            config: { method: { rank }, training: { seed, lr } },
          }));
          const groups = groupRuns(many);
          expect(groups.flatMap((group) => group.runs).length).toBe(many.length);
          expect(groups.length).toBe(new Set(settings.map(({ rank, lr }) => `${rank} ${lr}`)).size);
          const { runs: single, repeated } = withoutRepetitions(many);
          expect(single.length + repeated.length).toBe(many.length);
          expect(single.length).toBe(new Set(settings.map((each) => JSON.stringify(each))).size);
          expect(withoutRepetitions(single).repeated).toEqual([]);
        },
      ),
    );
  });

  it('count a repeated seed once: the last run of it', () => {
    const [first, second] = [run('sst2', lora8, 0, 0.1), run('sst2', lora8, 0, 0.2, { config: { note: 'again' } })];
    expect(withoutRepetitions([first, second])).toEqual({ runs: [second], repeated: [first] });
    const unseeded = [1, 2].map((id) => ({ id: String(id), config: { method: 'lora' } }));
    expect(withoutRepetitions(unseeded).repeated).toEqual([]);
  });
});

describe("a task's single number", () => {
  it('is the mean of its metrics and parts', () => {
    expect(taskScore('cola', { dev: { mcc: 0.6, accuracy: 0.8 } })).toEqual({ score: 0.6, missingSplits: [] });
    expect(taskScore('mrpc', { dev: { accuracy: 0.8, f1: 0.9 } })?.score).toBeCloseTo(0.85, 15);
    expect(taskScore('stsb', { dev: { pearson: 0.9, spearman: 0.8 } })?.score).toBeCloseTo(0.85, 15);
    expect(taskScore('mnli', { dev: { accuracy: 0.8 }, 'dev-mismatched': { accuracy: 0.9 } })?.score).toBeCloseTo(
      0.85,
      15,
    );
  });

  it('says what it lacks', () => {
    expect(taskScore('mnli', { dev: { accuracy: 0.8 } })).toEqual({ score: 0.8, missingSplits: ['dev-mismatched'] });
    expect(taskScore('mrpc', { dev: { accuracy: 0.8 } })).toBeNull();
    expect(taskScore('mrpc', { dev: { accuracy: 0.8, f1: null } })).toBeNull();
    expect(taskScore('sst2', {})).toBeNull();
    expect(taskScore('my-own', { dev: { score: 0.3 } })).toEqual({ score: 0.3, missingSplits: [] });
  });

  it('makes the average over eight tasks, without WNLI', () => {
    const scores = { cola: 0.6, sst2: 0.9, mrpc: 0.85, qqp: 0.88, stsb: 0.9, mnli: 0.84, qnli: 0.91, rte: 0.7 };
    const whole = glueAverage({ ...scores, wnli: 0.1 });
    expect(whole.average).toBeCloseTo(0.8225, 12);
    expect(whole.missing).toEqual([]);
    expect(glueAverage({ sst2: 0.9, rte: null, cola: 0.5 })).toMatchObject({
      average: 0.7,
      tasks: ['cola', 'sst2'],
      missing: ['mrpc', 'stsb', 'qqp', 'mnli', 'qnli', 'rte'],
    });
    expect(glueAverage({})).toMatchObject({ average: null, tasks: [] });
  });
});

describe('a comparison', () => {
  const comparison = compareRuns(runs);
  const cell = (row: number, column: string) => comparison.rows[row]?.cells[comparison.columns.indexOf(column)];

  it('calls rows by what tells them from those with a number in the same column', () => {
    const trained = (task: string, method: JsonObject, training: JsonObject): ComparedRun =>
      run(task, method, 0, 0.5, { config: { training: { seed: 0, epochs: 3, ...training } } });
    const labels = (...compared: readonly ComparedRun[]): readonly string[] =>
      compareRuns(compared).rows.map(({ label }) => label);
    const [long, short] = [{ epochs: 10, batchSize: 8 }, { batchSize: 32 }];
    const onTwoTasks = [trained('sst2', lora8, short), trained('sst2', lora16, short), trained('mnli', lora8, long)];
    // Nothing else of the second task is a LoRA, so that only the name is left, which no other row has.
    expect(labels(...onTwoTasks)).toEqual(['lora rank=8', 'lora rank=16', 'lora']);
    expect(labels(...onTwoTasks, trained('mnli', lora8, short))).toEqual([
      'lora rank=8 epochs=3 batchSize=32',
      'lora rank=16',
      'lora epochs=10 batchSize=8',
    ]);
    // Each is alone with its task: all that differs tells two rows of one name apart.
    expect(labels(trained('sst2', lora8, short), trained('mnli', lora8, long))).toEqual([
      'lora epochs=3 batchSize=32',
      'lora epochs=10 batchSize=8',
    ]);
  });

  it('has a row for each method and its settings, a column for each task', () => {
    expect(comparison.columns).toEqual(['cola', 'sst2', 'mnli', 'wnli']);
    expect(comparison.rows.map(({ label }) => label)).toEqual(['lora rank=8', 'lora rank=16', 'slash']);
    expect(cell(0, 'sst2')?.summary).toMatchObject({ n: 3, interval: { level: 0.95 } });
    expect(cell(0, 'sst2')?.summary.mean).toBeCloseTo(0.92, 14);
    expect(cell(0, 'mnli')?.summary.mean).toBeCloseTo(0.81, 14);
    expect(cell(1, 'cola')).toBeNull();
    expect(cell(2, 'cola')?.summary.interval).toBeNull();
  });

  it('marks the best and the second best of a column', () => {
    expect([0, 1, 2].map((row) => cell(row, 'sst2')?.place)).toEqual(['second', 'second', 'best']);
    expect([0, 2].map((row) => cell(row, 'cola')?.place)).toEqual(['second', 'best']);
    expect(cell(0, 'mnli')?.place).toBeNull();
  });

  it('counts parameters in three ways, and says where tasks differ', () => {
    expect(comparison.rows[0]?.parameters).toEqual({
      method: { low: 100, high: 100 },
      head: { low: 20, high: 30 },
      total: { low: 120, high: 130 },
    });
  });

  it('averages over the tasks of GLUE and names the missing ones', () => {
    const average = comparison.rows[0]?.average;
    expect(average?.average).toBeCloseTo((0.55 + 0.92 + 0.81) / 3, 12);
    expect(average?.missing).toEqual(['mrpc', 'stsb', 'qqp', 'qnli', 'rte']);
    expect(compareRuns(runs, { metric: 'accuracy' }).rows[0]?.average).toBeNull();
    expect(compareRuns(runs.slice(0, 6)).rows[0]?.average).toBeNull();
  });

  it('takes another metric, the last evaluation, other rows and columns', () => {
    const last = compareRuns(runs, { metric: 'accuracy', at: 'last' });
    expect(last.rows[2]?.cells[last.columns.indexOf('sst2')]?.summary.mean).toBeCloseTo(0.475, 14);
    const mismatched = compareRuns(runs, { metric: 'dev-mismatched/accuracy' });
    expect(mismatched.columns).toEqual(['mnli']);
    expect(mismatched.leftOut.filter(({ reason }) => reason === 'no-value')).toHaveLength(10);
    const byRank = compareRuns(runs, { rows: ['task'], columns: 'method.rank' });
    expect(byRank.columns).toEqual(['8', '16']);
    expect(byRank.rows.map(({ label }) => label)).toEqual(['sst2', 'cola', 'mnli', 'wnli']);
    expect(byRank.leftOut).toEqual([
      { run: expect.any(String) as string, reason: 'no-column' },
      { run: expect.any(String) as string, reason: 'no-column' },
    ]);
  });

  it('calls rows by what their settings are, where a value alone tells nothing', () => {
    const labels = (
      rows: readonly string[],
      ...privacies: readonly (JsonObject | null | undefined)[]
    ): readonly string[] =>
      compareRuns(
        privacies.map((privacy, index) =>
          run('sst2', lora8, 0, 0.9, { config: privacy === undefined ? { note: String(index) } : { privacy } }),
        ),
        { rows: ['method', ...rows] },
      ).rows.map(({ label }) => label);
    expect(labels(['privacy.epsilon'], { epsilon: 1 }, undefined)).toEqual(['lora · ε 1', 'lora · no privacy']);
    expect(labels(['privacy.epsilon'], { noiseMultiplier: 2 })).toEqual(['lora · no ε set']);
    expect(labels(['privacy.delta'], null)).toEqual(['lora · no privacy']);
    expect(labels(['privacy.noiseMultiplier'], { noiseMultiplier: 2 })).toEqual(['lora · noise 2']);
    expect(labels(['method.rank', 'training.seed'], undefined)).toEqual(['lora · 8 · seed 0']);
  });

  it('tells a private row from one without privacy by its ε, not by each setting that comes with privacy', () => {
    const labels = (...privacies: readonly (JsonObject | undefined)[]): readonly string[] =>
      compareRuns(
        privacies.map((privacy) => run('sst2', lora8, 0, 0.9, { config: privacy === undefined ? {} : { privacy } })),
      ).rows.map(({ label }) => label);
    const three = { epsilon: 3, clipping: 'flat', accountant: 'tightest' };
    expect(labels(undefined, three)).toEqual(['lora', 'lora epsilon=3']);
    expect(labels(undefined, { clipping: 'flat', noiseMultiplier: 2 })).toEqual(['lora', 'lora noiseMultiplier=2']);
    // What private rows differ in is told all the same.
    expect(labels(undefined, three, { ...three, delta: 1e-5 }, { ...three, clipping: 'automatic' })).toEqual([
      'lora',
      'lora epsilon=3 clipping=flat',
      'lora epsilon=3 clipping=flat delta=0.00001',
      'lora epsilon=3 clipping=automatic',
    ]);
  });

  it('calls rows so in the reader’s language too', () => {
    const words = {
      ...englishRowWords,
      rowEpsilon: 'ε = {value}',
      rowSeed: 'Startwert {value}',
      rowNoDelta: 'δ nicht gesetzt',
      noPrivacy: 'ohne Privatheit',
    };
    const of = (privacy?: JsonObject): ComparedRun =>
      run('sst2', lora8, 7, 0.9, { config: privacy === undefined ? {} : { privacy } });
    const rows = ['privacy.epsilon', 'privacy.delta', 'training.seed'];
    expect(compareRuns([of({ epsilon: 1 }), of()], { rows, words }).rows.map(({ label }) => label)).toEqual([
      'ε = 1 · δ nicht gesetzt · Startwert 7',
      'ohne Privatheit · ohne Privatheit · Startwert 7',
    ]);
    // Panels have the same words among their own.
    expect(english).toMatchObject(englishRowWords);
  });

  it('says when a cell mixes configurations', () => {
    const mixed = compareRuns(runs, { rows: ['method'] });
    expect(mixed.rows.map(({ label }) => label)).toEqual(['lora', 'slash']);
    expect(mixed.rows[0]?.cells[mixed.columns.indexOf('sst2')]).toMatchObject({ configurations: 2, summary: { n: 5 } });
    expect(mixed.rows[0]?.cells[mixed.columns.indexOf('cola')]?.configurations).toBe(1);
  });

  it('leaves out what has not finished, has no number or was repeated, and says so', () => {
    const some = [
      run('sst2', lora8, 0, 0.9),
      run('sst2', lora8, 0, 0.9),
      run('sst2', lora8, 1, 0.9, { state: 'running' }),
      run('sst2', lora8, 2, 0.9, { best: null, last: null }),
    ];
    expect(compareRuns(some).leftOut.map(({ reason }) => reason)).toEqual(['state', 'repeated', 'no-value']);
    expect(compareRuns(some, { states: ['finished', 'running'] }).rows[0]?.cells[0]?.summary.n).toBe(2);
    expect(compareRuns([])).toMatchObject({ rows: [], columns: [] });
  });

  it('shows the privacy that was spent', () => {
    const some = [run('sst2', lora8, 0, 0.9, { epsilon: 7.9 }), run('sst2', lora8, 1, 0.9, { epsilon: 8 })];
    expect(compareRuns(some).rows[0]?.epsilon).toEqual({ low: 7.9, high: 8 });
    expect(renderComparison(compareRuns(some))).toContain('7.9 to 8');
  });

  it('promises for a group with a run without privacy no more than that run does', () => {
    const mixed = compareRuns([run('sst2', lora8, 0, 0.9, { epsilon: 3 }), run('sst2', lora8, 1, 0.9)]);
    expect(mixed.rows[0]?.epsilon).toEqual({ low: 3, high: Infinity });
    expect(renderComparison(mixed)).toContain('3 to ∞');
    const [header = '', first = ''] = renderComparison(mixed, { format: 'csv' }).split('\r\n');
    expect(first.split(',')[header.split(',').indexOf('epsilon')]).toBe('');
  });

  it('does not depend on the order of the rows, but for their order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(runs, { minLength: runs.length }), (shuffled) => {
        const other = compareRuns(shuffled);
        expect(other.columns).toEqual(comparison.columns);
        const summary = (rows: typeof comparison.rows) =>
          rows
            .map(
              ({ label, cells }) =>
                `${label} ${JSON.stringify(cells.map((each) => each && [each.summary.n, each.place, each.summary.mean.toFixed(12)]))}`,
            )
            .sort();
        expect(summary(other.rows)).toEqual(summary(comparison.rows));
      }),
    );
  });
});

describe('drawing a comparison', () => {
  const comparison = compareRuns(runs);

  it('as a table', () => {
    expect(renderComparison(comparison, { parameters: 'method' })).toMatchInlineSnapshot(`
      "method        method parameters                 cola                 sst2        mnli        wnli   GLUE average
      ------------  -----------------  -------------------  -------------------  ----------  ----------  -------------
      lora rank=8                 100  55.0 ± 63.5 (n=2) +   92.0 ± 5.0 (n=3) +  81.0 (n=1)  56.0 (n=1)  76.0 (3 of 8)
      lora rank=16                100                    –  92.0 ± 12.7 (n=2) +           –           –  92.0 (1 of 8)
      slash                       100         70.0 (n=1) *         95.0 (n=1) *           –           –  82.5 (2 of 8)

      score in percent, at the best evaluation; n counts the runs (seeds).
      ± is the half-width of the 95 % interval of the mean (Student's t).
      * best and + second best of the column.
      The average is without mrpc, stsb, qqp, qnli, rte.
      "
    `);
  });

  it('as markdown', () => {
    expect(
      renderComparison(compareRuns(runs.slice(0, 5), { interval: { method: 'bootstrap', level: 0.9 } }), {
        format: 'markdown',
      }),
    ).toMatchInlineSnapshot(`
      "| method | trained parameters | sst2 |
      | --- | ---: | ---: |
      | lora rank=8 | 120 | **92.0 [90.7, 93.3] (n=3)** |
      | lora rank=16 | 120 | **92.0 [91.0, 93.0] (n=2)** |

      - score in percent, at the best evaluation; n counts the runs (seeds).
      - [ ] is the 90 % bootstrap interval of the mean.
      - **Bold** is the best of the column, *italic* the second best.
      "
    `);
  });

  it('as CSV with the numbers as they are', () => {
    const [header = '', first = ''] = renderComparison(comparison, { format: 'csv' }).split('\r\n');
    const fields = Object.fromEntries(header.split(',').map((name, index) => [name, first.split(',')[index]]));
    expect(fields).toMatchObject({
      row: 'lora rank=8',
      task: 'cola',
      n: '2',
      interval_method: 'student',
      place: 'second',
      total_parameters: '120',
    });
    expect(Number(fields.mean)).toBeCloseTo(0.55, 14);
    const odd = compareRuns([run('sst2', { id: 'a "quoted", name\n' }, 0, 0.9)]);
    expect(renderComparison(odd, { format: 'csv' })).toContain('\r\n"a ""quoted"", name\n",sst2,');
  });

  it('as CSV that no spreadsheet takes for formulas', () => {
    const csv = (id: string): string =>
      renderComparison(compareRuns([run('sst2', { id }, 0, -0.5)]), { format: 'csv' }).split('\r\n')[1] ?? '';
    expect(csv('=HYPERLINK("http://x")')).toMatch(/^"'=HYPERLINK\(""http:\/\/x""\)",sst2,score,best,1,-0.5,/);
    for (const id of ['+cmd', '-1+1', '@SUM(A1)', '\tx']) expect(csv(id)).toContain(`'${id}`);
    for (const id of ['-1', '+0.5', '−x']) expect(csv(id).startsWith(`${id},`)).toBe(true);
  });

  it('with columns as wide as a terminal draws their letters, and the level as it was asked for', () => {
    const wide = compareRuns(
      [run('sst2', { id: '日本語' }, 0, 0.9), run('sst2', { id: 'lora' }, 0, 0.8), run('sst2', lora8, 1, 0.7)],
      { rows: ['method'], interval: { level: 0.57 } },
    );
    const [, rule, ...rows] = renderComparison(wide).split('\n');
    expect(rule?.split('  ')[0]).toBe('------');
    expect(rows[0]?.startsWith('日本語  ')).toBe(true);
    expect(renderComparison(wide)).toContain('the 57 % interval');
  });

  it('with the mean training time of a run where runs tell it', () => {
    const timed = compareRuns([
      run('sst2', lora8, 0, 0.9, { trainSeconds: 3 }),
      run('sst2', lora8, 1, 0.9, { trainSeconds: 6 }),
      run('cola', lora8, 0, 0.9, { trainSeconds: 30 }),
      run('cola', slash, 0, 0.8, { trainSeconds: 4.56 }),
    ]);
    expect(timed.rows.map(({ trainSeconds }) => trainSeconds)).toEqual([13, 4.56]);
    expect(timed.rows[0]?.cells.map((cell) => cell?.trainSeconds)).toEqual([30, 4.5]);
    const text = renderComparison(timed);
    expect(text.split('\n').map((line) => line.trimEnd().split(/ {2,}/).at(-1))).toEqual(
      expect.arrayContaining(['seconds', '13', '4.6']),
    );
    expect(text).toContain('seconds is the mean training time of a run.');
    expect(renderComparison(timed, { format: 'csv' })).toContain(',30,');
  });

  it('as JSON that reads back', () => {
    expect(JSON.parse(renderComparison(comparison, { format: 'json' }))).toEqual(
      JSON.parse(JSON.stringify(comparison)),
    );
  });

  it('with no sign where a score is rounded to nothing', () => {
    const text = renderComparison(
      compareRuns([run('cola', { id: 'a' }, 0, -0.0002), run('cola', { id: 'b' }, 0, -0.0007)]),
    );
    expect(text).toMatch(/ 0\.0 \(n=1\)/);
    expect(text).toContain('-0.1 (n=1)');
  });

  it('never breaks a table by what names hold', () => {
    const odd = compareRuns([
      run('ss|t2\n', { id: '| a\n<b> *x* ünï 👩‍🔬' }, 0, 0.9),
      run('ss|t2\n', { id: 'b' }, 0, 0.8),
    ]);
    const lines = renderComparison(odd, { format: 'markdown' }).split('\n');
    expect(lines.slice(0, 4).map((line) => line.replaceAll('\\|', '').split('|').length)).toEqual([5, 5, 5, 5]);
    const [first, rule, ...rest] = renderComparison(odd).split('\n');
    expect(first?.includes('\r')).toBe(false);
    expect(rule).toMatch(/^[- ]+$/);
    expect(rest.slice(0, 2).every((line) => line.includes('(n=1)'))).toBe(true);
  });

  it('draws something in every format, also of nothing', () => {
    for (const format of comparisonFormats) expect(renderComparison(compareRuns([]), { format })).toMatch(/\n$/);
    expect(renderComparison(compareRuns([]))).toBe('No runs to compare.\n');
  });
});
