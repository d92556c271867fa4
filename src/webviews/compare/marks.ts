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

/** Methods are told apart by shape and by colour. The first twelve differ in shape, since not everybody sees the colours apart. */
export interface Mark {
  /** The path of the symbol, around the origin. */
  readonly path: string;
  /** A class that gives the colour. */
  readonly colour: string;
}

/** A polygon of about unit area around the origin, drawn in the size that is asked for. */
function polygon(corners: readonly (readonly [x: number, y: number])[]): SymbolType {
  return {
    draw(path, size) {
      const unit = Math.sqrt(size);
      for (const [index, [x, y]] of corners.entries())
        if (index === 0) path.moveTo(x * unit, y * unit);
        else path.lineTo(x * unit, y * unit);
      path.closePath();
    },
  };
}

const shapes: readonly SymbolType[] = [
  symbolCircle,
  symbolSquare,
  symbolTriangle,
  symbolDiamond,
  symbolCross,
  symbolStar,
  symbolWye,
  // A triangle on its tip, an x, an hourglass, and triangles to either side.
  polygon([
    [0, 0.88],
    [0.76, -0.44],
    [-0.76, -0.44],
  ]),
  polygon([
    [0, 0.27],
    [0.54, 0.81],
    [0.81, 0.54],
    [0.27, 0],
    [0.81, -0.54],
    [0.54, -0.81],
    [0, -0.27],
    [-0.54, -0.81],
    [-0.81, -0.54],
    [-0.27, 0],
    [-0.81, 0.54],
    [-0.54, 0.81],
  ]),
  polygon([
    [-0.65, -0.72],
    [0.65, -0.72],
    [-0.65, 0.72],
    [0.65, 0.72],
  ]),
  polygon([
    [-0.88, 0],
    [0.44, 0.76],
    [0.44, -0.76],
  ]),
  polygon([
    [0.88, 0],
    [-0.44, 0.76],
    [-0.44, -0.76],
  ]),
];

/**
 * The series colours of VS Code's themes. Orange is none of them: it is by default the colour of a search result in the minimap, which
 * is all but transparent in some themes.
 */
export const seriesColours = ['blue', 'green', 'purple', 'red', 'yellow'] as const;

/** A mark for each method; the same for the same set of methods. Twelve shapes and five colours give 60 pairs. */
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
