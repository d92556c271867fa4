import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';

/** Reading of SQLite's rows: the schema is STRICT, so a column has its declared type or is NULL. */

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** A REAL or INTEGER column. */
export function numberOrNull(row: Row, column: string): number | null {
  const value = row[column];
  return typeof value === 'number' ? value : null;
}

/** A REAL or INTEGER column that is never NULL. */
export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`column ${column} holds no number`);
  return value;
}

/** A TEXT column. */
export function textOrNull(row: Row, column: string): string | null {
  const value = row[column];
  return typeof value === 'string' ? value : null;
}

/** A TEXT column that is never NULL. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`column ${column} holds no text`);
  return value;
}

/** The first row, or undefined. */
export function first(statement: StatementSync, ...parameters: SQLInputValue[]): Row | undefined {
  return statement.get(...parameters);
}

/** Every row. */
export function every(statement: StatementSync, ...parameters: SQLInputValue[]): readonly Row[] {
  return statement.all(...parameters);
}
