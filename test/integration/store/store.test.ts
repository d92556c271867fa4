import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DatabaseError } from '../../../src/store/errors.ts';
import { schemaVersion } from '../../../src/store/migrations.ts';
import { packError, unpackError } from '../../../src/store/operations.ts';
import { connect } from '../../../src/store/sqlite.ts';
import { openStore, type Store, type StoreOptions } from '../../../src/store/store.ts';
import {
  configuration,
  line,
  makeWorkspace,
  segmentOf,
  started,
  step,
  type Workspace,
} from '../../unit/store/workspace.ts';

let workspace: Workspace;
let opened: Store[];

beforeEach(() => {
  workspace = makeWorkspace();
  opened = [];
});

afterEach(async () => {
  for (const store of opened) await store.close();
  workspace.remove();
});

async function open(options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore({
    path: workspace.databasePath,
    journalMode: 'wal',
    runsFolder: workspace.runsFolder,
    ...options,
  });
  opened.push(store);
  return store;
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (thrown) {
    return thrown instanceof DatabaseError ? thrown.problem : String(thrown);
  }
}

function writeRun(run: string, steps: number): void {
  workspace.write(run, 'config.json', configuration());
  const events = segmentOf(0, [started(1), ...Array.from({ length: steps }, (_, at) => step(at + 1))]);
  workspace.write(run, 'journal.jsonl', events.map(line).join(''));
}

const source = (path: string): string => fileURLToPath(new URL(`../../../src/store/${path}`, import.meta.url));

describe('the store', () => {
  it('answers every question from its thread', async () => {
    writeRun('r1', 20);
    workspace.append(
      'r1',
      'journal.jsonl',
      line({ segment: 0, seq: 21, time: 1, type: 'log', level: 'warning', message: 'slow' }),
    );
    const store = await open();
    expect(await store.ingest()).toMatchObject({ changed: ['r1'], points: 100 });
    expect(await store.list({ text: 'lora' })).toMatchObject({
      total: 1,
      runs: [{ id: 'r1', state: 'running', step: 20 }],
    });
    expect(await store.show('r1')).toMatchObject({ config: { name: 'a run' } });
    expect(await store.show('r2')).toBeUndefined();
    const [loss, missing] = await store.curves([
      { run: 'r1', metric: 'loss', points: 5 },
      { run: 'r1', metric: 'x' },
    ]);
    expect(loss?.step).toBeInstanceOf(Float64Array);
    expect([loss?.total, missing?.total]).toEqual([20, 0]);
    expect(await store.comparison()).toMatchObject([{ id: 'r1', config: { training: { seed: 0 } } }]);
    expect(await store.logs({ run: 'r1' })).toMatchObject([{ level: 'warning', message: 'slow' }]);
    expect(await store.check()).toEqual([]);
    expect(await store.remove('r1')).toBe(true);
    expect(await store.remove('r1')).toBe(false);
    expect((await store.list()).total).toBe(0);
    expect(await store.reindex()).toMatchObject({ changed: ['r1'] });
    expect((await store.list()).total).toBe(1);
  });

  it('answers questions between the steps of an ingest', async () => {
    for (let run = 0; run < 40; run++) writeRun(`r${run}`, 1500);
    const store = await open();
    const seen = new Set<number>();
    const asking = new AbortController();
    const work = store.ingest().finally(() => asking.abort());
    while (!asking.signal.aborted) seen.add((await store.list()).total);
    await work;
    expect([...seen].some((total) => total > 0 && total < 40)).toBe(true);
  });

  it('gives up what was cancelled, waiting or under way', async () => {
    for (let run = 0; run < 60; run++) writeRun(`r${run}`, 1000);
    const store = await open();
    const aborted = AbortSignal.abort(new Error('before'));
    await expect(store.list({}, { signal: aborted })).rejects.toThrow('before');
    const [working, waiting] = [new AbortController(), new AbortController()];
    const first = store.reindex({ signal: working.signal });
    const second = store.ingest(undefined, { signal: waiting.signal });
    const third = store.ingest(['r1']);
    waiting.abort(new Error('no longer wanted'));
    await expect(second).rejects.toThrow('no longer wanted');
    working.abort();
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    expect(await third).toMatchObject({ changed: ['r1'] });
    expect((await store.list()).total).toBe(1);
  });

  it('keeps the class of an error on its way', async () => {
    writeRun('r1', 1);
    const store = await open();
    await store.ingest();
    const database = connect(workspace.databasePath, 'wal');
    database.exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    database.close();
    expect(await problemOf(open())).toBe('newer');
  });

  it("keeps the code of a system's error on its way", () => {
    const refused = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
    expect(unpackError(packError(refused))).toMatchObject({ message: refused.message, code: 'EACCES' });
    expect(unpackError(packError(new TypeError('x')))).toMatchObject({ name: 'TypeError', message: 'x' });
  });

  it('says so when another process holds the database', async () => {
    const store = await open({ timeoutMs: 50 });
    writeRun('r1', 1);
    const other = connect(workspace.databasePath, 'wal');
    other.exec('BEGIN IMMEDIATE');
    expect(await problemOf(store.ingest())).toBe('busy');
    expect((await store.list()).total).toBe(0);
    other.exec('ROLLBACK');
    other.close();
    expect(await store.ingest()).toMatchObject({ changed: ['r1'] });
  });

  it('says so where no database can be', async () => {
    const blocked = join(workspace.root, 'blocked');
    writeFileSync(blocked, '');
    expect(await problemOf(open({ path: join(blocked, 'peft.db') }))).toBe('unwritable');
    const folder = join(workspace.root, 'folder');
    mkdirSync(join(folder, 'peft.db'), { recursive: true });
    expect(await problemOf(open({ path: join(folder, 'peft.db') }))).toBe('unwritable');
    if (process.platform !== 'win32' && process.getuid?.() !== 0) {
      chmodSync(folder, 0o500);
      expect(await problemOf(open({ path: join(folder, 'other.db') }))).toBe('unwritable');
    }
  });

  it('refuses everything once closed', async () => {
    const store = await open();
    const waiting = problemOf(store.list());
    await store.close();
    await store.close();
    expect(['none', 'closed']).toContain(await waiting);
    expect(await problemOf(store.list())).toBe('closed');
    expect(existsSync(`${workspace.databasePath}-wal`)).toBe(false);
  });

  it('works without WAL', async () => {
    writeRun('r1', 2);
    const store = await open({ journalMode: 'delete' });
    await store.ingest();
    await store.reindex();
    expect((await store.list()).total).toBe(1);
    expect(existsSync(`${workspace.databasePath}-wal`)).toBe(false);
  });

  it('keeps no process alive', async () => {
    const script = join(workspace.root, 'script.ts');
    const options = { path: workspace.databasePath, journalMode: 'wal', runsFolder: workspace.runsFolder };
    writeFileSync(
      script,
      `import { openStore } from ${JSON.stringify(pathToFileURL(source('store.ts')))};
       const store = await openStore(${JSON.stringify(options)});
       console.log((await store.list()).total);`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 });
    expect(stdout).toBe('0\n');
  });

  it('runs from a bundle, its thread beside it', async () => {
    const folder = join(workspace.root, 'dist');
    await build({
      entryPoints: { store: source('store.ts'), 'store-worker': source('worker.ts') },
      outdir: folder,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      format: 'esm',
      platform: 'node',
      minify: true,
      logLevel: 'error',
    });
    writeRun('r1', 3);
    const script = join(folder, 'main.mjs');
    const options = { path: workspace.databasePath, journalMode: 'wal', runsFolder: workspace.runsFolder };
    writeFileSync(
      script,
      `import { openStore } from './store.mjs';
       const store = await openStore(${JSON.stringify(options)});
       await store.ingest();
       console.log((await store.list()).runs[0].step);
       await store.close();`,
    );
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script], {
      timeout: 60_000,
      cwd: dirname(folder),
    });
    expect([stdout, stderr]).toEqual(['3\n', '']);
  });
});
