import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writeRandomEncoder } from './random-encoder.ts';
import { leaseFile, readLease } from '../../src/runs/lease.ts';
import { processExists, processState, signalGroup } from '../../src/runs/process-identity.ts';
import { listRuns, readRecordedConfiguration, runFolder, workspaceAt } from '../../src/runs/run-folder.ts';
import { runState, type RunStatus } from '../../src/runs/run-state.ts';
import { until } from './until.ts';

const sentences = join(import.meta.dirname, '..', '..', 'examples', 'word-order');

/** A folder to open in VS Code: a small encoder with random weights, real sentences, and configurations. */
export interface EditorWorkspace {
  readonly folder: string;
  /** Ids of the runs, oldest first. */
  ids(): readonly string[];
  nameOf(id: string): string | undefined;
  runFolder(id: string): string;
  state(id: string): RunStatus['state'];
  /** The process that trains, where one does. */
  trainer(id: string): number | undefined;
  /** Waits for a run that is not among `known`. @returns its id */
  newRun(known: readonly string[]): Promise<string>;
  waitFor(id: string, ...states: readonly RunStatus['state'][]): Promise<void>;
  /** Writes a configuration with these settings beside the common ones. @returns the file's name */
  configure(name: string, settings?: Readonly<Record<string, unknown>>): string;
  /** Ends every trainer that lives, then deletes the folder. */
  remove(): Promise<void>;
}

const training = { batchSize: 16, learningRate: 4e-3, dropout: 0 };

/** @param at where; a new temporary folder without */
export async function makeEditorWorkspace(at?: string): Promise<EditorWorkspace> {
  const folder = at ?? mkdtempSync(join(tmpdir(), 'peft-editor-'));
  const rows = (file: string, count: number): string =>
    `${readFileSync(join(sentences, file), 'utf8').split('\n').slice(0, count).join('\n')}\n`;
  mkdirSync(join(folder, 'data'), { recursive: true });
  writeFileSync(join(folder, 'data', 'train.tsv'), rows('train.tsv', 320));
  writeFileSync(join(folder, 'data', 'dev.tsv'), rows('dev.tsv', 120));
  await writeRandomEncoder(join(folder, 'models', 'tiny-bert'), rows('train.tsv', 320), 32);
  const workspace = workspaceAt(folder);

  function trainer(id: string): number | undefined {
    const lease = readLease(leaseFile(runFolder(workspace, id)));
    return lease?.role === 'trainer' && processState(lease.holder) === 'alive' ? lease.holder.processId : undefined;
  }

  const state = (id: string): RunStatus['state'] => runState(runFolder(workspace, id)).state;

  return {
    folder,
    ids: () => listRuns(workspace),
    nameOf: (id) => readRecordedConfiguration(runFolder(workspace, id)).name,
    runFolder: (id) => runFolder(workspace, id),
    state,
    trainer,
    newRun: (known) => until('a new run', () => listRuns(workspace).find((id) => !known.includes(id))),
    async waitFor(id, ...states) {
      await until(`run ${id} to be ${states.join(' or ')}`, () => states.includes(state(id)), 120);
    },
    configure(name, { training: more, ...settings } = {}) {
      const file = `${name}.peft.json`;
      const configuration = {
        name,
        model: 'models/tiny-bert',
        task: { id: 'cola', data: 'data', maxLength: 48 },
        method: 'lora',
        device: { provider: 'cpu', threads: 1 },
        ...settings,
        training: { ...training, ...(more ?? {}) },
      };
      writeFileSync(join(folder, file), `${JSON.stringify(configuration, undefined, 2)}\n`);
      return file;
    },
    async remove() {
      for (const id of listRuns(workspace)) {
        const lease = readLease(leaseFile(runFolder(workspace, id)));
        if (lease?.role !== 'trainer' || processState(lease.holder) !== 'alive') continue;
        signalGroup(lease.holder, 'kill');
        for (let wait = 0; wait < 100 && processExists(lease.holder.processId); wait++) await delay(50);
      }
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}
