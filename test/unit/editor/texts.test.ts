import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparisonTitle } from '../../../src/editor/core/comparison-title.ts';
import { filterFrom, filterText, isFiltering, matcher } from '../../../src/editor/core/filter.ts';
import { predictedNotice } from '../../../src/editor/core/predicted.ts';
import { runStates } from '../../../src/runs/run-states.ts';
import { flagsOf, runItem, runName, runTooltip, tabTitle } from '../../../src/editor/core/run-item.ts';
import { statusText } from '../../../src/editor/core/status.ts';
import { tagChanges, typedTags } from '../../../src/editor/core/tags.ts';
import { compact, markdown, markdownLine, oneLine, withoutIcons, withoutLinks } from '../../../src/editor/core/text.ts';
import { aRun, hostile } from './runs.ts';

/** What of Markdown's own signs is left to act: none may stand without its backslash or entity. */
function acting(text: string): string | undefined {
  return text
    .replaceAll(/\\[!-/:-@[-`{-~]/g, '')
    .replaceAll(/&(?:amp|lt|gt|#\d+);/g, '')
    .match(/[`*_{}[\]()#+\-!|~$<>@:\\]/)?.[0];
}

const anything = fc
  .array(
    fc.oneof(
      fc.string(),
      fc.constantFrom(...hostile.split(' '), '\n', '\r\n', '](', '$(', '<', '&lt;', '\\', '\u2028'),
    ),
  )
  .map((parts) => parts.join(''));

describe('text from files', () => {
  it('is text in Markdown, whatever it holds', () => {
    fc.assert(
      fc.property(anything, (text) => {
        expect(acting(markdown(text))).toBeUndefined();
        expect(markdownLine(text)).not.toMatch(/[\n\r]/);
      }),
    );
    expect(acting(markdown(hostile))).toBeUndefined();
    expect(markdown('https://a.example')).not.toContain('://');
  });

  it('keeps its characters: what is escaped reads as it was', () => {
    const read = (escaped: string): string =>
      escaped
        .replaceAll(/\\([!-/:-@[-`{-~])/g, '$1')
        .replaceAll('&#58;', ':')
        .replaceAll('&#64;', '@')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&amp;', '&');
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(read(markdown(text))).toBe(text);
      }),
    );
  });

  it('has no icons in quick picks, no links in notifications, no second line in trees', () => {
    expect(withoutIcons('a $(bug) b')).toBe('a \\$(bug) b');
    expect(withoutLinks('[x](command:y)')).toBe('[x] (command:y)');
    expect(oneLine(' a\r\n\tb\u202ec\u0007 ')).toBe('a b c');
  });

  it('shows counts short', () => {
    expect([66, 1090, 294_912, 110_000_000].map(compact)).toEqual(['66', '1.09K', '295K', '110M']);
  });
});

describe('a run in the tree', () => {
  it('has a tab of one short line, whatever it is called', () => {
    const title = tabTitle(aRun('a', { name: `${hostile}\n`.repeat(9) }));
    expect(title).not.toMatch(/[\n\u202e]/u);
    expect(title.length).toBeLessThanOrEqual(60);
    expect(tabTitle(aRun('a', { name: ' ' }))).toBe('lora · sst2');
    // Of a sweep the runs have one name: their tabs are told apart by what comes first.
    const ofSweep = aRun('a', { name: 'Ranks '.repeat(20), label: { method: 'lora', 'training.seed': 1 } });
    expect(tabTitle(ofSweep)).toMatch(/^lora seed=1 · Ranks/);
  });

  it('is called by its name and what its sweep set', () => {
    expect(runName(aRun('a'))).toBe('lora · sst2');
    expect(runName(aRun('a', { name: 'Ranks', label: { 'method.rank': 4 } }))).toBe('Ranks · rank=4');
    expect(runName(aRun('a', { name: 'Ranks', label: { 'method.rank': 4 } }), { inSweep: true })).toBe('rank=4');
    expect(runName(aRun('a', { task: null, method: null }))).toBe('a');
  });

  it('tells score, parameters and epsilon; while it runs how far it is; when it failed why', () => {
    const describe_ = (changes: Parameters<typeof aRun>[1]): string => runItem(aRun('a', changes)).description;
    expect(describe_({ epsilon: 7.996, starred: true })).toBe('★ 0.7500 · 1.09K · ε 8');
    expect(describe_({ state: 'running', step: 20, score: null, remainingMs: 65_000 })).toBe(
      '50 %, 1 min 05 s left · 1.09K',
    );
    expect(describe_({ state: 'starting', score: null, parameters: null })).toBe('prepares');
    expect(
      describe_({
        state: 'failed',
        score: null,
        parameters: null,
        failure: { kind: 'user', message: 'no data\nat all' },
      }),
    ).toBe('no data');
    expect(describe_({ state: 'queued', score: null, parameters: null })).toBe('');
  });

  it('says in words what the icon shows', () => {
    for (const state of runStates) expect(runItem(aRun('a', { state })).spoken).toContain(state);
    expect(new Set(runStates.map((state) => runItem(aRun('a', { state })).icon.id)).size).toBe(runStates.length);
  });

  it('tells menus what can be done with it', () => {
    expect(flagsOf({ state: 'running', starred: false })).toBe('run+running+stoppable+unstarred');
    expect(flagsOf({ state: 'queued', starred: true })).toBe('run+queued+cancellable+starred');
    for (const state of ['stopped', 'failed', 'interrupted'] as const)
      expect(flagsOf({ state, starred: false })).toContain('+resumable');
    expect(flagsOf({ state: 'finished', starred: false })).not.toContain('resumable');
  });

  it('shows markup in every place as text', () => {
    const run = aRun('20260101-000000000-aaaaaa', {
      state: 'failed',
      name: hostile,
      model: hostile,
      task: hostile,
      method: hostile,
      tags: [hostile],
      note: `${hostile}\n${hostile}`,
      host: hostile,
      label: { [hostile]: hostile },
      failure: { kind: 'user', message: hostile },
    });
    const tooltip = runTooltip(run);
    // Our own table, emphasis, quotation and code are all that acts.
    const foreign = tooltip
      .replace(/^\*\*(.*)\*\* — failed$/m, '$1')
      .replaceAll(/^\|(.*)\|$/gm, (_, row: string) => row.replaceAll(/(?<!\\)\|/g, '').replace(/^ --- {2}---\s*$/, ''))
      .replaceAll(/^> /gm, '')
      .replace(/`[\w-]+`$/, '');
    expect(acting(foreign)).toBeUndefined();
    expect(tooltip).not.toMatch(/<|\]\(|\u202e/u);
    expect(runItem(run).label).not.toMatch(/[\u202e\n]/u);
  });
});

describe('the status bar', () => {
  it('is empty where nothing is under way', () => {
    expect(statusText([aRun('a'), aRun('b', { state: 'failed' })])).toBeUndefined();
  });

  it('counts what runs and waits, and tells progress and the longest rest', () => {
    const runs = [
      aRun('a', { state: 'running', step: 10, remainingMs: 30_000 }),
      aRun('b', { state: 'running', step: 20, remainingMs: 90_000 }),
      aRun('c', { state: 'queued', step: null }),
    ];
    expect(statusText(runs)?.text).toBe('$(sync~spin) PEFT 2 running, 1 queued · 37 % · 1 min 30 s');
    expect(statusText(runs.slice(2))?.text).toBe('$(clock) PEFT 1 queued');
    expect(statusText([aRun('a', { state: 'starting', step: null, totalSteps: null })])?.text).toBe(
      '$(sync~spin) PEFT 1 running',
    );
  });

  it('shows hostile names as text', () => {
    const tooltip = statusText([aRun('a', { state: 'running', name: hostile })])?.tooltip ?? '';
    expect(tooltip).not.toMatch(/<|\]\(/);
  });
});

describe('the filter', () => {
  const runs = [
    aRun('a', { name: 'First', tags: ['x', 'y'], starred: true }),
    aRun('b', { note: 'the FIRST again', tags: ['x'], state: 'failed' }),
    aRun('c', { label: { 'method.rank': 16 }, task: 'cola' }),
  ];
  const ids = (filter: Parameters<typeof matcher>[0]): string =>
    runs
      .filter(matcher(filter))
      .map(({ id }) => id)
      .join('');

  it('lets through what meets every condition', () => {
    expect(ids({})).toBe('abc');
    expect(ids({ text: 'first' })).toBe('ab');
    expect(ids({ text: 'first SST2' })).toBe('ab');
    expect(ids({ text: 'rank=16' })).toBe('c');
    expect(ids({ tags: ['x', 'y'] })).toBe('a');
    expect(ids({ states: ['failed', 'queued'] })).toBe('b');
    expect(ids({ starred: true, text: 'nothing' })).toBe('');
  });

  it('is told in few words, and survives what was kept of it', () => {
    expect(isFiltering({ text: '  ' })).toBe(false);
    expect(filterText({ text: 'a', tags: ['x'], states: ['failed'], starred: true })).toBe('“a” · #x · failed · ★');
    const filter = { text: 'a', tags: ['x'], states: ['failed'], starred: true } as const;
    expect(filterFrom(JSON.parse(JSON.stringify(filter)))).toEqual(filter);
    for (const rubbish of [undefined, null, 7, 'x', [], { text: 7, tags: 'x', states: ['gone'], starred: 1 }])
      expect(isFiltering(filterFrom(rubbish))).toBe(false);
  });
});

describe('tags of several runs', () => {
  it('change only what was changed', () => {
    const before = [
      ['a', 'b'],
      ['a', 'c'],
    ];
    expect(tagChanges(before, ['a'])).toEqual([]);
    expect(tagChanges(before, ['a', 'b', 'new'])).toEqual([
      { type: 'tag', tag: 'b' },
      { type: 'tag', tag: 'new' },
    ]);
    expect(tagChanges(before, [])).toEqual([{ type: 'untag', tag: 'a' }]);
  });

  it('are typed between commas, each taken once', () => {
    expect(typedTags(' first, second one,,first,known')).toEqual(['first', 'second one', 'known']);
    expect(typedTags(`two\nlines, ${'x'.repeat(101)}, `)).toEqual([]);
  });
});

describe('the tab of a comparison', () => {
  const runs = new Map(
    [
      aRun('a', { name: 'Ranks', label: { 'method.rank': 4 } }),
      aRun('b', { name: 'Ranks', label: { 'method.rank': 8 } }),
      aRun('c', { name: 'other' }),
      aRun('d', { name: 'other' }),
      aRun('e', { name: hostile.repeat(20) }),
    ].map((run) => [run.id, run]),
  );
  const title = (...ids: readonly string[]): string =>
    comparisonTitle({ kind: 'runs', runs: ids.map((id) => ({ folder: 'f', id })) }, ({ id }) => runs.get(id));

  it('tells what is compared, so that two of them are told apart', () => {
    expect(title('a')).toBe('Comparison: Ranks · rank=4');
    expect(title('c', 'd')).toBe('Comparison: other');
    expect(title('a', 'c')).toBe('Comparison: Ranks · rank=4, other');
    expect(title('a', 'b', 'c', 'd')).toBe('Comparison: Ranks · rank=4, Ranks · rank=8 and 1 more');
    expect(title('gone', 'gone too')).toBe('Comparison of 2 runs');
    const none = (): undefined => undefined;
    expect(comparisonTitle({ kind: 'everything' }, none)).toBe('Comparison of all runs');
    const sweep = 'runs/ranks.peft.json 2026-11-21T05:00:00.000Z';
    expect(comparisonTitle({ kind: 'sweep', folder: 'f', sweep }, none)).toBe('Comparison: ranks');
  });

  it('is one short line, whatever runs are called', () => {
    expect(title('e', 'a')).not.toMatch(/[\n\u202e]/u);
    expect(title('e', 'a').length).toBeLessThan(100);
    expect(title('e').length).toBeLessThan(100);
  });
});

describe('the notice of a prediction', () => {
  it('is one line in which neither the text nor a word of it is a link', () => {
    const told = predictedNotice({ prediction: 'yes' }, 'see\n[this](command:workbench.action.quit)');
    expect(told).toBe('yes – see [this] (command:workbench.action.quit)');
    const words = { prediction: ['O'], words: ['[a](command:b)'] };
    expect(predictedNotice(words, 'a')).not.toContain('](');
  });
});
