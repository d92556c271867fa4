import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDims,
  divideDims,
  evaluateDim,
  evaluateShape,
  formatShape,
  multiplyDims,
  sameShape,
  sizeOf,
  subtractDims,
  symbol,
  symbolsOf,
  type Dim,
} from '../../../../src/engine/graph/dims.ts';
import { law } from './support.ts';

const a = symbol('a');
const b = symbol('b');

/** One term: a coefficient and up to two symbols. */
const term: fc.Arbitrary<Dim> = fc
  .tuple(fc.integer({ min: -4, max: 4 }), fc.array(fc.constantFrom(a, b), { maxLength: 2 }))
  .map(([coefficient, symbols]) => symbols.reduce<Dim>(multiplyDims, coefficient));
const polynomial = fc.array(term, { maxLength: 4 }).map((terms) => terms.reduce<Dim>(addDims, 0));
const bindings = fc.record({ a: fc.integer({ min: 0, max: 50 }), b: fc.integer({ min: 0, max: 50 }) });

describe('dimensions', () => {
  it('form a commutative ring, equal ones being one object', () => {
    law(fc.tuple(polynomial, polynomial, polynomial), ([x, y, z]) => {
      expect(addDims(x, y)).toBe(addDims(y, x));
      expect(addDims(addDims(x, y), z)).toBe(addDims(x, addDims(y, z)));
      expect(addDims(x, 0)).toBe(x);
      expect(subtractDims(x, x)).toBe(0);
      expect(addDims(subtractDims(x, y), y)).toBe(x);
      expect(multiplyDims(x, y)).toBe(multiplyDims(y, x));
      expect(multiplyDims(multiplyDims(x, y), z)).toBe(multiplyDims(x, multiplyDims(y, z)));
      expect(multiplyDims(x, 1)).toBe(x);
      expect(multiplyDims(x, 0)).toBe(0);
      expect(multiplyDims(x, addDims(y, z))).toBe(addDims(multiplyDims(x, y), multiplyDims(x, z)));
    });
  });

  it('evaluate as their sums and products do', () => {
    law(fc.tuple(polynomial, polynomial, bindings), ([x, y, values]) => {
      const [left, right] = [evaluateDim(x, values), evaluateDim(y, values)];
      expect(evaluateDim(addDims(x, y), values)).toBe(left + right);
      expect(evaluateDim(subtractDims(x, y), values)).toBe(left - right);
      expect(evaluateDim(multiplyDims(x, y), values)).toBeCloseTo(left * right, 6);
    });
  });

  it('are one object exactly when they are equal as polynomials', () => {
    // Coefficients stay below 20 and degrees below 3, so these values tell all such polynomials apart.
    const telling = { a: 100, b: 1e6 };
    law(fc.tuple(polynomial, polynomial), ([x, y]) => {
      expect(x === y).toBe(evaluateDim(x, telling) === evaluateDim(y, telling));
    });
  });

  it('are plain numbers where no symbol is left', () => {
    law(fc.tuple(polynomial, fc.integer()), ([x, n]) => {
      expect(subtractDims(addDims(x, n), x)).toBe(n);
    });
  });

  it('divide what was multiplied, and only that', () => {
    const divisor = term.filter((dim) => dim !== 0);
    law(fc.tuple(polynomial, divisor), ([x, y]) => {
      expect(divideDims(multiplyDims(x, y), y)).toBe(x);
      const quotient = divideDims(x, y);
      if (quotient !== undefined) expect(multiplyDims(quotient, y)).toBe(x);
    });
    expect(divideDims(addDims(a, 1), a)).toBeUndefined();
    expect(divideDims(multiplyDims(a, 3), 2)).toBeUndefined();
    expect(divideDims(a, b)).toBeUndefined();
    expect(divideDims(a, 0)).toBeUndefined();
    expect(divideDims(a, addDims(a, 1))).toBeUndefined();
  });

  it('name their symbols, and ask for the value of each', () => {
    expect(symbolsOf(addDims(multiplyDims(a, b), addDims(a, 3)))).toEqual(expect.arrayContaining(['a', 'b']));
    expect(symbolsOf(3)).toEqual([]);
    expect(() => evaluateDim(multiplyDims(a, b), { a: 2 })).toThrow(/dimension b/);
  });
});

describe('shapes', () => {
  it('have a size, a text and an equality', () => {
    const shape = [a, 3, addDims(multiplyDims(a, b), -1)];
    expect(formatShape(shape)).toBe('[a, 3, a*b-1]');
    expect(sizeOf([a, 3, b])).toBe(multiplyDims(3, multiplyDims(b, a)));
    expect(sizeOf([])).toBe(1);
    expect(evaluateShape(shape, { a: 2, b: 5 })).toEqual([2, 3, 9]);
    expect(sameShape(shape, [symbol('a'), 3, subtractDims(multiplyDims(b, a), 1)])).toBe(true);
    expect(sameShape(shape, shape.slice(1))).toBe(false);
    expect(sameShape([a], [b])).toBe(false);
  });
});
