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
  const database = new (loadSqlite().DatabaseSync)(path, { timeout: timeoutMs });
  try {
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
    // SQLite has rolled back by itself after some errors (a full disk).
    if (database.isTransaction) database.exec('ROLLBACK');
    throw thrown;
  }
  return result;
}
