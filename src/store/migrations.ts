import { DatabaseError } from './errors.ts';
import { inTransaction, type Database } from './sqlite.ts';

/** Marks the file as ours ("PEFT"), so that somebody else's database is never migrated. */
const applicationId = 0x50454654;

/**
 * One script a version, oldest first; never edited once released. Times are milliseconds since 1970. Rows that belong to a run
 * refer to `runs.key`; there are no foreign keys because rows are only ever written with their run, in one transaction, and
 * the check would cost on every metric point.
 */
const scripts: readonly string[] = [
  `
  CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- From here on everything follows from the other tables and is recomputed whenever they change.
    state TEXT NOT NULL,
    name TEXT, model TEXT, task TEXT, method TEXT, seed INTEGER, host TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    note TEXT NOT NULL DEFAULT '',
    starred INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    -- Lower case: what a text filter looks through.
    search TEXT NOT NULL DEFAULT '',
    parameters_method INTEGER, parameters_head INTEGER, parameters_total INTEGER, parameters_frozen INTEGER,
    score REAL, best_step INTEGER, last_score REAL, epsilon REAL,
    step INTEGER, total_steps INTEGER, epoch REAL, loss REAL, examples_per_second REAL, remaining_ms REAL,
    peak_bytes REAL, train_seconds REAL, provider TEXT,
    segments INTEGER NOT NULL DEFAULT 0,
    diagnostics INTEGER NOT NULL DEFAULT 0,
    created_at REAL, started_at REAL, updated_at REAL, ended_at REAL,
    failure_kind TEXT, failure_message TEXT
  ) STRICT;

  CREATE TABLE configurations (
    run INTEGER PRIMARY KEY,
    config TEXT,
    environment TEXT
  ) STRICT;

  -- How far each file of a run folder was read. fingerprint: of the bytes at the start of the file and before the position.
  CREATE TABLE sources (
    run INTEGER NOT NULL, file TEXT NOT NULL,
    position INTEGER NOT NULL, fingerprint TEXT NOT NULL,
    seen_size INTEGER NOT NULL, seen_time REAL NOT NULL,
    PRIMARY KEY (run, file)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE events (
    run INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    type TEXT NOT NULL, time REAL NOT NULL, step INTEGER, epoch REAL,
    PRIMARY KEY (run, segment, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

  -- One number of one event; step, epoch and time are the event's. NULL stands for NaN and infinities.
  CREATE TABLE points (
    run INTEGER NOT NULL, metric INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    value REAL,
    PRIMARY KEY (run, metric, segment, seq)
  ) STRICT, WITHOUT ROWID;

  -- Every segment that any event names; what its "started" event says is NULL until that was read.
  CREATE TABLE segments (
    run INTEGER NOT NULL, segment INTEGER NOT NULL,
    started_at REAL, from_step INTEGER, total_steps INTEGER, steps_per_epoch INTEGER, train_examples INTEGER,
    process_id INTEGER,
    parameters_method INTEGER, parameters_head INTEGER, parameters_total INTEGER, parameters_frozen INTEGER,
    provider TEXT, threads INTEGER, device_reason TEXT,
    remaining_seq INTEGER, remaining_ms REAL,
    PRIMARY KEY (run, segment)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE evaluations (
    run INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    split TEXT NOT NULL, examples INTEGER, loss REAL, seconds REAL, best INTEGER NOT NULL, metrics TEXT NOT NULL,
    PRIMARY KEY (run, segment, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE checkpoints (
    run INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, path TEXT NOT NULL,
    PRIMARY KEY (run, segment, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE logs (
    run INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    level TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (run, segment, seq)
  ) STRICT, WITHOUT ROWID;

  -- finished, stopped, failed. detail: the event's other members as JSON.
  CREATE TABLE endings (
    run INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL,
    type TEXT NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (run, segment, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE marks (
    run INTEGER NOT NULL, position INTEGER NOT NULL,
    type TEXT NOT NULL, time REAL, detail TEXT NOT NULL,
    PRIMARY KEY (run, position)
  ) STRICT, WITHOUT ROWID;

  -- Lines that could not be read, by the byte at which they begin.
  CREATE TABLE diagnostics (
    run INTEGER NOT NULL, file TEXT NOT NULL, position INTEGER NOT NULL,
    problem TEXT NOT NULL, excerpt TEXT NOT NULL,
    PRIMARY KEY (run, file, position)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- What sweep a run belongs to, and as JSON what the sweep set for it.
  ALTER TABLE runs ADD COLUMN sweep TEXT;
  ALTER TABLE runs ADD COLUMN label TEXT NOT NULL DEFAULT '{}';
  UPDATE runs SET
    sweep = (SELECT CASE WHEN json_type(environment, '$.origin.sweep') = 'text'
      THEN json_extract(environment, '$.origin.sweep') END FROM configurations WHERE run = key AND json_valid(environment)),
    label = coalesce((SELECT CASE WHEN json_type(environment, '$.origin.label') = 'object'
      THEN json_extract(environment, '$.origin.label') END FROM configurations WHERE run = key AND json_valid(environment)), '{}');
  `,
];

/** The version of the schema that this code reads and writes. */
export const schemaVersion = scripts.length;

/** The tables whose rows belong to one run by their column `run`. */
export const runTables = [
  'configurations',
  'sources',
  'events',
  'points',
  'segments',
  'evaluations',
  'checkpoints',
  'logs',
  'endings',
  'marks',
  'diagnostics',
] as const;

function pragma(database: Database, name: 'user_version' | 'application_id'): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function isEmpty(database: Database): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
}

/**
 * Brings the schema to {@link schemaVersion}, in one transaction; two processes may do so at once.
 * @returns whether the database was new
 * @throws DatabaseError `newer` when a later version of PEFT Lab wrote it, `damaged` when it is not ours
 */
export function migrate(database: Database, path: string): boolean {
  const current = (): number => {
    if (!isEmpty(database) && pragma(database, 'application_id') !== applicationId)
      throw new DatabaseError('damaged', `${path} is a database, but not one of PEFT Lab`);
    const version = pragma(database, 'user_version');
    if (version > schemaVersion)
      throw new DatabaseError(
        'newer',
        `the database ${path} was written by a later version of PEFT Lab (schema ${version}; this one knows ${schemaVersion})`,
        'Update PEFT Lab, or move the file away: it is rebuilt from the run folders.',
      );
    return version;
  };
  if (current() === schemaVersion) return false;
  return inTransaction(database, () => {
    const version = current();
    for (const script of scripts.slice(version)) database.exec(script);
    database.exec(`PRAGMA user_version = ${schemaVersion}`);
    database.exec(`PRAGMA application_id = ${applicationId}`);
    return version === 0;
  });
}
