import { beforeAll, describe, expect, it } from 'vitest';
import { filterText } from '../../../src/editor/core/filter.ts';
import { useTranslator } from '../../../src/editor/core/l10n.ts';
import { logText } from '../../../src/editor/core/log-text.ts';
import { runItem, runTooltip } from '../../../src/editor/core/run-item.ts';
import { runStates } from '../../../src/runs/run-states.ts';
import { aRun } from './runs.ts';

/** A language in which every letter of a text is an x, so that what was not translated stands out. */
beforeAll(() =>
  useTranslator((message, ...values) =>
    message
      .replaceAll(/\p{L}/gu, 'x')
      .replaceAll(/\{(\d+)\}/g, (_, index: string) => String(values[Number(index)] ?? '')),
  ),
);

/** The words of a text that no translator was asked for. */
function untranslated(text: string): readonly string[] {
  return (text.match(/\p{L}{2,}/gu) ?? []).filter((word) => !/^x+$/.test(word));
}

describe('in another language', () => {
  it('a tooltip has no English words beside names and units', () => {
    const run = aRun('1', { epsilon: 8, tags: ['mine'], label: { rank: 4 }, name: 'Ranks', createdAt: null });
    expect(new Set(untranslated(runTooltip(run)))).toEqual(
      new Set(['Ranks', 'rank', 'someone', 'model', 'sst', 'lora', 'cpu', 'here', 'mine']),
    );
    for (const state of runStates)
      expect(untranslated(runItem(aRun('1', { state, score: null, parameters: null })).spoken), state).toEqual([
        'lora',
        'sst',
      ]);
  });

  it('a device without a host, or a host without a device, is told alone', () => {
    expect(runTooltip(aRun('1', { host: null }))).toContain('| cpu |');
    expect(runTooltip(aRun('1', { provider: null }))).toContain('| here |');
  });

  it('a filter tells the states that it lets through', () => {
    expect(untranslated(filterText({ states: [...runStates] }))).toEqual([]);
  });

  it('a log has only its trainer’s words in English', () => {
    const log = { text: '', state: 'interrupted', reason: 'power', errors: 'stack' } as const;
    expect(untranslated(logText(log))).toEqual(['power', 'stack']);
  });
});
