/**
 * Dimensions of tensors: integers, or polynomials with integer coefficients in named symbols (`batch`, `sequence`), so that a
 * graph is built once and runs at every batch size and length. Symbolic dimensions are interned: equal ones are the same object.
 */

interface Term {
  readonly coefficient: number;
  /** Sorted; a square is a name twice. */
  readonly symbols: readonly string[];
}

export interface SymbolicDim {
  /** Canonical text, such as `4*batch*sequence+batch`; two dimensions are equal if and only if their texts are. */
  readonly text: string;
  readonly terms: readonly Term[];
}

export type Dim = number | SymbolicDim;
export type Shape = readonly Dim[];

/** Values for the symbols of a graph. */
export type Bindings = Readonly<Record<string, number>>;

const interned = new Map<string, SymbolicDim>();

function fromTerms(terms: readonly Term[]): Dim {
  const merged = new Map<string, Term>();
  for (const term of terms) {
    const key = term.symbols.join('*');
    const coefficient = (merged.get(key)?.coefficient ?? 0) + term.coefficient;
    if (coefficient === 0) merged.delete(key);
    else merged.set(key, { coefficient, symbols: term.symbols });
  }
  const kept = [...merged.entries()].sort(([a], [b]) => (a < b ? 1 : a > b ? -1 : 0)).map(([, term]) => term);
  const only = kept[0];
  if (only === undefined) return 0;
  if (kept.length === 1 && only.symbols.length === 0) return only.coefficient;
  const text = kept
    .map(({ coefficient, symbols }) =>
      symbols.length === 0 ? String(coefficient) : (coefficient === 1 ? symbols : [coefficient, ...symbols]).join('*'),
    )
    .join('+')
    .replaceAll('+-', '-');
  const known = interned.get(text);
  if (known !== undefined) return known;
  const dim: SymbolicDim = { text, terms: kept };
  interned.set(text, dim);
  return dim;
}

function termsOf(dim: Dim): readonly Term[] {
  if (typeof dim !== 'number') return dim.terms;
  return dim === 0 ? [] : [{ coefficient: dim, symbols: [] }];
}

/** The dimension called `name`. */
export function symbol(name: string): SymbolicDim {
  return fromTerms([{ coefficient: 1, symbols: [name] }]) as SymbolicDim;
}

/** `a + b`, in the one form that equal dimensions have. */
export function addDims(a: Dim, b: Dim): Dim {
  return fromTerms([...termsOf(a), ...termsOf(b)]);
}

/** `a - b`, in the one form that equal dimensions have. */
export function subtractDims(a: Dim, b: Dim): Dim {
  return addDims(a, multiplyDims(b, -1));
}

/** `a · b`, in the one form that equal dimensions have. */
export function multiplyDims(a: Dim, b: Dim): Dim {
  return fromTerms(
    termsOf(a).flatMap((left) =>
      termsOf(b).map((right) => ({
        coefficient: left.coefficient * right.coefficient,
        symbols: [...left.symbols, ...right.symbols].sort(),
      })),
    ),
  );
}

/** `a / b` where `b` is a single term that divides every term of `a` exactly; undefined otherwise. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  const [divisor, ...more] = termsOf(b);
  if (divisor === undefined || more.length > 0) return undefined;
  const quotients: Term[] = [];
  for (const term of termsOf(a)) {
    const symbols = [...term.symbols];
    for (const name of divisor.symbols) {
      const at = symbols.indexOf(name);
      if (at < 0) return undefined;
      symbols.splice(at, 1);
    }
    const coefficient = term.coefficient / divisor.coefficient;
    if (!Number.isInteger(coefficient)) return undefined;
    quotients.push({ coefficient, symbols });
  }
  return fromTerms(quotients);
}

/** The number of elements of a shape. */
export function sizeOf(shape: Shape): Dim {
  return shape.reduce<Dim>(multiplyDims, 1);
}

/** Whether two shapes are equal for all values of their symbols. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** A shape for people: `[batch, 2·sequence, 384]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.map((dim) => (typeof dim === 'number' ? String(dim) : dim.text)).join(', ')}]`;
}

/** The names of the symbols in a dimension. */
export function symbolsOf(dim: Dim): readonly string[] {
  return [...new Set(termsOf(dim).flatMap((term) => term.symbols))];
}

/** The value of a dimension. @throws Error if a symbol has no binding */
export function evaluateDim(dim: Dim, bindings: Bindings): number {
  return termsOf(dim).reduce((sum, term) => {
    const product = term.symbols.reduce((value, name) => {
      const bound = bindings[name];
      if (bound === undefined) throw new Error(`dimension ${name} has no value`);
      return value * bound;
    }, term.coefficient);
    return sum + product;
  }, 0);
}

/** The sizes of a shape. @throws Error if a symbol has no binding */
export function evaluateShape(shape: Shape, bindings: Bindings): number[] {
  return shape.map((dim) => evaluateDim(dim, bindings));
}
