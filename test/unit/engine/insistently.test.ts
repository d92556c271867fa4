import { describe, expect, it } from 'vitest';
import { insist, insistently } from '../../../src/engine/insistently.ts';

/** A call that is refused some times before it gives "done". */
function refused(times: number, code: string): { readonly call: () => string; readonly calls: () => number } {
  let calls = 0;
  return {
    call: () => {
      if (++calls <= times) throw Object.assign(new Error(code), { code });
      return 'done';
    },
    calls: () => calls,
  };
}

describe('a file that another program holds', () => {
  it.each(['EPERM', 'EACCES', 'EBUSY'])('is tried again on Windows after %s', async (code) => {
    expect(insistently(refused(3, code).call, 'win32')).toBe('done');
    const { call } = refused(3, code);
    expect(await insist(() => Promise.resolve().then(call), 'win32')).toBe('done');
  });

  it('is told of in the end, and elsewhere or after another refusal at once', async () => {
    const held = refused(Infinity, 'EBUSY');
    expect(() => insistently(held.call, 'win32')).toThrow('EBUSY');
    expect(held.calls()).toBe(20);
    for (const [code, platform] of [
      ['EBUSY', 'linux'],
      ['EPERM', 'darwin'],
      ['ENOENT', 'win32'],
      ['EEXIST', 'win32'],
    ] as const) {
      const { call, calls } = refused(1, code);
      expect(() => insistently(call, platform)).toThrow(code);
      expect(calls()).toBe(1);
      await expect(insist(() => Promise.resolve().then(refused(1, code).call), platform)).rejects.toThrow(code);
    }
  });
});
