import { UserError } from '../base/errors.ts';

/**
 * What can go wrong with the database itself: `missing` no node:sqlite in this Node, `newer` written by a later version, `busy`
 * held by another process for too long, `full` no room on the volume, `unwritable` no permission or a read-only volume,
 * `damaged` not (or no longer) a database of ours, `closed` used after closing.
 */
export type DatabaseProblem = 'missing' | 'newer' | 'busy' | 'full' | 'unwritable' | 'damaged' | 'closed';

/** The database can't be used. Nothing recorded is lost by it: the run folders hold everything. */
export class DatabaseError extends UserError {
  override readonly name = 'DatabaseError';
  readonly problem: DatabaseProblem;

  constructor(problem: DatabaseProblem, message: string, hint?: string, options?: ErrorOptions) {
    super(message, hint, options);
    this.problem = problem;
  }
}

/** The primary result codes of SQLite (https://www.sqlite.org/rescode.html) that have a meaning for the user. */
const problems: ReadonlyMap<number, readonly [problem: DatabaseProblem, says: string, hint: string]> = new Map([
  [5, ['busy', 'is in use by another process', 'Wait a moment and try again.']],
  [6, ['busy', 'is in use by another process', 'Wait a moment and try again.']],
  [8, ['unwritable', 'cannot be written', 'Check the permissions of the file and its folder.']],
  [
    10,
    [
      'full',
      'cannot be read or written: the volume is full or failing',
      'Make room; the journals keep what is not stored yet.',
    ],
  ],
  [11, ['damaged', 'is damaged', 'Rebuild it from the run folders with "peft-lab reindex".']],
  [13, ['full', 'cannot grow: the volume is full', 'Make room; the journals keep what is not stored yet.']],
  [14, ['unwritable', 'cannot be opened', 'Check the permissions of the file and its folder.']],
  [26, ['damaged', 'is not a database', 'Rebuild it from the run folders with "peft-lab reindex".']],
]);

/** The primary SQLite result code of an error that node:sqlite threw, or undefined for any other. */
export function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown) || typeof thrown.errcode !== 'number') return undefined;
  return thrown.errcode & 0xff;
}

/** What `thrown` means to the user, when it came from SQLite and they can do something about it; otherwise `thrown` itself. */
export function explain(thrown: unknown, path: string): unknown {
  const found = problems.get(sqliteCode(thrown) ?? -1);
  if (found === undefined) return thrown;
  const [problem, says, hint] = found;
  return new DatabaseError(problem, `the database ${path} ${says}`, hint, { cause: thrown });
}

/** Whether the database must be moved aside and rebuilt. */
export function isDamage(thrown: unknown): boolean {
  if (thrown instanceof DatabaseError) return thrown.problem === 'damaged';
  return problems.get(sqliteCode(thrown) ?? -1)?.[0] === 'damaged';
}
