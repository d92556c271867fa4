import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { isRecord } from '../base/is-record.ts';
import { readBytes } from '../runs/files.ts';
import { refresher } from './derive.ts';
import { fingerprint, readSlice, withFile, type Line } from './lines.ts';
import { runTables } from './migrations.ts';
import { isUnreadable, parse, readJournalLine, readMarkLine, type JournalRecord } from './records.ts';
import { every, first, numberOf, textOf } from './rows.ts';
import {
  findSources,
  isRunId,
  listRunFolders,
  longestDocument,
  type FoundFile,
  type SourceFile,
} from './run-folder.ts';
import { inTransaction, type Database } from './sqlite.ts';

/** What a pass over the run folders did. */
export interface IngestReport {
  /** The runs whose rows changed. */
  readonly changed: readonly string[];
  /** The runs whose folder is gone. */
  readonly removed: readonly string[];
  readonly events: number;
  readonly points: number;
  /** Lines that could not be used; each is kept as a diagnostic of its run. */
  readonly unreadable: number;
  /** Runs whose files could not be read. */
  readonly problems: readonly { readonly run: string; readonly message: string }[];
}

export interface IngestOptions {
  /** Only these runs; all of the folder without it. */
  readonly ids?: readonly string[];
  /** About how many bytes of journal one transaction reads. */
  readonly sliceBytes?: number;
}

type Tally = { -readonly [K in 'events' | 'points' | 'unreadable']: number };

/** Diagnostics kept of one file; a file with more bad lines tells nothing new. */
const mostDiagnostics = 1000;
const excerptLength = 200;
const runsPerTransaction = 64;

interface SliceResult {
  readonly bytes: number;
  /** Whether there is more to read at once. */
  readonly more: boolean;
  readonly outcome: 'same' | 'changed' | 'removed';
}

interface Ingester {
  /** Reads one slice of the run's files into the database. Call it inside a transaction. */
  readonly slice: (id: string, budget: number) => SliceResult;
  /** Deletes every row of the run. Call it inside a transaction. */
  readonly remove: (id: string) => boolean;
}

/** Prepares the deletion of all rows of a run; the function answers whether there was such a run. */
export function remover(database: Database): (id: string) => boolean {
  const find = database.prepare('SELECT key FROM runs WHERE id = ?');
  const deletions = runTables.map((table) => database.prepare(`DELETE FROM ${table} WHERE run = ?`));
  const deletion = database.prepare('DELETE FROM runs WHERE key = ?');
  return (id) => {
    const found = first(find, id);
    if (found === undefined) return false;
    const key = numberOf(found, 'key');
    for (const statement of deletions) statement.run(key);
    deletion.run(key);
    return true;
  };
}

/** Ids of metric names, made as they are met. Valid within one transaction: another process may replace the whole content. */
function metricIds(database: Database): { readonly of: (name: string) => number; readonly forget: () => void } {
  const find = database.prepare('SELECT id FROM metrics WHERE name = ?');
  const add = database.prepare('INSERT INTO metrics (name) VALUES (?) RETURNING id');
  const known = new Map<string, number>();
  return {
    of(name) {
      let id = known.get(name);
      if (id === undefined) {
        id = numberOf(first(find, name) ?? first(add, name) ?? {}, 'id');
        known.set(name, id);
      }
      return id;
    },
    forget: () => known.clear(),
  };
}

/** What must be stored of the lines of one file. */
interface LineSink {
  readonly line: (text: string, position: number) => void;
  readonly done: () => void;
}

function journalSink(
  database: Database,
  refuse: (run: number, file: SourceFile, line: Line, problem: string) => void,
  tally: Tally,
) {
  const metrics = metricIds(database);
  const event = database.prepare(
    'INSERT OR IGNORE INTO events (run, segment, seq, type, time, step, epoch) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const point = database.prepare('INSERT INTO points (run, metric, segment, seq, value) VALUES (?, ?, ?, ?, ?)');
  const segment = database.prepare('INSERT OR IGNORE INTO segments (run, segment) VALUES (?, ?)');
  const started = database.prepare(
    `UPDATE segments SET started_at = ?, from_step = ?, total_steps = ?, steps_per_epoch = ?, train_examples = ?, process_id = ?,
       parameters_method = ?, parameters_head = ?, parameters_total = ?, parameters_frozen = ?,
       provider = ?, threads = ?, device_reason = ?
     WHERE run = ? AND segment = ? AND from_step IS NULL`,
  );
  const remaining = database.prepare(
    `UPDATE segments SET remaining_seq = :seq, remaining_ms = :ms
     WHERE run = :run AND segment = :segment AND (remaining_seq IS NULL OR remaining_seq < :seq)`,
  );
  const evaluation = database.prepare(
    'INSERT INTO evaluations (run, segment, seq, split, examples, loss, seconds, best, metrics) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const checkpoint = database.prepare('INSERT INTO checkpoints (run, segment, seq, kind, path) VALUES (?, ?, ?, ?, ?)');
  const log = database.prepare('INSERT INTO logs (run, segment, seq, level, message) VALUES (?, ?, ?, ?, ?)');
  const ending = database.prepare('INSERT INTO endings (run, segment, seq, type, detail) VALUES (?, ?, ?, ?, ?)');

  return (run: number): LineSink => {
    metrics.forget();
    const segments = new Set<number>();
    const newest = new Map<number, { seq: number; remainingMs: number | null }>();

    const draw = (record: JournalRecord, name: string, value: number | null): void => {
      point.run(run, metrics.of(name), record.segment, record.seq, value);
      tally.points++;
    };

    function store(record: JournalRecord, text: string): void {
      const { segment: part, seq } = record;
      switch (record.type) {
        case 'step': {
          for (const [name, value] of record.values) draw(record, name, value);
          const last = newest.get(part);
          if (last === undefined || last.seq < seq) newest.set(part, record);
          break;
        }
        case 'resources':
          for (const [name, value] of record.values) draw(record, name, value);
          break;
        case 'started': {
          const { parameters } = record;
          started.run(
            record.time,
            record.fromStep,
            record.totalSteps,
            record.stepsPerEpoch,
            record.trainExamples,
            record.processId,
            parameters?.method ?? null,
            parameters?.head ?? null,
            parameters?.total ?? null,
            parameters?.frozen ?? null,
            record.provider,
            record.threads,
            record.deviceReason,
            run,
            part,
          );
          break;
        }
        case 'evaluation': {
          const { split, metrics: values } = record;
          evaluation.run(
            run,
            part,
            seq,
            split,
            record.examples,
            record.loss,
            record.seconds,
            Number(record.best),
            JSON.stringify(values),
          );
          for (const [name, value] of Object.entries({ loss: record.loss, ...values }))
            draw(record, `${split}/${name}`, value);
          break;
        }
        case 'checkpoint':
          checkpoint.run(run, part, seq, record.kind, record.path);
          break;
        case 'log':
          log.run(run, part, seq, record.level, record.message);
          break;
        case 'privacy':
          break;
        case 'finished':
        case 'stopped':
        case 'failed':
          ending.run(run, part, seq, record.type, text);
          break;
      }
    }

    return {
      line(text, position) {
        const record = readJournalLine(text);
        if (isUnreadable(record)) {
          refuse(run, 'journal.jsonl', { position, text }, record.problem);
          return;
        }
        const { segment: part, seq, type, time, step, epoch } = record;
        if (event.run(run, part, seq, type, time, step, epoch).changes === 0) {
          refuse(run, 'journal.jsonl', { position, text }, `segment ${part} has an event ${seq} already`);
          return;
        }
        tally.events++;
        if (!segments.has(part)) {
          segments.add(part);
          segment.run(run, part);
        }
        store(record, text);
      },
      done() {
        for (const [part, { seq, remainingMs }] of newest) remaining.run({ run, segment: part, seq, ms: remainingMs });
      },
    };
  };
}

/** Prepares every statement of an ingest. */
function ingester(database: Database, runsFolder: string, tally: Tally): Ingester {
  const refresh = refresher(database);
  const remove = remover(database);
  const create = database.prepare("INSERT INTO runs (id, state) VALUES (?, 'queued') ON CONFLICT DO NOTHING");
  const find = database.prepare('SELECT key FROM runs WHERE id = ?');
  const known = database.prepare(
    'SELECT position, fingerprint, seen_size, seen_time FROM sources WHERE run = ? AND file = ?',
  );
  const know = database.prepare(
    `INSERT OR REPLACE INTO sources (run, file, position, fingerprint, seen_size, seen_time) VALUES (?, ?, ?, ?, ?, ?)`,
  );
  const forget = database.prepare('DELETE FROM sources WHERE run = ? AND file = ?');
  const diagnose = database.prepare(
    'INSERT OR REPLACE INTO diagnostics (run, file, position, problem, excerpt) VALUES (?, ?, ?, ?, ?)',
  );
  const diagnosed = database.prepare('SELECT count(*) AS n FROM diagnostics WHERE run = ? AND file = ?');
  const pardon = database.prepare('DELETE FROM diagnostics WHERE run = ? AND file = ?');
  const openConfiguration = database.prepare('INSERT OR IGNORE INTO configurations (run) VALUES (?)');
  const documents = {
    'config.json': database.prepare('UPDATE configurations SET config = ? WHERE run = ?'),
    'environment.json': database.prepare('UPDATE configurations SET environment = ? WHERE run = ?'),
  };
  const journalTables = ['events', 'points', 'segments', 'evaluations', 'checkpoints', 'logs', 'endings'] as const;
  const deletions = {
    'journal.jsonl': journalTables.map((table) => database.prepare(`DELETE FROM ${table} WHERE run = ?`)),
    'marks.jsonl': [database.prepare('DELETE FROM marks WHERE run = ?')],
  };
  const mark = database.prepare(
    'INSERT OR REPLACE INTO marks (run, position, type, time, detail) VALUES (?, ?, ?, ?, ?)',
  );

  function refuse(run: number, file: SourceFile, line: Line, problem: string): void {
    tally.unreadable++;
    if (numberOf(first(diagnosed, run, file) ?? {}, 'n') >= mostDiagnostics) return;
    diagnose.run(run, file, line.position, problem, (line.text ?? '').slice(0, excerptLength));
  }
  const openJournal = journalSink(database, refuse, tally);

  function openMarks(run: number): LineSink {
    return {
      line(text, position) {
        const found = readMarkLine(text);
        if (isUnreadable(found)) refuse(run, 'marks.jsonl', { position, text }, found.problem);
        else mark.run(run, position, found.type, found.time, text);
      },
      done: () => undefined,
    };
  }

  function clear(run: number, file: 'journal.jsonl' | 'marks.jsonl'): void {
    for (const statement of deletions[file]) statement.run(run);
    pardon.run(run, file);
    forget.run(run, file);
  }

  /** Reads a file of settings anew when it changed. */
  function readDocument(
    run: number,
    id: string,
    file: 'config.json' | 'environment.json',
    found: FoundFile | undefined,
  ): boolean {
    const prior = first(known, run, file);
    if (found === undefined && prior === undefined) return false;
    if (found !== undefined && found.size === prior?.seen_size && found.time === prior.seen_time) return false;
    pardon.run(run, file);
    const read = withFile(join(runsFolder, id, file), (opened) => {
      const text = readBytes(opened.descriptor, 0, Math.min(opened.size, longestDocument)).toString('utf8');
      if (opened.size > longestDocument) refuse(run, file, { position: 0, text }, 'too long');
      else if (!isRecord(parse(text))) refuse(run, file, { position: 0, text }, 'not a JSON object');
      know.run(run, file, opened.size, fingerprint(opened, opened.size), opened.size, opened.time);
      return opened.size > longestDocument ? null : text;
    });
    if (read === undefined) forget.run(run, file);
    documents[file].run(read ?? null, run);
    return true;
  }

  /** Reads the next complete lines of a file that only grows; begins again when it did anything else. */
  function readLines(run: number, id: string, file: 'journal.jsonl' | 'marks.jsonl', budget: number) {
    const prior = first(known, run, file);
    const sink = (file === 'journal.jsonl' ? openJournal : openMarks)(run);
    const result = withFile(join(runsFolder, id, file), (opened) => {
      let start = prior === undefined ? 0 : numberOf(prior, 'position');
      const another =
        prior !== undefined && (opened.size < start || fingerprint(opened, start) !== textOf(prior, 'fingerprint'));
      if (another) {
        clear(run, file);
        start = 0;
      }
      const { lines, next, more } = readSlice(opened, start, budget);
      for (const { position, text } of lines) {
        if (text === undefined) refuse(run, file, { position, text }, 'longer than any line of ours');
        // A writer that finds a torn line begins a new one, which can leave an empty one behind.
        else if (text !== '') sink.line(text, position);
      }
      sink.done();
      // A size that no file has makes the next look see a change.
      know.run(run, file, next, fingerprint(opened, next), more ? -1 : opened.size, opened.time);
      return { bytes: next - start, more, changed: another || lines.length > 0 };
    });
    if (result !== undefined) return result;
    if (prior !== undefined) clear(run, file);
    return { bytes: 0, more: false, changed: prior !== undefined };
  }

  return {
    remove,
    slice(id, budget) {
      const sources = findSources(runsFolder, id);
      if (sources === undefined) return { bytes: 0, more: false, outcome: remove(id) ? 'removed' : 'same' };
      const isNew = create.run(id).changes === 1;
      const run = numberOf(first(find, id) ?? {}, 'key');
      if (isNew) openConfiguration.run(run);
      const config = readDocument(run, id, 'config.json', sources.get('config.json'));
      const environment = readDocument(run, id, 'environment.json', sources.get('environment.json'));
      const marks = readLines(run, id, 'marks.jsonl', budget);
      const journal = readLines(run, id, 'journal.jsonl', budget);
      const changed = isNew || config || environment || marks.changed || journal.changed;
      if (changed) refresh(run);
      return {
        bytes: marks.bytes + journal.bytes,
        more: marks.more || journal.more,
        outcome: changed ? 'changed' : 'same',
      };
    },
  };
}

/** What the database saw of each run's files, by id. */
function knownSources(database: Database, ids: readonly string[] | undefined): Map<string, Map<string, FoundFile>> {
  const only = ids === undefined ? '' : 'WHERE id IN (SELECT value FROM json_each(?))';
  const statement = database.prepare(
    `SELECT id, file, seen_size, seen_time FROM runs LEFT JOIN sources ON run = key ${only}`,
  );
  const known = new Map<string, Map<string, FoundFile>>();
  for (const row of ids === undefined ? every(statement) : every(statement, JSON.stringify(ids))) {
    const id = textOf(row, 'id');
    let files = known.get(id);
    if (files === undefined) known.set(id, (files = new Map<string, FoundFile>()));
    if (row.file !== null)
      files.set(textOf(row, 'file'), { size: numberOf(row, 'seen_size'), time: numberOf(row, 'seen_time') });
  }
  return known;
}

function isUnchanged(
  known: ReadonlyMap<string, FoundFile> | undefined,
  found: ReadonlyMap<string, FoundFile>,
): boolean {
  if (known?.size !== found.size) return false;
  for (const [file, { size, time }] of found) {
    const seen = known.get(file);
    if (seen?.size !== size || seen.time !== time) return false;
  }
  return true;
}

/** Whether the error came from reading files, not from the database. */
function isFileTrouble(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown;
}

function isGone(runsFolder: string, id: string): boolean {
  try {
    return findSources(runsFolder, id) === undefined;
  } catch (thrown) {
    if (isFileTrouble(thrown)) return false;
    throw thrown;
  }
}

/** Which runs have something new to read, and which are gone. Yields now and then so that others get their turn. */
function* lookAround(
  database: Database,
  runsFolder: string,
  ids: readonly string[] | undefined,
): Generator<void, { readonly stale: string[]; readonly gone: string[] }> {
  const known = knownSources(database, ids);
  const stale: string[] = [];
  // A volume that is not mounted is no reason to forget its runs.
  const folders = ids ?? listRunFolders(runsFolder) ?? (existsSync(dirname(runsFolder)) ? [] : [...known.keys()]);
  const present = new Set<string>();
  for (const [index, id] of folders.entries()) {
    if (index % 256 === 255) yield;
    if (!isRunId(id)) continue;
    try {
      const found = findSources(runsFolder, id);
      if (found === undefined) continue;
      present.add(id);
      if (!isUnchanged(known.get(id), found)) stale.push(id);
    } catch (thrown) {
      if (!isFileTrouble(thrown)) throw thrown;
      // Reading it will say what the matter is.
      present.add(id);
      stale.push(id);
    }
  }
  return { stale, gone: existsSync(dirname(runsFolder)) ? [...known.keys()].filter((id) => !present.has(id)) : [] };
}

/**
 * Brings the database up to the run folders: reads what was appended since the position that the database holds, in the same
 * transaction as the rows, so that it may be interrupted anywhere and may run in two processes at once. Each step of the
 * generator is one transaction at most; nothing is open while it is suspended.
 */
export function* ingest(
  database: Database,
  runsFolder: string,
  { ids, sliceBytes = 4 * 1024 * 1024 }: IngestOptions = {},
): Generator<void, IngestReport> {
  const tally: Tally = { events: 0, points: 0, unreadable: 0 };
  const work = ingester(database, runsFolder, tally);
  const { stale, gone } = yield* lookAround(database, runsFolder, ids);
  const changed = new Set<string>();
  const removed: string[] = [];
  const problems: { run: string; message: string }[] = [];

  for (let next = 0; next < stale.length;) {
    next = inTransaction(database, () => {
      let at = next;
      let left = sliceBytes;
      while (at < stale.length && left > 0 && at - next < runsPerTransaction) {
        const id = stale[at] as string;
        try {
          const done = work.slice(id, left);
          left -= done.bytes;
          if (done.outcome === 'changed') changed.add(id);
          if (done.outcome === 'removed') removed.push(id);
          if (done.more) break;
        } catch (thrown) {
          if (!isFileTrouble(thrown)) throw thrown;
          problems.push({ run: id, message: messageOf(thrown) });
        }
        at++;
      }
      return at;
    });
    yield;
  }
  if (gone.length > 0)
    inTransaction(database, () => {
      for (const id of gone) if (isGone(runsFolder, id) && work.remove(id)) removed.push(id);
    });
  return { ...tally, changed: [...changed], removed, problems };
}

/** Runs a generator of steps to its end. */
export function finish<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
