import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { insistently } from '../engine/insistently.ts';
import { DatabaseError, explain, isDamage, sqliteCode } from './errors.ts';
import { finish, ingest, type IngestReport } from './ingest.ts';
import { migrate } from './migrations.ts';
import { connect, copyContent, type Database, type JournalMode } from './sqlite.ts';

/**
 * The open database of a workspace, and how it is made whole again. The file holds nothing that the run folders can't rebuild,
 * so a damaged one is moved aside and rebuilt. Other processes may have the same file open: opening, moving aside and rebuilding
 * exclude each other through a lock file, and every use checks that the path still names the file that was opened.
 */

export interface SessionOptions {
  readonly path: string;
  readonly journalMode: JournalMode;
  /** The folder that holds one folder a run. */
  readonly runsFolder: string;
  /** Told in one sentence when the database was damaged and rebuilt. */
  readonly onNotice?: (message: string) => void;
  /** How long to wait for other processes. */
  readonly timeoutMs?: number;
}

export interface Session {
  /** Runs `work` on the database; heals the database and runs it once more when that shows damage. */
  readonly use: <T>(work: (database: Database) => T) => T;
  /** Like `use`, for work in steps between which others may have their turn. */
  readonly useSteps: <T>(work: (database: Database) => Generator<void, T>) => Generator<void, T>;
  /** Rebuilds the database from the run folders in a new file and puts that in place of the old content in one transaction. */
  readonly reindex: (pause: () => Promise<void>) => Promise<IngestReport>;
  /** Reads the whole file for damage, and heals it when there is any; answers what was wrong. */
  readonly check: () => readonly string[];
  readonly close: () => void;
}

const waitMs = 120_000;

/**
 * A lock between processes, which ends with the process that holds it: an empty SQLite file that is never written, whose lock
 * is the operating system's. `open` guards the path (opening, moving aside, rebuilding), `reindex` the long build beside it.
 */
function takeLock(path: string, purpose: 'open' | 'reindex'): Database {
  const file = `${path}.${purpose}-lock`;
  const take = (): Database => {
    const lock = connect(file, 'delete', waitMs);
    try {
      lock.exec('BEGIN EXCLUSIVE');
      return lock;
    } catch (thrown) {
      lock.close();
      throw thrown;
    }
  };
  try {
    return take();
  } catch (thrown) {
    if (!isDamage(thrown)) throw thrown;
    rmSync(file, { force: true });
    return take();
  }
}

/** Runs `work` while no other process opens, moves or rebuilds the database. */
function exclusively<T>(path: string, work: () => T): T {
  const lock = takeLock(path, 'open');
  try {
    return work();
  } finally {
    lock.close();
  }
}

interface Opened {
  readonly database: Database;
  readonly identity: string | undefined;
  /** Whether there was no database before. */
  readonly isNew: boolean;
  /** What the rebuild of a damaged database read. */
  readonly rebuilt?: IngestReport;
}

function identityOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

function open({ path, journalMode, timeoutMs }: SessionOptions): Opened {
  const database = connect(path, journalMode, timeoutMs);
  try {
    const isNew = migrate(database, path);
    // Fails where the schema is not the one that the version promises.
    database.prepare('SELECT max(key), state, search FROM runs').get();
    return { database, identity: identityOf(path), isNew };
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

/** What SQLite finds wrong with the file; empty when it is whole. */
function faultsOf(database: Database): readonly string[] {
  const rows = database.prepare('PRAGMA integrity_check(20)').all();
  return rows.map((row) => String(row.integrity_check)).filter((message) => message !== 'ok');
}

/** The files that SQLite keeps for one database. */
const companions = ['', '-wal', '-shm', '-journal'] as const;

/**
 * Connections that still hold the file notice the move: SQLite leaves the companions of a moved database alone when it closes
 * it, and every use of a session looks whether the path names its file.
 */
function moveAside(path: string): string {
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const target = `${path}.damaged-${stamp}`;
  // The journals first: beside a new database they would be taken for its own.
  try {
    for (const ending of companions.toReversed()) {
      if (identityOf(`${path}${ending}`) !== undefined) renameSync(`${path}${ending}`, `${target}${ending}`);
    }
  } catch (thrown) {
    throw new DatabaseError(
      'busy',
      `the damaged database ${path} cannot be moved aside: ${messageOf(thrown)}`,
      'Close other windows and processes that use it, then try again.',
      { cause: thrown },
    );
  }
  return target;
}

/** A new file beside the database; what earlier rebuilds left behind is cleared away. Call it under the lock of its purpose. */
function scratchFile(path: string, purpose: 'open' | 'reindex'): string {
  const prefix = `${basename(path)}.${purpose}-new-`;
  for (const name of readdirSync(dirname(path))) {
    if (name.startsWith(prefix)) rmSync(join(dirname(path), name), { force: true });
  }
  return join(dirname(path), `${prefix}${process.pid}-${randomUUID()}`);
}

function createScratch(file: string): Database {
  const database = connect(file, 'delete');
  // Nobody reads it before it is whole, so a cut half-way costs nothing.
  database.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE');
  migrate(database, file);
  return database;
}

function syncFile(file: string): void {
  const descriptor = openSync(file, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Builds the database anew and renames it into its place. Call it under the lock, with nothing at the path. */
function rebuild(path: string, runsFolder: string): IngestReport {
  const file = scratchFile(path, 'open');
  try {
    const database = createScratch(file);
    let report: IngestReport;
    try {
      report = finish(ingest(database, runsFolder));
    } finally {
      database.close();
    }
    syncFile(file);
    insistently(() => renameSync(file, path));
    return report;
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * Makes the content of the file at `path` that of `source`, in one transaction of SQLite's: other connections see all of it or
 * nothing, and go on with it.
 */
async function replaceContent(source: Database, path: string): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await copyContent(source, path);
      return;
    } catch (thrown) {
      // Node reports a busy target as result code 0.
      const code = sqliteCode(thrown);
      if ((code !== 0 && code !== 5 && code !== 6) || Date.now() > deadline) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (thrown) {
    throw new DatabaseError(
      'unwritable',
      `the folder ${folder} of the database cannot be created: ${messageOf(thrown)}`,
      'Check the permissions of the folder above it.',
      { cause: thrown },
    );
  }
}

/**
 * Opens the database, creating it (and its folder) where it is not there, and rebuilding it where it is damaged.
 * @throws DatabaseError
 */
export function openSession(options: SessionOptions): Session {
  const { path, runsFolder, onNotice = () => undefined } = options;
  const translated = <T>(work: () => T): T => {
    try {
      return work();
    } catch (thrown) {
      throw explain(thrown, path);
    }
  };

  /** Under the lock: the database at the path, rebuilt where it can't be used. */
  function openOrHeal(whole: boolean): Opened {
    try {
      const opened = open(options);
      if (!whole || faultsOf(opened.database).length === 0) return opened;
      opened.database.close();
    } catch (thrown) {
      if (!isDamage(thrown) && sqliteCode(thrown) !== 1) throw thrown;
    }
    const kept = moveAside(path);
    const rebuilt = rebuild(path, runsFolder);
    onNotice(
      `The database ${path} was damaged. It was kept as ${kept} and rebuilt from the folders of ${rebuilt.changed.length} runs; nothing recorded was lost.`,
    );
    return { ...open(options), rebuilt };
  }

  function start(whole = false): Opened {
    return translated(() => {
      makeFolder(dirname(path));
      return exclusively(path, () => openOrHeal(whole));
    });
  }

  let current: Opened | undefined = start();

  /** The open database; opened anew when another process has put another file in its place. */
  function database(): Database {
    if (current === undefined) throw new DatabaseError('closed', `the database ${path} is closed`);
    if (current.identity === identityOf(path)) return current.database;
    current.database.close();
    current = start();
    if (current.isNew) finish(ingest(current.database, runsFolder));
    return current.database;
  }

  /** After damage was met: whole again. */
  function heal(): void {
    current?.database.close();
    current = start(true);
  }

  function* useSteps<T>(work: (database: Database) => Generator<void, T>): Generator<void, T> {
    for (let attempt = 1; ; attempt++) {
      try {
        const steps = work(database());
        for (;;) {
          const step = translated(() => steps.next());
          if (step.done === true) return step.value;
          yield;
        }
      } catch (thrown) {
        if (attempt > 1 || !isDamage(thrown)) throw thrown;
        heal();
      }
    }
  }

  const use = <T>(work: (database: Database) => T): T =>
    finish(
      // eslint-disable-next-line require-yield -- one step
      useSteps(function* (opened) {
        return work(opened);
      }),
    );

  async function rebuildBeside(pause: () => Promise<void>): Promise<IngestReport> {
    const lock = translated(() => takeLock(path, 'reindex'));
    const file = scratchFile(path, 'reindex');
    let scratch: Database | undefined;
    try {
      scratch = createScratch(file);
      const steps = ingest(scratch, runsFolder);
      let step = steps.next();
      for (; step.done !== true; step = steps.next()) await pause();
      await replaceContent(scratch, path);
      return step.value;
    } catch (thrown) {
      throw explain(thrown, path);
    } finally {
      scratch?.close();
      lock.close();
      rmSync(file, { force: true });
    }
  }

  return {
    use,
    useSteps,
    async reindex(pause) {
      try {
        return await rebuildBeside(pause);
      } catch (thrown) {
        if (!isDamage(thrown)) throw thrown;
        heal();
        return current?.rebuilt ?? use((opened) => finish(ingest(opened, runsFolder)));
      }
    },
    check() {
      const faults = use(faultsOf);
      if (faults.length > 0) heal();
      return faults;
    },
    close() {
      current?.database.close();
      current = undefined;
    },
  };
}
