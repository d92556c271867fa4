import { expect, it } from 'vitest';
import { oneAtATime } from '../../../src/base/one-at-a-time.ts';

/** Work that is done piece by piece, when the test says so. */
function bench(isOver?: () => boolean) {
  const ends: ((problem?: Error) => void)[] = [];
  const call = oneAtATime(
    () =>
      new Promise((resolve, reject) => {
        ends.push((problem) => (problem === undefined ? resolve() : reject(problem)));
      }),
    isOver,
  );
  return { call, ends };
}

it('does the work once more for all who called meanwhile, and lets them wait for that', async () => {
  const { call, ends } = bench();
  const [first, second, third] = [call(), call(), call()];
  expect([second === first, third === first]).toEqual([true, true]);
  expect(ends).toHaveLength(1);
  ends[0]?.();
  await expect.poll(() => ends.length).toBe(2);
  ends[1]?.();
  await first;
  expect(ends).toHaveLength(2);
});

it('loses no call, however close to its end', async () => {
  for (let turns = 0; turns < 8; turns++) {
    let done = 0;
    let end: () => void = () => undefined;
    const call = oneAtATime(async () => {
      await new Promise<void>((resolve) => (end = resolve));
      done += 1;
    });
    void call();
    end();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const last = call();
    // Ends whatever is under way, until all is done.
    const ending = setInterval(() => end());
    await last;
    clearInterval(ending);
    expect(done, `${turns} turns`).toBe(2);
  }
});

it('does nothing more when it is over, and begins anew after it failed', async () => {
  let isOver = false;
  const { call, ends } = bench(() => isOver);
  const failed = call();
  void call().catch(() => undefined);
  ends[0]?.(new Error('no'));
  await expect(failed).rejects.toThrow('no');
  const again = call();
  expect(ends).toHaveLength(2);
  void call();
  isOver = true;
  ends[1]?.();
  await again;
  expect(ends).toHaveLength(2);
});
