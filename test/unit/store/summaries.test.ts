import { expect, it } from 'vitest';
import { summaryColumns, summaryOf, type SummaryTuple } from '../../../src/store/summaries.ts';

it('takes every member from the column of its name', () => {
  const stored: Readonly<Record<string, unknown>> = { tags: '["a"]', starred: 1, label: '{"method.rank":4}' };
  const row = summaryColumns.map((column, place) => stored[column] ?? place) as unknown as SummaryTuple;
  const { tags, starred, label, parameters, failure, ...plain } = summaryOf(row);
  expect({ tags, starred, label }).toEqual({ tags: ['a'], starred: true, label: { 'method.rank': 4 } });
  const members = {
    ...plain,
    ...Object.fromEntries(Object.entries(parameters ?? {}).map(([name, value]) => [`parameters_${name}`, value])),
    ...Object.fromEntries(Object.entries(failure ?? {}).map(([name, value]) => [`failure_${name}`, value])),
  };
  const inSql = Object.entries(members).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  expect(Object.fromEntries(inSql)).toEqual(
    Object.fromEntries(
      summaryColumns.flatMap((column, place) => (Object.hasOwn(stored, column) ? [] : [[column, place]])),
    ),
  );
});
