import { describe, expect, it } from 'vitest';
import { methodIds } from '../../../src/peft/registry.ts';
import { formatMethod, methodCases, methodHeader, type MeasuredMethod } from '../../bench/methods.ts';

describe('the table of all methods', () => {
  it('has every method, and a bar for those that promise one', () => {
    expect(new Set(methodCases.map(({ method }) => method))).toEqual(new Set(methodIds()));
    const promised = methodCases.filter(({ bar }) => bar === 1.15).map(({ method }) => method);
    expect(new Set(promised)).toEqual(
      new Set(['slash', 'jr-warp', 'warp', 'pasta', 'prompt-tuning', 'prefix-tuning', 'compacter', 'compacter++']),
    );
  });

  it('marks a step above its bar and compares the folded pass with the plain one', () => {
    const [, pasta] = [methodCases[0], methodCases.find(({ method }) => method === 'pasta')];
    if (pasta === undefined) throw new Error('PASTA is not measured');
    const measured: MeasuredMethod = {
      ...pasta,
      ours: 0.6,
      lora: 0.5,
      toLora: 1.2,
      toLoraRange: [1.1, 1.3],
      cpuToLora: 1.17,
      trained: 1234,
      peakBytes: 2 ** 29,
      inference: { plain: 0.1, trained: 0.2, folded: 0.101, cpuToPlain: 1.02 },
      batch: 32,
      tokens: 64,
    };
    expect(
      formatMethod(measured)
        .split(/ {2,}| (?=\d)/)
        .map((cell) => cell.trim()),
    ).toEqual(expect.arrayContaining(['pasta', '1,234', '1.20!', '512 MiB', '101.0 ms', '1.01', '1.02']));
    expect(formatMethod({ ...measured, toLora: 1.15 })).toContain('1.15 ');
    expect(formatMethod({ ...measured, inference: { plain: 0.1, trained: 0.2, stays: 'why', cpuToPlain: 2 } })).toMatch(
      /- +2\.00 +2\.00$/,
    );
    expect(methodHeader).toHaveLength(formatMethod(measured).length);
  });
});
