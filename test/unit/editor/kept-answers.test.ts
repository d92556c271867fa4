import { expect, it } from 'vitest';
import { keptAnswers } from '../../../src/editor/core/kept-answers.ts';

it('asks once for each key, again what was refused, and all of it after it was forgotten', async () => {
  const asked: string[] = [];
  const answers = keptAnswers<number>();
  const of = (key: string, refused = false): Promise<number> =>
    answers.of(key, () => {
      asked.push(key);
      return refused ? Promise.reject(new Error('no')) : Promise.resolve(asked.length);
    });
  expect(await Promise.all([of('a'), of('a'), of('b')])).toEqual([1, 1, 2]);
  const [first, second] = [of('c', true), of('c', true)];
  await expect(first).rejects.toThrow('no');
  await expect(second).rejects.toThrow('no');
  expect(await of('c')).toBe(4);
  answers.forget();
  expect(await of('a')).toBe(5);
  expect(asked).toEqual(['a', 'b', 'c', 'c', 'a']);
});

it('does not let an answer from before drive out one that was asked for since', async () => {
  const answers = keptAnswers<number>();
  let refuse: (reason: Error) => void = () => undefined;
  const before = answers.of('a', () => new Promise((_, reject) => (refuse = reject)));
  answers.forget();
  const since = answers.of('a', () => Promise.resolve(2));
  refuse(new Error('too late'));
  await expect(before).rejects.toThrow('too late');
  expect(answers.of('a', () => Promise.resolve(3))).toBe(since);
});
