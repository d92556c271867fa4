import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closestName, editDistance, suggestion } from '../../../src/base/suggest.ts';

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), maxLength: 8 });

describe('editDistance', () => {
  it('counts insertions, deletions, substitutions and swaps of neighbours', () => {
    expect(editDistance('', 'lora')).toBe(4);
    expect(editDistance('lora', 'lra')).toBe(1);
    expect(editDistance('lora', 'lorra')).toBe(1);
    expect(editDistance('lora', 'lira')).toBe(1);
    expect(editDistance('lora', 'olra')).toBe(1);
    expect(editDistance('kitten', 'sitting')).toBe(3);
  });

  it('is zero for equal words only, symmetric, and at most the longer length', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance === 0).toBe(a === b);
        expect(editDistance(b, a)).toBe(distance);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('closestName', () => {
  const methods = ['full', 'head', 'bitfit', 'lora', 'slash'];

  it('finds the name that was meant, whatever its case', () => {
    expect(closestName('LORA', methods)).toBe('lora');
    expect(closestName('bitift', methods)).toBe('bitfit');
    expect(closestName('slahs', methods)).toBe('slash');
  });

  it('stays silent when nothing is near', () => {
    expect(closestName('quantum', methods)).toBeUndefined();
    expect(closestName('x', [])).toBeUndefined();
  });

  it('is put into a hint with everything that is known', () => {
    expect(suggestion('lara', methods)).toBe('Did you mean "lora"? Known: full, head, bitfit, lora, slash.');
    expect(suggestion('quantum', methods)).toBe('Known: full, head, bitfit, lora, slash.');
    expect(suggestion('quantum', [])).toBe('None is known.');
  });
});
