import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { documentChecks } from '../../../src/editor/core/document-checks.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Text {
  readonly uri: string;
  version: number;
  isClosed: boolean;
  text: string;
}

/** Documents that say what the folder has, as it is when they are inspected. */
function bench() {
  const told: string[] = [];
  const problems: unknown[] = [];
  const state = { folder: 'empty', inspections: 0, isBroken: false };
  const checks = documentChecks<Text, string>({
    afterMs: 300,
    inspect: async ({ text }) => {
      state.inspections += 1;
      if (state.isBroken) throw new Error('the worker thread ended');
      const found = `${text}: ${state.folder}`;
      await Promise.resolve();
      return found;
    },
    onFound: ({ uri }, found) => told.push(`${uri} ${found}`),
    onProblem: (problem) => problems.push(problem),
  });
  const open = (text: string): Text => ({ uri: 'a', version: 1, isClosed: false, text });
  return { checks, told, problems, state, open, soon: () => vi.advanceTimersByTimeAsync(300) };
}

it('inspects a version once, a moment after the last change, and tells nothing of one that is past', async () => {
  const { checks, told, state, open, soon } = bench();
  const document = open('one');
  checks.soon(document);
  await vi.advanceTimersByTimeAsync(299);
  checks.soon(document);
  await vi.advanceTimersByTimeAsync(299);
  expect(state.inspections).toBe(0);
  await soon();
  expect([told, state.inspections]).toEqual([['a one: empty'], 1]);
  expect(await checks.of(document)).toBe('one: empty');
  expect(state.inspections).toBe(1);
  Object.assign(document, { version: 2, text: 'two' });
  expect(await checks.of(document)).toBe('two: empty');
  checks.dispose();
});

it('sees what has come since, when it is asked to look again at the same text', async () => {
  const { checks, told, state, open, soon } = bench();
  const document = open('one');
  checks.soon(document);
  await soon();
  state.folder = 'data';
  checks.soon(document);
  await soon();
  expect(told.at(-1)).toBe('a one: empty');
  checks.again(document);
  await soon();
  expect(told.at(-1)).toBe('a one: data');
});

it('asks again after an inspection failed', async () => {
  const { checks, told, problems, state, open, soon } = bench();
  const document = open('one');
  state.isBroken = true;
  checks.soon(document);
  await soon();
  expect([told, problems.length]).toEqual([[], 1]);
  state.isBroken = false;
  expect(await checks.of(document)).toBe('one: empty');
  checks.soon(document);
  await soon();
  expect(told).toEqual(['a one: empty']);
});

it('forgets a document that is closed before it was checked: opened again, the same version says something else', async () => {
  const { checks, told, state, open, soon } = bench();
  const before = open('one');
  checks.soon(before);
  before.isClosed = true;
  checks.close(before);
  await soon();
  expect([told, state.inspections]).toEqual([[], 0]);
  const after = open('two');
  expect(await checks.of(after)).toBe('two: empty');
  checks.close(after);
  expect(await checks.of(open('three'))).toBe('three: empty');
});
