import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { findTask, listTasks } from '../../../src/tasks/registry.ts';
import { isPair, outputCount } from '../../../src/tasks/task.ts';

describe('the task registry', () => {
  it('lists the nine GLUE tasks, those that ship, and masked words', () => {
    expect(listTasks().map(({ id }) => id)).toEqual([
      'cola',
      'sst2',
      'mrpc',
      'stsb',
      'qqp',
      'mnli',
      'qnli',
      'rte',
      'wnli',
      'wordnet-supersense',
      'wordnet-relation',
      'word-order',
      'usage-tagging',
      'mlm',
    ]);
  });

  it('finds every task by its id and by its title', () => {
    for (const task of listTasks()) {
      expect(findTask(task.id)).toBe(task);
      expect(findTask(task.title)).toBe(task);
    }
    expect(findTask('sts_b').id).toBe('stsb');
  });

  it('suggests the nearest name', () => {
    expect(() => findTask('sst3')).toThrow(UserError);
    expect(() => findTask('mprc')).toThrow(/Did you mean "mrpc"\? Known: cola, /);
  });

  it('knows the outputs and the shape of every task', () => {
    const outputs = Object.fromEntries(listTasks().map((task) => [task.id, outputCount(task)]));
    expect(outputs).toMatchObject({ cola: 2, sst2: 2, mrpc: 2, stsb: 1, qqp: 2, mnli: 3, qnli: 2, rte: 2, wnli: 2 });
    expect(outputs).toMatchObject({
      'wordnet-supersense': 40,
      'wordnet-relation': 2,
      'word-order': 2,
      'usage-tagging': 3,
      mlm: 0,
    });
    expect(
      listTasks()
        .filter((task) => !isPair(task))
        .map(({ id }) => id),
    ).toEqual(['cola', 'sst2', 'wordnet-supersense', 'word-order', 'mlm']);
  });

  it('scores every task by metrics that it reports', () => {
    for (const task of listTasks()) expect(task.metrics).toEqual(expect.arrayContaining([...task.score.of]));
  });
});
