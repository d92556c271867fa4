// The tables of benchmarks, for people.

/** A column's head and its width in characters. */
export type Column = readonly [title: string, width: number];

/** A line of a table: the first column's cell to the left, the others to the right. */
export function row(columns: readonly Column[], cells: readonly string[]): string {
  return columns
    .map(([, width], index) =>
      index === 0 ? (cells[index] ?? '').padEnd(width) : (cells[index] ?? '').padStart(width),
    )
    .join(' ');
}

export function header(columns: readonly Column[]): string {
  return row(
    columns,
    columns.map(([title]) => title),
  );
}

export function milliseconds(seconds: number): string {
  return `${(seconds * 1000).toFixed(1)} ms`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

/** The least and the greatest ratio of single rounds. */
export function range(ratios: readonly number[]): string {
  return ratios.map((ratio) => ratio.toFixed(2)).join(' to ');
}

/** A ratio, marked where it is above its bar. */
export function againstBar(ratio: number, bar: number | undefined): string {
  return `${ratio.toFixed(2)}${bar !== undefined && ratio > bar ? '!' : ''}`;
}
