import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { readJournal } from '../../src/runs/journal.ts';
import { listRuns, runFolder, workspaceAt } from '../../src/runs/run-folder.ts';
import { numbersOf, replay } from '../../src/runs/replay.ts';
import type { JournalEvent } from '../../src/runs/events.ts';
import { makeTinyEncoder, tinySentences } from './tiny-encoder.ts';

/** The command's starter. */
export const program = fileURLToPath(new URL('../../bin/peft-lab.mjs', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
}

/** A folder with a tiny model and data, in which the real command line is run. */
export interface Bench {
  readonly folder: string;
  /** Writes a configuration that trains for `steps` on the tiny data, with further settings. @returns its name */
  configure(name: string, settings?: Readonly<Record<string, unknown>>): string;
  start(...args: readonly string[]): Started;
  run(...args: readonly string[]): Promise<Outcome>;
  /** The ids of the runs, oldest first. */
  ids(): readonly string[];
  runFolder(id: string): string;
  events(id: string): readonly JournalEvent[];
  /** What the run computed, without times and rates. */
  numbers(id: string): ReturnType<typeof numbersOf>;
  /** Waits until the run at `index` (the oldest is 0) has written an event of which `wanted` is true. */
  wait(
    index: number,
    wanted: (event: JournalEvent) => boolean,
  ): Promise<{ readonly id: string; readonly event: JournalEvent }>;
  remove(): void;
}

/** The tiny model on one thread, in batches small enough that a run of many steps takes a second. */
const tinySettings = {
  model: 'model',
  task: { id: 'sst2', data: 'data' },
  method: 'lora',
  device: { provider: 'cpu', threads: 1 },
};

const tinyTraining = { steps: 200, batchSize: 8, learningRate: 0.01, evaluateEvery: 50, checkpointEvery: 40 };

/** Writes a bench into a new folder, or into `at`. */
export async function makeBench(at?: string): Promise<Bench> {
  const folder = at ?? mkdtempSync(join(tmpdir(), 'peft-cli-'));
  const encoder = await makeTinyEncoder();
  cpSync(encoder.folder, join(folder, 'model'), { recursive: true });
  await encoder.remove();
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'train.tsv'), tinySentences(64, 0));
  writeFileSync(join(folder, 'data', 'dev.tsv'), tinySentences(24, 1));
  const workspace = workspaceAt(folder);

  function start(...args: readonly string[]): Started {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HF_HUB_OFFLINE: '1' },
    });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const ended = new Promise<Outcome>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal, out, err }));
    });
    return { child, ended };
  }

  function events(id: string): readonly JournalEvent[] {
    return readJournal(runFolder(workspace, id)).events;
  }

  return {
    folder,
    configure(name, { training, ...settings } = {}) {
      const file = `${name}.peft.json`;
      const merged = { ...tinySettings, ...settings, training: { ...tinyTraining, ...(training ?? {}) } };
      writeFileSync(join(folder, file), JSON.stringify(merged));
      return file;
    },
    start,
    run: (...args) => start(...args).ended,
    ids: () => listRuns(workspace),
    runFolder: (id) => runFolder(workspace, id),
    events,
    numbers: (id) => numbersOf(replay(events(id))),
    async wait(index, wanted) {
      for (let attempt = 0; attempt < 3000; attempt++) {
        const id = listRuns(workspace)[index];
        const event = id === undefined ? undefined : events(id).findLast(wanted);
        if (id !== undefined && event !== undefined) return { id, event };
        await delay(10);
      }
      throw new Error('the event did not come');
    },
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  };
}

/** Waits until a process is gone. */
export async function gone(processId: number): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      process.kill(processId, 0);
    } catch {
      return;
    }
    // Nobody may be there to take note of its end.
    const stat = `/proc/${processId}/stat`;
    if (existsSync(stat) && readFileSync(stat, 'utf8').includes(') Z ')) return;
    await delay(10);
  }
  throw new Error(`process ${processId} does not end`);
}
