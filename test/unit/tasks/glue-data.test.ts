import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSplit } from '../../../src/tasks/read/load.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import type { SplitName } from '../../../src/tasks/task.ts';

const data = join(import.meta.dirname, '../../../../shared/data');

/** Rows, and rows of label 1, as the data's own description counts them. */
const counts: readonly (readonly [id: string, folder: string, split: SplitName, rows: number, ofLabel1?: number])[] = [
  ['sst2', 'sst2', 'train', 67349, 37569],
  ['sst2', 'sst2', 'dev', 872, 444],
  ['sst2', 'sst2', 'test', 1821, 904],
  ['cola', 'cola', 'train', 8551, 6023],
  ['cola', 'cola', 'dev', 1043, 721],
  ['cola', 'cola', 'test', 1063],
  ['mrpc', 'mrpc', 'train', 3668],
  ['mrpc', 'mrpc', 'dev', 408],
  ['mrpc', 'mrpc', 'test', 1725, 1147],
  ['stsb', 'stsb', 'train', 5749],
  ['stsb', 'stsb', 'dev', 1500],
  ['stsb', 'stsb', 'test', 1379],
  ['qnli', 'qnli-dev', 'dev', 5463, 5463 - 2702],
  ['wnli', 'wnli', 'train', 635],
  ['wnli', 'wnli', 'dev', 71],
  ['wnli', 'wnli', 'test', 146],
];

describe.skipIf(!existsSync(data))('the distributed data', () => {
  for (const [id, folder, split, rows, ofLabel1] of counts)
    it(`${id} ${split} holds ${rows} rows`, async () => {
      const task = findTask(id);
      const { examples, labelled } = await loadSplit(task, join(data, folder), split);
      expect(examples).toHaveLength(rows);
      expect(task.splits[split]).toBe(rows);
      if (ofLabel1 !== undefined) expect(examples.filter(({ label }) => label === 1)).toHaveLength(ofLabel1);
      expect(labelled).toBe(!(split === 'test' && (id === 'cola' || id === 'wnli')));
    });
});
