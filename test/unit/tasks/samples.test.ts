import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSplit } from '../../../src/tasks/read/load.ts';
import { sampleTasks } from '../../../src/tasks/samples.ts';
import { sampleFolder } from '../../../src/tasks/sample-data.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import type { Example, SplitName } from '../../../src/tasks/task.ts';

const splits = ['train', 'dev', 'test'] as const satisfies readonly SplitName[];

async function examplesOf(id: string, split: SplitName): Promise<readonly Example[]> {
  const task = findTask(id);
  return (await loadSplit(task, sampleFolder(task) ?? '', split)).examples;
}

describe.each(sampleTasks.map((task) => [task.id, task] as const))('the sample task %s', (id, task) => {
  it('ships every split with the examples that its description names', async () => {
    for (const split of splits) expect((await examplesOf(id, split)).length).toBe(task.splits[split]);
  });

  it('has no text of one split in another', async () => {
    const seen = new Map<string, string>();
    for (const split of splits) {
      for (const { text, pair } of await examplesOf(id, split)) {
        // The gloss of a sentence may be another sentence's too, in the same split.
        for (const part of task.kind === 'words' ? [text, pair] : [text, pair]) {
          if (part === undefined) continue;
          const key = part.toLowerCase();
          expect(seen.get(key) ?? split, part).toBe(split);
          seen.set(key, split);
        }
      }
    }
  });

  it('has every label in every split, and no label alone', async () => {
    if (task.kind === 'regression') throw new Error('no sample task is a regression');
    for (const split of splits) {
      const labels = (await examplesOf(id, split)).flatMap(({ words, label }) => words?.labels ?? [label]);
      expect(new Set(labels).size).toBe(task.labels.length);
      const most = Math.max(...task.labels.map((_, label) => labels.filter((one) => one === label).length));
      expect(most / labels.length).toBeLessThan(task.kind === 'words' ? 0.95 : 0.6);
    }
  });

  it('says where its text comes from and under which licence', () => {
    const source = readFileSync(join(sampleFolder(task) ?? '', 'SOURCE.md'), 'utf8');
    expect(source).toMatch(/licence/i);
  });
});

describe('labelled words', () => {
  it('mark one word or phrase in each sentence', async () => {
    for (const { words } of await examplesOf('usage-tagging', 'dev')) {
      expect(words?.labels.filter((label) => label === 1).length).toBe(1);
      expect(words?.labels.length).toBe(words?.texts.length);
    }
  });
});
