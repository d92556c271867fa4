import { posix, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pathBelow } from '../../../src/engine/path-below.ts';

describe('a path below a folder', () => {
  it.each([
    ['/study', '/study/data/train.tsv', 'data/train.tsv'],
    ['/study', '/study', ''],
    ['/', '/data', 'data'],
    ['/study', '/study/..data', '..data'],
    ['/study', '/studyer/data', undefined],
    ['/study/a', '/study/b', undefined],
    ['/study', '/Work/data', undefined],
  ])('of %s: %s', (folder, file, below) => {
    expect(pathBelow(folder, file, posix)).toBe(below);
  });

  it.each([
    ['C:\\work', 'C:\\work\\data\\train.tsv', 'data/train.tsv'],
    ['C:\\Work', 'c:\\work\\data', 'data'],
    ['C:\\', 'C:\\data', 'data'],
    ['C:\\work', 'C:\\work\\..data', '..data'],
    ['C:\\work', 'C:\\other', undefined],
    ['C:\\work', 'D:\\work\\data', undefined],
    ['C:\\work', '\\\\server\\share\\data', undefined],
    ['\\\\server\\share\\work', '\\\\server\\share\\work\\data', 'data'],
    ['\\\\server\\share', '\\\\server\\other\\data', undefined],
  ])('on Windows of %s: %s', (folder, file, below) => {
    expect(pathBelow(folder, file, win32)).toBe(below);
  });
});
