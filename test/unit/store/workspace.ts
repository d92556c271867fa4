import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import type { JournalEvent, Unstamped } from '../../../src/runs/events.ts';
import { runTables } from '../../../src/store/migrations.ts';
import { migrate } from '../../../src/store/migrations.ts';
import { connect, type Database } from '../../../src/store/sqlite.ts';

/** A folder of runs on disk, for tests of the store. */
export interface Workspace {
  readonly root: string;
  readonly runsFolder: string;
  readonly databasePath: string;
  file(run: string, name: string): string;
  write(run: string, name: string, content: unknown): void;
  append(run: string, name: string, text: string): void;
  remove(): void;
}

export function makeWorkspace(): Workspace {
  const root = mkdtempSync(join(tmpdir(), 'peft-store-'));
  const runsFolder = join(root, '.peft', 'runs');
  mkdirSync(runsFolder, { recursive: true });
  const file = (run: string, name: string): string => join(runsFolder, run, name);
  return {
    root,
    runsFolder,
    databasePath: join(root, '.peft', 'peft.db'),
    file,
    write(run, name, content) {
      mkdirSync(dirname(file(run, name)), { recursive: true });
      writeFileSync(file(run, name), typeof content === 'string' ? content : JSON.stringify(content));
    },
    append(run, name, text) {
      mkdirSync(join(runsFolder, run), { recursive: true });
      appendFileSync(file(run, name), text);
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** An empty database in memory. */
export function emptyDatabase(): Database {
  const database = connect(':memory:', 'delete');
  migrate(database, ':memory:');
  return database;
}

/** Everything that the database says of its runs, without its own row numbers and without what was seen of files. */
export function contentOf(database: Database): Readonly<Record<string, readonly string[]>> {
  const tables = Object.fromEntries(
    runTables.map((table) => {
      const rows = database
        .prepare(
          table === 'points'
            ? 'SELECT runs.id, metrics.name AS metric_name, p.* FROM points p JOIN runs ON run = runs.key JOIN metrics ON metric = metrics.id'
            : `SELECT runs.id, t.* FROM ${table} t JOIN runs ON run = runs.key`,
        )
        .all();
      return [
        table,
        rows.map(({ run: _, metric: __, seen_size: ___, seen_time: ____, ...row }) => JSON.stringify(row)).sort(),
      ];
    }),
  );
  const runs = database.prepare('SELECT * FROM runs').all();
  return { ...tables, runs: runs.map(({ key: _, ...row }) => JSON.stringify(row)).sort() };
}

export function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Stamps events of one segment. */
export function segmentOf(segment: number, events: readonly Unstamped[], time = 1_700_000_000_000): JournalEvent[] {
  return events.map((event, seq) => ({ segment, seq, time: time + segment * 100_000 + seq * 10, ...event }));
}

export function started(fromStep: number, totalSteps = 100): Unstamped {
  return {
    type: 'started',
    processId: 4711,
    fromStep,
    totalSteps,
    stepsPerEpoch: 10,
    trainExamples: 320,
    parameters: { method: 18432, head: 1538, total: 19970, frozen: 108_310_272 },
    device: { provider: 'cpu', threads: 2, reason: 'asked for' },
  };
}

export function step(number: number, loss: number | null = 1 / number): Unstamped {
  return {
    type: 'step',
    step: number,
    epoch: number / 10,
    loss,
    learningRate: 1e-4,
    gradientNorm: 0.5,
    examplesPerSecond: 80,
    tokensPerSecond: 4000,
    remainingMs: 1000 - number,
  };
}

export function evaluation(number: number, score: number, best = true, split = 'dev'): Unstamped {
  return {
    type: 'evaluation',
    step: number,
    epoch: number / 10,
    split,
    examples: 872,
    loss: 0.25,
    metrics: { accuracy: score, score },
    seconds: 1.5,
    best,
  };
}

export function configuration(changes: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    name: 'a run',
    model: { id: 'bert-base-uncased' },
    task: { id: 'sst2', maxLength: 128 },
    method: { id: 'lora', rank: 8 },
    training: { epochs: 3, learningRate: 5e-4, seed: 0 },
    ...changes,
  };
}

const value = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), { freq: 10 });

/** One segment that trains `length` steps from `fromStep` on, evaluates now and then, and ends or breaks off. */
function segmentArbitrary(fromStep: number, length: number): fc.Arbitrary<Unstamped[]> {
  const body = fc.array(
    fc.record({ loss: value, extra: fc.constantFrom('none', 'evaluate', 'log', 'checkpoint', 'resources') }),
    {
      minLength: length,
      maxLength: length,
    },
  );
  const ending = fc.constantFrom<(at: number) => Unstamped | undefined>(
    () => undefined,
    (at) => ({ type: 'stopped', step: at }),
    (at) => ({ type: 'failed', step: at, message: 'the loss is NaN', kind: 'diverged' }),
    (at) => ({
      type: 'finished',
      step: at,
      reason: 'completed',
      last: { score: 0.5 },
      trainSeconds: 3,
      peakResidentBytes: 1e9,
    }),
  );
  return fc.tuple(body, fc.double({ min: 0, max: 1, noNaN: true }), ending).map(([steps, score, end]) => {
    const events: Unstamped[] = [started(fromStep)];
    for (const [index, { loss, extra }] of steps.entries()) {
      const at = fromStep + index;
      events.push(step(at, loss));
      if (extra === 'evaluate') events.push(evaluation(at, score * (index / 10), index % 2 === 0));
      if (extra === 'log') events.push({ type: 'log', level: 'info', message: `step ${at} ü\n"quoted"` });
      if (extra === 'checkpoint')
        events.push({ type: 'checkpoint', step: at, kind: 'last', path: `checkpoints/${at}` });
      if (extra === 'resources')
        events.push({ type: 'resources', step: at, residentBytes: at * 10, peakResidentBytes: at * 20 });
    }
    const last = end(fromStep + length - 1);
    return last === undefined ? events : [...events, last];
  });
}

/** The journal of a run that was started several times, each time from an earlier step than it had reached. */
export const journalArbitrary: fc.Arbitrary<JournalEvent[]> = fc
  .array(fc.record({ back: fc.nat(8), length: fc.nat(8) }), { minLength: 1, maxLength: 4 })
  .chain((plan) => {
    let reached = 0;
    const segments = plan.map(({ back, length }) => {
      const fromStep = Math.max(1, reached + 1 - back);
      reached = fromStep + length - 1;
      return segmentArbitrary(fromStep, length);
    });
    return fc.tuple(...segments);
  })
  .map((segments) => segments.flatMap((events, segment) => segmentOf(segment, events)));

/** Lines that nobody should have written. */
export const rubbishArbitrary: fc.Arbitrary<string> = fc.oneof(
  fc.string().map((text) => text.replaceAll('\n', ' ')),
  fc.json().map((text) => text.replaceAll('\n', ' ')),
  fc.constantFrom(
    '',
    '{"segment":0,"seq":0',
    '{"segment":-1,"seq":0,"time":1,"type":"step","step":1}',
    '{"segment":0,"seq":1e300,"time":1,"type":"step","step":1}',
    '{"segment":0,"seq":"0","time":1,"type":"step","step":1}',
    '{"segment":99999,"seq":0,"time":1e999,"type":"log","message":"x"}',
    '{"__proto__":{"segment":0}}',
    'null',
  ),
);
