import {
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
  type SymbolType,
} from 'd3-shape';

/** Methods are told apart by shape and by colour: either alone suffices for the first few. */
export interface Mark {
  /** The path of the symbol, around the origin. */
  readonly path: string;
  /** A class that gives the colour. */
  readonly colour: string;
}

const shapes: readonly SymbolType[] = [
  symbolCircle,
  symbolSquare,
  symbolTriangle,
  symbolDiamond,
  symbolCross,
  symbolStar,
  symbolWye,
];

/**
 * The series colours of VS Code's themes. Orange is none of them: it is by default the colour of a search result in the minimap, which
 * is all but transparent in some themes.
 */
export const seriesColours = ['blue', 'green', 'purple', 'red', 'yellow'] as const;

/** A mark for each method; the same for the same set of methods. Seven shapes and five colours give 35 pairs. */
export function marksOf(methods: Iterable<string>, size = 64): ReadonlyMap<string, Mark> {
  const names = [...new Set(methods)].sort((a, b) => (a < b ? -1 : Number(a > b)));
  return new Map(
    names.map((name, index) => [
      name,
      {
        path: symbol(shapes[index % shapes.length] ?? symbolCircle, size)() ?? '',
        colour: seriesColours[index % seriesColours.length] ?? 'blue',
      },
    ]),
  );
}
