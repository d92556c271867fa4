import type * as sqlite from 'node:sqlite';
import { DatabaseError } from './errors.ts';

export type Database = sqlite.DatabaseSync;

/** `wal` lets readers go on beside a writer, and needs shared memory, so never on a network file system. */
export type JournalMode = 'wal' | 'delete';

/**
 * Node's own SQLite, asked for at run time because some hosts (Node before 22.5, an Electron line) have none.
 * @throws DatabaseError (`missing`)
 */
export function loadSqlite(): typeof sqlite {
  // The types promise the module; a Node without it answers undefined.
  const found = process.getBuiltinModule('node:sqlite') as typeof sqlite | undefined;
  if (found === undefined)
    throw new DatabaseError(
      'missing',
      `this Node (${process.version}${process.versions.electron === undefined ? '' : `, Electron ${process.versions.electron}`}) has no node:sqlite`,
      'Use Node 24 or later, or an editor built on it.',
    );
  return found;
}

/**
 * Opens the file, which is created when absent.
 * @param timeoutMs how long a statement waits for another process's lock
 */
export function connect(path: string, journalMode: JournalMode, timeoutMs = 10_000): Database {
  const database = new (loadSqlite().DatabaseSync)(path);
  try {
    // A pragma, because the option of the same meaning is younger than Node 22.15, which VS Code 1.101 has.
    database.exec(`PRAGMA busy_timeout = ${timeoutMs}`);
    database.exec(`PRAGMA journal_mode = ${journalMode}`);
    // In WAL mode a power cut can lose the last transactions, never the file; the journals give them back.
    database.exec('PRAGMA synchronous = NORMAL');
    database.exec('PRAGMA cache_size = -16000');
    database.exec('PRAGMA temp_store = MEMORY');
    return database;
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

/** Runs `work` inside BEGIN IMMEDIATE: all of it is stored or nothing, and no other process writes meanwhile. */
export function inTransaction<T>(database: Database, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  let result: T;
  try {
    result = work();
    database.exec('COMMIT');
  } catch (thrown) {
    rollBack(database);
    throw thrown;
  }
  return result;
}

function rollBack(database: Database): void {
  try {
    database.exec('ROLLBACK');
  } catch {
    // SQLite has rolled back by itself after some errors (a full disk).
  }
}

/** The rows of a query as arrays, in the order of its columns, whose names have to differ. */
export function allAsArrays(
  database: Database,
  sql: string,
  ...parameters: readonly sqlite.SQLInputValue[]
): readonly unknown[] {
  const statement: Omit<sqlite.StatementSync, 'setReturnArrays'> & Partial<sqlite.StatementSync> =
    database.prepare(sql);
  if (statement.setReturnArrays === undefined)
    // Node before 22.16.
    return statement.all(...parameters).map((row) => Object.values(row));
  statement.setReturnArrays(true);
  return statement.all(...parameters);
}

/**
 * Makes the content of the database file at `path` that of `source`, in one transaction: other connections see all of it or
 * nothing, and go on with it. Both have the tables of the same version.
 * @throws what SQLite says, also that the file is busy
 */
export async function copyContent(source: Database, path: string): Promise<void> {
  const known: Partial<Pick<typeof sqlite, 'backup'>> = loadSqlite();
  if (known.backup === undefined) copyTables(source, path);
  // All pages in one step: the step holds the write lock, and readers keep the old content until it is done.
  else await known.backup(source, path, { rate: 0x7fffffff });
}

/** What `backup` does, for Node before 22.16. */
function copyTables(source: Database, path: string): void {
  // Everything that is attached would be locked like the source, and written as carelessly.
  source.exec('PRAGMA locking_mode = NORMAL');
  source.prepare('ATTACH ? AS target').run(path);
  try {
    const { journal_mode: mode } = source.prepare('PRAGMA target.journal_mode').get() ?? {};
    if (mode !== 'wal') source.exec('PRAGMA target.journal_mode = DELETE');
    source.exec('PRAGMA target.synchronous = NORMAL');
    const tables = source.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'").all();
    inTransaction(source, () => {
      for (const { name } of tables) {
        source.exec(`DELETE FROM target."${String(name)}"`);
        source.exec(`INSERT INTO target."${String(name)}" SELECT * FROM main."${String(name)}"`);
      }
    });
  } finally {
    source.exec('DETACH target');
  }
}
