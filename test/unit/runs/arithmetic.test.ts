import { describe, expect, it } from 'vitest';
import { arithmeticOf } from '../../../src/runs/arithmetic.ts';

describe('the arithmetic of a private run', () => {
  it('is another with other threads, another engine of JavaScript or another library', () => {
    const told = arithmeticOf({ provider: 'cpu', threads: 2 });
    expect(arithmeticOf({ provider: 'cpu', threads: 2 })).toBe(told);
    expect(arithmeticOf({ provider: 'cpu', threads: 1 })).not.toBe(told);
    expect(told).toContain(`V8 ${process.versions.v8}`);
    expect(told).toMatch(process.platform === 'linux' ? /, (glibc \d|linux )/ : new RegExp(process.platform));
  });

  it('is not known of a GPU', () => {
    expect(arithmeticOf({ provider: 'webgpu', threads: 1 })).toBeUndefined();
  });
});
