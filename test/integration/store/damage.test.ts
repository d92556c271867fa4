import { closeSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { DatabaseError } from '../../../src/store/errors.ts';
import { finish, ingest } from '../../../src/store/ingest.ts';
import { listRuns } from '../../../src/store/listing.ts';
import { openSession, type Session } from '../../../src/store/session.ts';
import {
  configuration,
  contentOf,
  emptyDatabase,
  journalArbitrary,
  line,
  makeWorkspace,
  segmentOf,
  started,
  step,
  type Workspace,
} from '../../unit/store/workspace.ts';

let workspace: Workspace;
let sessions: Session[];
let notices: string[];

beforeEach(() => {
  workspace = makeWorkspace();
  sessions = [];
  notices = [];
});

afterEach(() => {
  for (const session of sessions) session.close();
  workspace.remove();
});

function open(): Session {
  const session = openSession({
    path: workspace.databasePath,
    journalMode: 'wal',
    runsFolder: workspace.runsFolder,
    onNotice: (message) => notices.push(message),
  });
  sessions.push(session);
  return session;
}

function problemOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (thrown) {
    return thrown instanceof DatabaseError ? thrown.problem : String(thrown);
  }
}

const read = (session: Session) => session.use((database) => finish(ingest(database, workspace.runsFolder)));
const content = (session: Session) => session.use(contentOf);
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function expected(): ReturnType<typeof contentOf> {
  const fresh = emptyDatabase();
  try {
    finish(ingest(fresh, workspace.runsFolder));
    return contentOf(fresh);
  } finally {
    fresh.close();
  }
}

function writeRuns(count: number, steps: number): void {
  for (let run = 0; run < count; run++) {
    workspace.write(`r${run}`, 'config.json', configuration({ name: `run ${run}` }));
    const events = segmentOf(0, [started(1), ...Array.from({ length: steps }, (_, at) => step(at + 1))]);
    workspace.write(`r${run}`, 'journal.jsonl', events.map(line).join(''));
  }
}

/** Overwrites bytes of the file with noise; `from` and `to` are shares of its length. */
function spoil(from: number, to: number): void {
  const { size } = statSync(workspace.databasePath);
  const random = randomStream(3, 'noise');
  const noise = Buffer.from(Array.from({ length: Math.ceil((to - from) * size) }, () => random.below(256)));
  const descriptor = openSync(workspace.databasePath, 'r+');
  writeSync(descriptor, noise, 0, noise.length, Math.floor(from * size));
  closeSync(descriptor);
}

function keptAside(): string[] {
  return readdirSync(dirname(workspace.databasePath)).filter((name) =>
    /^peft\.db\.damaged-[^.]*$/.test(name.replace('-wal', '.wal').replace('-shm', '.shm')),
  );
}

describe('a damaged database', () => {
  it.each<[string, () => void]>([
    ['whose header is noise', () => spoil(0, 0.01)],
    ['that is noise altogether', () => spoil(0, 1)],
    ['that is a text file', () => writeFileSync(workspace.databasePath, 'I am not a database.\n'.repeat(500))],
    ['that is cut off', () => writeFileSync(workspace.databasePath, Buffer.from('SQLite format 3\0').subarray(0, 12))],
  ])('%s is moved aside and rebuilt when it is opened', (_, damage) => {
    writeRuns(3, 50);
    const first = open();
    read(first);
    first.close();
    damage();
    const second = open();
    expect(content(second)).toEqual(expected());
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain('3 runs');
    expect(keptAside()).toHaveLength(1);
  });

  it('whose pages are noise is rebuilt when they are met', () => {
    writeRuns(5, 400);
    const first = open();
    read(first);
    first.close();
    spoil(0.2, 1);
    const second = open();
    read(second);
    expect(content(second)).toEqual(expected());
    expect(notices).toHaveLength(1);
    expect(keptAside()).toHaveLength(1);
  });

  it('is found by a check', () => {
    writeRuns(5, 400);
    const first = open();
    read(first);
    first.close();
    spoil(0.9, 1);
    const second = open();
    expect(second.check().length).toBeGreaterThan(0);
    expect(second.check()).toEqual([]);
    expect(content(second)).toEqual(expected());
  });

  it('is rebuilt once where two sessions meet the damage', () => {
    writeRuns(5, 400);
    const [first, second] = [open(), open()];
    read(first);
    first.use((database) => database.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
    spoil(0, 1);
    for (const session of [first, second]) read(session);
    expect(content(first)).toEqual(expected());
    expect(content(second)).toEqual(expected());
    workspace.append(
      'r0',
      'journal.jsonl',
      segmentOf(1, [started(1), step(1)])
        .map(line)
        .join(''),
    );
    expect(read(second).changed).toEqual(['r0']);
    expect(read(first).changed).toEqual([]);
    expect(content(first)).toEqual(expected());
    expect(notices).toHaveLength(1);
  });

  it('that was deleted while open is made anew', () => {
    writeRuns(2, 5);
    const [first, second] = [open(), open()];
    read(first);
    for (const name of readdirSync(dirname(workspace.databasePath))) {
      if (name.startsWith('peft.db')) rmSync(`${dirname(workspace.databasePath)}/${name}`);
    }
    expect(content(second)).toEqual(expected());
    expect(content(first)).toEqual(expected());
  });

  it('of which nothing can be rebuilt is empty', () => {
    writeFileSync(workspace.databasePath, 'noise');
    expect(open().use((database) => listRuns(database).total)).toBe(0);
  });
});

describe('a full volume', () => {
  it('is told as such, and costs nothing once there is room again', () => {
    writeRuns(4, 400);
    const session = open();
    // SQLite answers the same as when the volume refuses another page.
    session.use((database) => database.exec('PRAGMA max_page_count = 30'));
    expect(problemOf(() => read(session))).toBe('full');
    expect(session.use((database) => listRuns(database).total)).toBe(0);
    session.use((database) => database.exec('PRAGMA max_page_count = 1000000'));
    read(session);
    expect(content(session)).toEqual(expected());
    expect(session.check()).toEqual([]);
  });
});

describe('reindex', () => {
  it('ends in the content of the ingest, whatever was read before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(journalArbitrary, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(5000), { maxLength: 4 }),
        async (journals, cuts) => {
          rmSync(dirname(workspace.databasePath), { recursive: true, force: true });
          const session = open();
          for (const [run, events] of journals.entries()) {
            workspace.write(`r${run}`, 'config.json', configuration());
            let rest = events.map(line).join('');
            for (const cut of cuts) {
              workspace.append(`r${run}`, 'journal.jsonl', rest.slice(0, cut));
              rest = rest.slice(cut);
              read(session);
            }
            workspace.append(`r${run}`, 'journal.jsonl', rest);
          }
          read(session);
          const before = content(session);
          await session.reindex(pause);
          expect(content(session)).toEqual(before);
          expect(before).toEqual(expected());
          expect(session.use((database) => finish(ingest(database, workspace.runsFolder))).changed).toEqual([]);
          session.close();
        },
      ),
      { numRuns: 15 },
    );
  });

  it('mends rows that were changed by hand, for every session', async () => {
    writeRuns(4, 20);
    const [first, second] = [open(), open()];
    read(first);
    first.use((database) => {
      database.exec(
        "DELETE FROM points WHERE run = 1; UPDATE runs SET name = 'forged'; INSERT INTO metrics (name) VALUES ('x')",
      );
    });
    await first.reindex(pause);
    expect(content(second)).toEqual(expected());
    workspace.append(
      'r0',
      'journal.jsonl',
      segmentOf(1, [started(1), step(1)])
        .map(line)
        .join(''),
    );
    read(second);
    expect(content(first)).toEqual(expected());
  });

  it('loses nothing that is ingested meanwhile', async () => {
    writeRuns(6, 300);
    const [first, second] = [open(), open()];
    let steps = 0;
    await first.reindex(async () => {
      workspace.append(
        `r${steps % 6}`,
        'journal.jsonl',
        segmentOf(1 + steps, [started(1), step(1)])
          .map(line)
          .join(''),
      );
      steps++;
      read(second);
      await pause();
    });
    expect(steps).toBeGreaterThan(0);
    read(second);
    expect(content(first)).toEqual(expected());
  });

  it('mends a damaged database', async () => {
    writeRuns(5, 400);
    const session = open();
    read(session);
    session.use((database) => database.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
    spoil(0.3, 1);
    await session.reindex(pause);
    expect(content(session)).toEqual(expected());
    expect(session.check()).toEqual([]);
  });
});
