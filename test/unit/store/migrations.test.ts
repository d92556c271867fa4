import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DatabaseError } from '../../../src/store/errors.ts';
import { migrate, runTables, schemaVersion } from '../../../src/store/migrations.ts';
import { listRuns, runPage } from '../../../src/store/listing.ts';
import { connect, inTransaction } from '../../../src/store/sqlite.ts';
import { makeWorkspace, type Workspace } from './workspace.ts';

let workspace: Workspace;
let path: string;
beforeEach(() => {
  workspace = makeWorkspace();
  path = join(workspace.root, 'test.db');
});
afterEach(() => workspace.remove());

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return thrown instanceof DatabaseError ? thrown.problem : `not a DatabaseError: ${String(thrown)}`;
  }
}

describe('migrations', () => {
  it('make the schema once', () => {
    const database = connect(path, 'wal');
    expect(migrate(database, path)).toBe(true);
    expect(migrate(database, path)).toBe(false);
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: schemaVersion });
    for (const table of runTables)
      expect(database.prepare(`SELECT count(run) AS n FROM ${table}`).get()).toEqual({ n: 0 });
    database.close();
  });

  it('carry a database of the first version over without reading the runs again', () => {
    const database = connect(path, 'wal');
    migrate(database, path);
    const label = { 'method.rank': 4, 'training.seed': 1 };
    const environments: readonly [string, string | null][] = [
      ['swept', JSON.stringify({ created: '2026-11-21', origin: { file: 'a', sweep: 'a 2026', label } })],
      ['alone', JSON.stringify({ origin: { file: 'a', label: {} } })],
      ['strange', JSON.stringify({ origin: { sweep: 7, label: ['x'] } })],
      ['damaged', '{"origin": {'],
      ['bare', null],
    ];
    for (const [index, [id, environment]] of environments.entries()) {
      database.prepare("INSERT INTO runs (key, id, state) VALUES (?, ?, 'queued')").run(index, id);
      database.prepare('INSERT INTO configurations (run, environment) VALUES (?, ?)').run(index, environment);
    }
    database.exec('ALTER TABLE runs DROP COLUMN sweep; ALTER TABLE runs DROP COLUMN label; PRAGMA user_version = 1');
    expect(migrate(database, path)).toBe(false);
    expect(
      runPage(listRuns(database, { sort: { by: 'id' } })).runs.map(({ id, sweep, label }) => ({ id, sweep, label })),
    ).toEqual([
      { id: 'alone', sweep: null, label: {} },
      { id: 'bare', sweep: null, label: {} },
      { id: 'damaged', sweep: null, label: {} },
      { id: 'strange', sweep: null, label: {} },
      { id: 'swept', sweep: 'a 2026', label },
    ]);
    database.close();
  });

  it('refuse a newer database and leave it as it is', () => {
    const database = connect(path, 'wal');
    migrate(database, path);
    database.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    expect(problemOf(() => migrate(database, path))).toBe('newer');
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: schemaVersion + 1 });
    database.close();
  });

  it("refuse somebody else's database", () => {
    const database = connect(path, 'delete');
    database.exec('CREATE TABLE theirs (a)');
    expect(problemOf(() => migrate(database, path))).toBe('damaged');
    expect(database.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'theirs' }]);
    database.close();
  });
});

describe('node:sqlite', () => {
  it('is missed with a clear error', () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined);
    expect(problemOf(() => connect(path, 'wal'))).toBe('missing');
    vi.restoreAllMocks();
  });
});

describe('a transaction', () => {
  it('stores all or nothing', () => {
    const database = connect(path, 'wal');
    database.exec('CREATE TABLE t (a)');
    expect(() =>
      inTransaction(database, () => {
        database.exec('INSERT INTO t VALUES (1)');
        throw new Error('half-way');
      }),
    ).toThrow('half-way');
    expect(database.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 0 });
    expect(inTransaction(database, () => database.prepare('INSERT INTO t VALUES (1)').run().changes)).toBe(1);
    database.close();
  });
});
