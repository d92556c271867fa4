import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareRuns, type ComparedRun } from '../../../src/analysis/comparison.ts';
import { dominates } from '../../../src/analysis/pareto.ts';
import { layoutOf, nextPoint, staircase } from '../../../src/webviews/compare/layout.ts';
import { marksOf } from '../../../src/webviews/compare/marks.ts';
import { firstView, type View } from '../../../src/webviews/compare/messages.ts';
import {
  columnsOf,
  facetsOf,
  metricsOf,
  privacyFacet,
  rowKey,
  runsOfRow,
  shownColumn,
} from '../../../src/webviews/compare/points.ts';
import {
  chartText,
  facetText,
  notesOf,
  pointText,
  rangeText,
  scopeText,
  scoreAxisText,
} from '../../../src/webviews/compare/texts.ts';
import { formatsOf } from '../../../src/webviews/format.ts';
import { english } from '../../../src/webviews/strings.ts';

const formats = formatsOf('en');

interface Made {
  readonly method: string;
  readonly rank?: number;
  readonly seed?: number;
  readonly task?: string;
  readonly parameters?: number | null;
  readonly epsilon?: number | null;
  readonly score: number;
  readonly state?: string;
}

let count = 0;
function run({
  method,
  rank = 8,
  seed = 0,
  task = 'sst2',
  parameters = 1000,
  epsilon = null,
  score,
  state = 'finished',
}: Made): ComparedRun {
  count += 1;
  const evaluated = { step: 10, splits: { dev: { accuracy: score, mcc: score, score } } };
  return {
    id: `run-${count}`,
    state,
    config: {
      task: { id: task },
      method: { id: method, rank },
      training: { seed },
      ...(epsilon === null ? {} : { privacy: { epsilon } }),
    },
    parameters: parameters === null ? null : { method: parameters, head: 10, total: parameters + 10 },
    epsilon,
    trainSeconds: null,
    best: evaluated,
    last: evaluated,
  };
}

const view = (change: Partial<View> = {}): View => ({ ...firstView, ...change });

const runs: readonly ComparedRun[] = [
  ...[0, 1, 2].map((seed) => run({ method: 'lora', seed, parameters: 5000, score: 0.9 + 0.01 * seed })),
  ...[0, 1].map((seed) => run({ method: 'slash', seed, parameters: 500, score: 0.8 + 0.02 * seed })),
  run({ method: 'worse', parameters: 6000, score: 0.7 }),
  run({ method: 'head', parameters: 0, score: 0.6 }),
  run({ method: 'lora', parameters: 5000, epsilon: 8, score: 0.85 }),
  run({ method: 'lora', parameters: 5000, epsilon: 0.5, score: 0.75 }),
  run({ method: 'lora', task: 'rte', parameters: 5000, score: 0.65 }),
];
const comparison = compareRuns(runs);

describe('the points of a comparison', () => {
  it('are the means of the column with their intervals, or its single runs', () => {
    const means = facetsOf(comparison, view())[0]?.points ?? [];
    expect(means).toHaveLength(6);
    const lora = means.find(({ label }) => label.startsWith('lora') && !label.includes('epsilon'));
    expect(lora).toMatchObject({ n: 3, method: 'lora', column: 'sst2', place: { kind: 'value', value: 5010 } });
    expect(lora?.score).toBeCloseTo(0.91, 12);
    expect(lora?.interval).not.toBeNull();
    const single = facetsOf(comparison, view({ points: 'runs' }))[0]?.points ?? [];
    expect(single).toHaveLength(9);
    expect(single.every(({ runs: of, interval }) => of.length === 1 && interval === null)).toBe(true);
  });

  it('have a place of their own beside the axis where it has no number for them', () => {
    const byMethod = facetsOf(comparison, view({ count: 'method' }))[0]?.points ?? [];
    expect(byMethod.filter(({ place }) => place.kind === 'apart').map(({ label }) => label)).toEqual(['head']);
    const byEpsilon = facetsOf(comparison, view({ axis: 'epsilon' }))[0]?.points ?? [];
    expect(byEpsilon.filter(({ place }) => place.kind === 'value').map(({ epsilon }) => epsilon?.high)).toEqual([
      8, 0.5,
    ]);
  });

  it('stand with those without privacy where one of their runs has none', () => {
    const both = [run({ method: 'lora', epsilon: 3, score: 0.8 }), run({ method: 'lora', score: 0.9, seed: 1 })];
    const mixed = compareRuns(both, { rows: ['method'] });
    const [facet] = facetsOf(mixed, view({ axis: 'epsilon', facet: 'privacy' }));
    expect(facet?.key).toBe('none');
    expect(facet?.points.map(({ place }) => place)).toEqual([{ kind: 'apart', category: 'none' }]);
    expect(rangeText(mixed.rows[0]?.epsilon ?? null, english, formats)).toBe('3–∞');
  });

  it('without a count of parameters are left out when that is the axis', () => {
    const lacking = compareRuns([run({ method: 'a', parameters: null, score: 0.5 }), run({ method: 'b', score: 0.5 })]);
    expect(facetsOf(lacking, view())[0]?.points.map(({ label }) => label)).toEqual(['b']);
    expect(facetsOf(lacking, view({ axis: 'epsilon' }))[0]?.points).toHaveLength(2);
  });

  it('are split by privacy loss, strictest first and no privacy last', () => {
    const facets = facetsOf(comparison, view({ facet: 'privacy' }));
    expect(facets.map(({ key }) => facetText(key, english))).toEqual(['ε ≤ 1', '3 < ε ≤ 8', 'no privacy']);
    expect(facets.flatMap(({ points }) => points)).toHaveLength(6);
    expect(facets.every(({ front }) => front.length > 0)).toBe(true);
  });

  it('of the average are only those over the same tasks', () => {
    expect(columnsOf(comparison)).toEqual(['sst2', 'rte', 'average']);
    const points = facetsOf(comparison, view({ column: 'average' }))[0]?.points ?? [];
    expect(points.map(({ label, runs: of }) => [label, of.length])).toEqual([[points[0]?.label, 4]]);
  });

  it('belong to one row each, and a row has its runs in whichever column they are', () => {
    const keys = comparison.rows.map(rowKey);
    expect(new Set(keys).size).toBe(keys.length);
    const points = facetsOf(comparison, view()).flatMap((facet) => facet.points);
    for (const { key, column, runs: own } of points) {
      const row = comparison.rows.find((each) => key === `${column}\n${rowKey(each)}`);
      const inColumn = row && runsOfRow(comparison, row).filter((each) => each.column === column);
      expect(inColumn?.map((each) => each.run)).toEqual(own);
    }
    // A method that the chart's task has no run of has no point there.
    const elsewhere = compareRuns([...runs, run({ method: 'elsewhere', task: 'rte', score: 0.5 })]);
    const row = elsewhere.rows.find(({ label }) => label === 'elsewhere');
    expect(facetsOf(elsewhere, view())[0]?.points.map(({ label }) => label)).not.toContain('elsewhere');
    expect(row && runsOfRow(elsewhere, row)).toMatchObject([{ column: 'rte' }]);
  });

  it('show the column with most rows unless another is asked for that is there', () => {
    expect(shownColumn(comparison, view())).toBe('sst2');
    expect(shownColumn(comparison, view({ column: 'rte' }))).toBe('rte');
    expect(shownColumn(comparison, view({ column: 'gone' }))).toBe('sst2');
    expect(shownColumn(compareRuns([]), view())).toBeUndefined();
    expect(facetsOf(compareRuns([]), view())).toEqual([]);
  });

  it('mark the front as the analysis finds it, along either axis', () => {
    const some = fc.record({
      parameters: fc.integer({ min: 1, max: 50 }),
      epsilon: fc.option(fc.integer({ min: 1, max: 5 })),
      score: fc.integer({ min: 0, max: 20 }).map((score) => score / 20),
    });
    fc.assert(
      fc.property(
        fc.array(some, { maxLength: 20 }),
        fc.constantFrom('parameters' as const, 'epsilon' as const),
        (list, axis) => {
          const made = compareRuns(list.map((each, index) => run({ ...each, method: `method ${index}` })));
          for (const { points } of facetsOf(made, view({ axis }))) {
            const costs = points.map(({ place, score }) => ({
              cost: place.kind === 'value' ? place.value : Infinity,
              gain: score,
            }));
            for (const [index, point] of points.entries()) {
              const own = costs[index] ?? { cost: 0, gain: 0 };
              expect(point.isOnFront).toBe(!costs.some((other) => dominates(other, own)));
            }
          }
        },
      ),
    );
  });
});

describe('the layout', () => {
  const points = facetsOf(comparison, view())[0]?.points ?? [];

  it('keeps every point and interval inside its panel', () => {
    for (const width of [260, 320, 1100])
      for (const axis of ['parameters', 'epsilon'] as const) {
        const of = facetsOf(comparison, view({ axis }))[0]?.points ?? [];
        const layout = layoutOf(of, { width, height: 300, axis });
        for (const point of of) {
          expect(layout.x(point)).toBeGreaterThanOrEqual(layout.left);
          expect(layout.x(point)).toBeLessThanOrEqual(layout.right);
          const { from, to, ends } =
            point.interval === null ? { from: NaN, to: NaN, ends: [] } : layout.whisker(point.interval);
          for (const at of [layout.y(point.score), ...ends, ...(point.interval === null ? [] : [from, to])]) {
            expect(at).toBeGreaterThanOrEqual(layout.top);
            expect(at).toBeLessThanOrEqual(layout.bottom);
          }
        }
      }
  });

  it('keeps many rows of one loss on a narrow axis', () => {
    const of = [0.5, 1, 8, 100].flatMap((epsilon) =>
      Array.from({ length: 9 }, (_, index) => run({ method: `m${index}`, epsilon, score: 0.5 })),
    );
    const points = facetsOf(compareRuns([...of, run({ method: 'm0', score: 0.6 })]), view({ axis: 'epsilon' }))[0]
      ?.points;
    for (const width of [168, 260, 900]) {
      const layout = layoutOf(points ?? [], { width, height: 240, axis: 'epsilon' });
      for (const point of points ?? []) {
        expect(layout.x(point)).toBeGreaterThanOrEqual(layout.left);
        expect(layout.x(point)).toBeLessThanOrEqual(layout.right);
      }
    }
  });

  it('cuts the interval of two seeds that differ, so that the other rows are still told apart', () => {
    const scores = { a: [0.8, 0.81, 0.82], b: [0.7, 0.71, 0.72], c: [0.74, 0.75, 0.76], d: [0.6, 0.9] };
    const runs = Object.entries(scores).flatMap(([method, seeds]) =>
      seeds.map((score, seed) => run({ method, parameters: 9, score, seed })),
    );
    const of = facetsOf(compareRuns(runs), view())[0]?.points ?? [];
    const layout = layoutOf(of, { width: 800, height: 300, axis: 'parameters' });
    const [a, b, d] = ['a', 'b', 'd'].map((method) => of.find((point) => point.method === method));
    if (!a?.interval || !b || !d?.interval) throw new Error('a row is missing');
    expect(d.interval.high).toBeGreaterThan(2);
    expect(layout.y(b.score) - layout.y(a.score)).toBeGreaterThan((layout.bottom - layout.top) / 5);
    expect(layout.whisker(a.interval).ends).toHaveLength(2);
    expect(layout.whisker(d.interval)).toEqual({ from: layout.bottom, to: layout.top, ends: [] });
  });

  it('does not make much of scores that hardly differ', () => {
    for (const scores of [[0.8123], [0.5, 0.50001, 0.50002], [0.5, 0.5]]) {
      const of = scores.map((score, index) => run({ method: `m${index}`, parameters: 10 ** (index + 1), score }));
      const points = facetsOf(compareRuns(of), view())[0]?.points ?? [];
      const layout = layoutOf(points, { width: 800, height: 400, axis: 'parameters' });
      expect(layout.digits).toBe(1);
      const spread = layout.y(Math.min(...scores)) - layout.y(Math.max(...scores));
      expect(spread).toBeLessThan((layout.bottom - layout.top) / 100);
    }
  });

  it('labels ticks with as many digits as tell them apart, and no more', () => {
    for (const [low, high] of [
      [0.56, 0.6],
      [0.5, 0.9],
      [0.911, 0.9112],
      [-0.3, 0.31],
    ] as const) {
      const of = [run({ method: 'a', score: low }), run({ method: 'b', score: high })];
      const points = facetsOf(compareRuns(of), view())[0]?.points ?? [];
      const { yTicks, digits } = layoutOf(points, { width: 800, height: 400, axis: 'parameters' });
      const labels = yTicks.map(({ value }) => formats.percent(value, digits));
      expect(new Set(labels).size).toBe(labels.length);
      if (digits > 0) expect(labels.some((label) => !label.endsWith('0'))).toBe(true);
    }
  });

  it('has no labels that run into one another, however narrow it is, and always one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 0, max: 6 }),
        fc.boolean(),
        (least, decades, isNarrow) => {
          const counts = [least, least * 10 ** decades];
          const of = counts.map((parameters, index) => run({ method: `m${index}`, parameters, score: 0.5 }));
          const points = facetsOf(compareRuns(of), view())[0]?.points ?? [];
          const { xTicks } = layoutOf(points, { width: isNarrow ? 168 : 700, height: 240, axis: 'parameters' });
          const at = xTicks.flatMap((tick) => (tick.isLabelled ? [tick.at] : [])).sort((a, b) => a - b);
          expect(at.length).toBeGreaterThan(0);
          for (const [index, place] of at.entries())
            if (index > 0) expect(place - (at[index - 1] ?? 0)).toBeGreaterThan(30);
        },
      ),
    );
  });

  it('puts more parameters to the right, and nothing trained to the left of all', () => {
    const of = facetsOf(comparison, view({ count: 'method' }))[0]?.points ?? [];
    const layout = layoutOf(of, { width: 800, height: 300, axis: 'parameters' });
    const byPlace = [...of].sort((a, b) => layout.x(a) - layout.x(b)).map(({ method }) => method);
    expect(byPlace[0]).toBe('head');
    expect(byPlace[1]).toBe('slash');
    expect(byPlace.at(-1)).toBe('worse');
  });

  it('puts no privacy to the right of every loss, and rows of one loss side by side', () => {
    const of = facetsOf(comparison, view({ axis: 'epsilon' }))[0]?.points ?? [];
    const layout = layoutOf(of, { width: 800, height: 300, axis: 'epsilon' });
    const losses = of.filter(({ place }) => place.kind === 'value').map((point) => layout.x(point));
    const without = of.filter(({ place }) => place.kind === 'apart').map((point) => layout.x(point));
    expect(Math.max(...losses)).toBeLessThan(Math.min(...without));
    expect(new Set(without).size).toBe(without.length);
  });

  it('labels a few ticks, each where its value lies', () => {
    for (const width of [260, 1100]) {
      const layout = layoutOf(points, { width, height: 300, axis: 'parameters' });
      const labelled = layout.xTicks.filter(({ isLabelled }) => isLabelled);
      expect(labelled.length).toBeGreaterThan(0);
      expect(labelled.length).toBeLessThanOrEqual(12);
      for (const { at, value } of layout.xTicks)
        expect(at).toBeCloseTo(layout.x({ place: { kind: 'value', value }, label: '' }), 6);
    }
  });

  it('puts rows side by side whose losses differ by a rounding alone', () => {
    const runs = [3.99899, 3.99901, 3.99899, 3.99901].map((epsilon, index) =>
      run({ method: `m${index}`, parameters: 9, epsilon, score: 0.5 }),
    );
    const of = facetsOf(compareRuns(runs), view({ axis: 'epsilon' }))[0]?.points ?? [];
    const layout = layoutOf(of, { width: 800, height: 300, axis: 'epsilon' });
    const places = of.map((point) => layout.x(point)).sort((a, b) => a - b);
    expect(places).toHaveLength(4);
    for (const [index, place] of places.slice(1).entries()) expect(place - (places[index] ?? 0)).toBeGreaterThan(6);
  });

  it('leaves a row off the front whose loss is smaller by a rounding alone', () => {
    const runs = [
      run({ method: 'full', parameters: 9, epsilon: 0.99968, score: 0.35 }),
      run({ method: 'slash', parameters: 9, epsilon: 0.9997, score: 0.6 }),
    ];
    const [facet] = facetsOf(compareRuns(runs), view({ axis: 'epsilon' }));
    expect(facet?.front.map(({ label }) => label)).toEqual(['slash']);
  });

  it('draws a loss of nothing, which a log scale has no place for, at the left end', () => {
    const losses = (...epsilons: readonly number[]) =>
      facetsOf(
        compareRuns(epsilons.map((epsilon) => run({ method: `m${epsilon}`, parameters: 9, epsilon, score: 0.5 }))),
        view({ axis: 'epsilon' }),
      )[0]?.points ?? [];
    for (const of of [losses(0), losses(0, 2, 8)]) {
      const layout = layoutOf(of, { width: 400, height: 300, axis: 'epsilon' });
      const places = of.map((point) => layout.x(point));
      expect(places.every(Number.isFinite)).toBe(true);
      expect(Math.min(...places)).toBe(places[of.findIndex(({ method }) => method === 'm0')]);
      expect(layout.xTicks.every(({ at }) => Number.isFinite(at))).toBe(true);
    }
  });

  it('draws one point, and several at the same place, without dividing by nothing', () => {
    for (const of of [points.slice(0, 1), [], points.slice(0, 1).concat(points.slice(0, 1))]) {
      const layout = layoutOf(of, { width: 400, height: 300, axis: 'parameters' });
      for (const point of of) expect([layout.x(point), layout.y(point.score)].every(Number.isFinite)).toBe(true);
      expect(layout.yTicks.every(({ at }) => Number.isFinite(at))).toBe(true);
    }
  });

  it('steps along the front by corners', () => {
    expect(
      staircase([
        { x: 0, y: 9 },
        { x: 5, y: 4 },
        { x: 7, y: 1 },
      ]),
    ).toEqual([
      [0, 9],
      [5, 9],
      [5, 4],
      [7, 4],
      [7, 1],
    ]);
    expect(staircase([])).toEqual([]);
  });
});

describe('arrow keys', () => {
  const places = fc.array(fc.record({ x: fc.integer({ min: 0, max: 5 }), y: fc.integer({ min: 0, max: 5 }) }), {
    minLength: 1,
    maxLength: 15,
  });

  it('reach every point from either end, each once', () => {
    fc.assert(
      fc.property(places, fc.constantFrom('ArrowRight', 'ArrowDown'), (all, key) => {
        const back = key === 'ArrowRight' ? 'ArrowLeft' : 'ArrowUp';
        let at = 0;
        for (const _ of all) at = nextPoint(all, at, back);
        const seen = [at];
        for (const _ of all.slice(1)) {
          at = nextPoint(all, at, key);
          seen.push(at);
        }
        expect(new Set(seen).size).toBe(all.length);
      }),
    );
  });

  it('go back where they came from, and stay at the ends', () => {
    fc.assert(
      fc.property(places, fc.nat(14), (all, start) => {
        const from = start % all.length;
        const to = nextPoint(all, from, 'ArrowRight');
        if (to !== from) expect(nextPoint(all, to, 'ArrowLeft')).toBe(from);
        expect(nextPoint(all, nextPoint(all, from, 'End'), 'ArrowRight')).toBe(nextPoint(all, from, 'End'));
        expect(nextPoint(all, from, 'x')).toBe(from);
      }),
    );
  });
});

describe('what is said', () => {
  it('of a point names everything that its picture shows', () => {
    const lora = facetsOf(comparison, view())[0]?.points.find(({ n }) => n === 3);
    expect(lora && pointText(lora, view(), english, formats)).toMatch(
      /^lora, sst2: 91\.0 ± 2\.5 \(n = 3\); 5,010 parameters; on the Pareto front\.$/,
    );
  });

  it('of the chart counts it, names the best, and goes along the front', () => {
    const [text] = chartText(facetsOf(comparison, view()), view(), english, formats);
    expect(text).toBe(
      '6 points of 4 methods on sst2. Best: lora with 91.0 ± 2.5 (n = 3) at 5,010 parameters. ' +
        'On the Pareto front, from the smallest: head (60.0), slash (81.0), lora (91.0).',
    );
  });

  it('counts one as one', () => {
    const one = compareRuns([run({ method: 'lora', score: 0.5 })]);
    expect(chartText(facetsOf(one, view()), view(), english, formats)[0]).toMatch(/^1 point of lora on sst2\. /);
    expect(scopeText({ kind: 'runs', count: 1 }, 1, english, formats)).toBe('1 selected run');
  });

  it('of averages over different tasks says which are in the chart', () => {
    const of = (tasks: readonly string[], method: string): readonly ComparedRun[] =>
      tasks.map((task) => run({ method, task, score: 0.5 }));
    const same = compareRuns([...of(['cola', 'sst2'], 'lora'), ...of(['cola', 'sst2'], 'ia3')]);
    expect(notesOf(same, english, formats).join(' ')).not.toContain('GLUE averages');
    const uneven = compareRuns([...of(['cola', 'sst2', 'rte'], 'lora'), ...of(['cola', 'sst2'], 'ia3')]);
    expect(notesOf(uneven, english, formats).join(' ')).toContain('GLUE averages are over cola, sst2, rte.');
  });

  it('keeps hostile names as they are, and fills nothing in them', () => {
    const name = '<img src=x onerror=alert(1)>{n} {label} $& ${x}';
    const odd = compareRuns([run({ method: name, task: name, score: 0.5 })]);
    const [facet] = facetsOf(odd, view());
    expect(facet?.points[0]?.method).toBe(name);
    expect(facet?.points[0] && pointText(facet.points[0], view(), english, formats)).toContain(
      `${name}, ${name}: 50.0`,
    );
    expect(chartText([...(facet ? [facet] : [])], view(), english, formats)[0]).toContain(`Best: ${name} with`);
  });

  it('of the table tells what its numbers mean and what was left out', () => {
    const all = [
      ...runs,
      run({ method: 'lora', score: 0.1, state: 'failed' }),
      run({ method: 'slash', score: 0.8, parameters: 500 }),
    ];
    expect(notesOf(compareRuns(all), english, formats)).toEqual([
      'Score in percent; n counts the runs (seeds).',
      '± is the half-width of the 95 % interval of the mean (Student’s t).',
      'Bold is the best of a column, italic the second best.',
      'The chart’s GLUE averages are over sst2, rte. Averages over other tasks cannot be held against these, and come last in the table.',
      'Left out: 1 not finished, 1 repeated later with the same configuration and seed.',
    ]);
    expect(notesOf(compareRuns([]), english, formats)).toEqual([]);
  });

  it('of the vertical axis names what is measured, and its unit', () => {
    const of = (metric: string, column: string): string => scoreAxisText(metric, [{ column }], english);
    expect(of('score', 'sst2')).toBe('Score (accuracy) in percent');
    expect(of('score', 'mrpc')).toMatch(/^Score \(mean of .*accuracy.*\) in percent$/);
    expect(of('score', 'average')).toBe('GLUE average in percent');
    expect(of('score', 'my-own')).toBe('Score in percent');
    expect(of('dev-mismatched/accuracy', 'mnli')).toBe('dev-mismatched/accuracy in percent');
    expect(scoreAxisText('score', [], english)).toBe('Score in percent');
  });

  it('of the scope says which runs', () => {
    expect(scopeText({ kind: 'all' }, 1200, english, formats)).toBe('All runs (1,200)');
    expect(scopeText({ kind: 'runs', count: 3 }, 3, english, formats)).toBe('3 selected runs');
    expect(scopeText({ kind: 'sweep', name: 'ranks' }, 9, english, formats)).toBe('Sweep ranks');
  });
});

it('marks are different in shape for the first twelve methods, and as pairs for sixty', () => {
  const names = Array.from({ length: 60 }, (_, index) => `method ${String(index).padStart(2, '0')}`);
  const twelve = [...marksOf(names.slice(0, 12)).values()];
  expect(new Set(twelve.map(({ path }) => path)).size).toBe(12);
  const all = [...marksOf(names).values()];
  expect(new Set(all.map(({ path, colour }) => `${path} ${colour}`)).size).toBe(60);
  expect(marksOf([...names].reverse())).toEqual(marksOf(names));
});

it('metrics are offered once each, the score first and other parts last', () => {
  const evaluated = (splits: Readonly<Record<string, Readonly<Record<string, number>>>>) => ({ splits });
  expect(
    metricsOf([
      { best: evaluated({ dev: { f1: 1, accuracy: 1, score: 1 }, 'dev-mismatched': { accuracy: 1 } }), last: null },
      { best: null, last: evaluated({ dev: { mcc: 1 } }) },
    ]),
  ).toEqual(['score', 'accuracy', 'f1', 'mcc', 'dev-mismatched/accuracy']);
});

it('privacy losses fall into panels by their greatest', () => {
  expect(
    [null, { low: 0.1, high: 1 }, { low: 1, high: 2.9 }, { low: 8, high: 8 }, { low: 1, high: 80 }].map(privacyFacet),
  ).toEqual(['none', '0', '1', '2', '3']);
});
