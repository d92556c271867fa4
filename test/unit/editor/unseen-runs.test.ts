import { expect, it } from 'vitest';
import { moment } from '../../../src/base/format.ts';
import { unseenQuestion } from '../../../src/editor/core/unseen-runs.ts';
import { hostile } from './runs.ts';

const now = Date.UTC(2026, 10, 21, 12);
const held = {
  name: 'LoRA on SST-2',
  host: 'node17',
  claimed: now - 7_200_000,
  heartbeat: now - 3_700_000,
};

it('says who holds the run, since when, and what follows', () => {
  const { message, detail, yes } = unseenQuestion('resume', [held], 1, now);
  expect(message).toBe('The run “LoRA on SST-2” is held by node17, which cannot be seen from here.');
  expect(detail).toContain(`Held since ${moment(held.claimed)}, last sign of life 1 h ago.`);
  expect(detail).toContain('it ends when it notices');
  expect(yes).toBe('Resume Anyway');
  const removal = unseenQuestion('delete', [held], 1, now);
  expect(removal.yes).toBe('Delete Anyway');
  expect(removal.detail).toContain('This cannot be undone.');
});

it('tells of each of several, and counts those beyond a few', () => {
  const { message, detail } = unseenQuestion(
    'delete',
    Array.from({ length: 11 }, () => held),
    40,
    now,
  );
  expect(message).toBe('11 of 40 runs are held by machines that cannot be seen from here.');
  expect(detail.match(/“LoRA on SST-2”: held by node17 since /g)).toHaveLength(8);
  expect(detail).toContain('… and 3 more');
});

it('shows whatever a lease says on one line, and a clock that is ahead as no age', () => {
  const odd = { ...held, name: hostile.repeat(20), host: `${hostile}\nnode`.repeat(9), heartbeat: now + 9e9 };
  const { message, detail } = unseenQuestion('resume', [odd], 1, now);
  expect(message).not.toMatch(/[\n\u202e]/u);
  expect(message.length).toBeLessThan(300);
  expect(detail).toContain('last sign of life 0 s ago');
});
