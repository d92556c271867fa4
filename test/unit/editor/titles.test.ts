import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matcher } from '../../../src/editor/core/filter.ts';
import { runName, runTooltip } from '../../../src/editor/core/run-item.ts';
import { groupItem, runTree } from '../../../src/editor/core/run-tree.ts';
import { deedOf, methodTitle, taskTitle, useTitles } from '../../../src/editor/core/titles.ts';
import { methodChoices, taskChoices, titles } from '../../../src/editor/worker/catalogue.ts';
import { aRun, hostile } from './runs.ts';

describe('the titles of methods and tasks', () => {
  beforeAll(() => useTitles(titles()));
  afterAll(() => useTitles({ methods: {}, tasks: {} }));

  it('are those that "Start Run" offers', () => {
    for (const { id, title } of methodChoices()) expect(methodTitle(id)).toBe(title);
    for (const { id, title } of taskChoices()) expect(taskTitle(id)).toBe(title);
  });

  it('name groups, runs without a name of their own, and the lines of the tooltip', () => {
    const run = aRun('a', { method: 'bitfit', task: 'cola' });
    const group = (by: 'method' | 'task', value: string): string =>
      groupItem({ kind: 'group', id: '', folder: '', by, value }, [run]).label;
    expect(group('method', 'bitfit')).toBe('BitFit');
    expect(group('task', 'cola')).toBe('CoLA');
    expect(runName(run)).toBe('BitFit · CoLA');
    expect(runTooltip(run)).toMatch(/\| Task \| CoLA \|\n\| Method \| BitFit \|/);
    expect(deedOf({ method: null, task: 'cola' })).toBe('CoLA');
  });

  it('and ids are both found by the filter', () => {
    const run = aRun('a', { method: 'lora', task: 'sst2' });
    for (const text of ['sst2', 'SST-2', 'lora']) expect(matcher({ text })(run), text).toBe(true);
  });

  it('order the groups that they name', () => {
    const tree = runTree({ grouping: 'method' });
    tree.load('f', [aRun('a', { method: 'bitfit' }), aRun('b', { method: 'slash' }), aRun('c', { method: 'full' })]);
    const labels = tree
      .roots()
      .map((node) => (node.kind === 'group' ? groupItem(node, tree.runsOf(node)).label : node.kind));
    expect(labels).toEqual([...labels].sort((a, b) => a.localeCompare(b)));
  });

  it('leave what they do not know as it stands', () => {
    for (const id of ['of-another-version', 'constructor', '__proto__', hostile]) {
      expect(methodTitle(id)).toBe(id);
      expect(taskTitle(id)).toBe(id);
    }
  });
});
