import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { glueTasks } from '../../../src/tasks/glue.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import { submissionName, submissionText } from '../../../src/tasks/submission.ts';

describe("predictions for GLUE's server", () => {
  test('are called as it calls them', () => {
    expect(glueTasks.map((task) => submissionName(task, 'test'))).toEqual(
      ['CoLA', 'SST-2', 'MRPC', 'STS-B', 'QQP', 'MNLI-m', 'QNLI', 'RTE', 'WNLI'].map((name) => `${name}.tsv`),
    );
    expect(submissionName(findTask('mnli'), 'test-mismatched')).toBe('MNLI-mm.tsv');
    expect(() => submissionName(findTask('word-order'), 'test')).toThrow(UserError);
  });

  test('name the classes of entailment and number the others', () => {
    expect(submissionText(findTask('mnli'), [2, 0])).toBe('index\tprediction\n0\tcontradiction\n1\tentailment\n');
    expect(submissionText(findTask('rte'), [1])).toBe('index\tprediction\n0\tnot_entailment\n');
    expect(submissionText(findTask('wnli'), [1])).toBe('index\tprediction\n0\t1\n');
    expect(submissionText(findTask('cola'), [1, 0])).toBe('index\tprediction\n0\t1\n1\t0\n');
  });

  test('keep scores within the range', () => {
    expect(submissionText(findTask('stsb'), [-0.2, 2.34567, 5.1])).toBe(
      'index\tprediction\n0\t0.000\n1\t2.346\n2\t5.000\n',
    );
  });
});
