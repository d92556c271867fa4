import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord } from '../base/is-record.ts';
import { isMissing } from '../runs/files.ts';
import { integer, parse, text, type Members } from './records.ts';

/** The files of a run folder that the database follows. */
const sourceFiles = ['config.json', 'environment.json', 'journal.jsonl', 'marks.jsonl'] as const;

export type SourceFile = (typeof sourceFiles)[number];

/** Files of settings larger than this are not ours. */
export const longestDocument = 16 * 1024 * 1024;

/** What a configuration says of a run, as far as listings need it. */
export interface ConfigurationFacts {
  readonly name: string | null;
  readonly model: string | null;
  readonly task: string | null;
  readonly method: string | null;
  readonly seed: number | null;
  readonly tags: readonly string[];
  readonly note: string;
  /** Its noise comes from a seed that is known, so that it is not private whatever it spends. */
  readonly insecure: boolean;
}

/** A setting that is written as a name alone or as an object with an `id`. */
function named(value: unknown): string | null {
  return text(isRecord(value) ? value.id : value);
}

/** Reads the facts from the text of a `config.json`; whatever is not there or has another type is left out. */
export function configurationFacts(document: string | null): ConfigurationFacts {
  const parsed = document === null ? undefined : parse(document);
  const config = isRecord(parsed) ? parsed : {};
  const training = isRecord(config.training) ? config.training : {};
  const tags = Array.isArray(config.tags) ? config.tags.filter((tag): tag is string => typeof tag === 'string') : [];
  return {
    name: text(config.name),
    model: named(config.model),
    task: named(config.task),
    method: named(config.method),
    seed: integer(training.seed),
    tags,
    note: text(config.note) ?? '',
    insecure: isRecord(config.privacy) && integer(config.privacy.insecureSeed) !== null,
  };
}

/** What an `environment.json` says of the place and the time. */
export interface EnvironmentFacts {
  readonly host: string | null;
  /** The same for all runs of one sweep. */
  readonly sweep: string | null;
  /** What the sweep set for the run. */
  readonly label: Members;
  readonly createdAt: number | null;
}

function moment(value: unknown): number | null {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  const parsed = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(parsed) ? null : parsed;
}

/** Reads the facts from the text of an `environment.json`. */
export function environmentFacts(document: string | null): EnvironmentFacts {
  const parsed = document === null ? undefined : parse(document);
  const environment = isRecord(parsed) ? parsed : {};
  const machine = isRecord(environment.machine) ? environment.machine : {};
  const origin = isRecord(environment.origin) ? environment.origin : {};
  return {
    sweep: text(origin.sweep),
    label: isRecord(origin.label) ? origin.label : {},
    host: text(environment.host) ?? text(environment.hostname) ?? text(machine.host) ?? text(machine.hostname),
    createdAt: moment(environment.createdAt ?? environment.created ?? environment.time),
  };
}

/**
 * The ids of the runs below `runsFolder`, in ascending order; undefined where that folder is not there (yet). A run's folder may have been
 * moved to another volume, with a symbolic link in its place.
 */
export function listRunFolders(runsFolder: string): readonly string[] | undefined {
  try {
    return readdirSync(runsFolder, { withFileTypes: true })
      .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
      .map((entry) => entry.name)
      .sort();
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

export interface FoundFile {
  readonly size: number;
  readonly time: number;
}

/** Whether `id` can name a folder right below the runs' folder: ids also come from command lines. */
export function isRunId(id: string): boolean {
  return /^[^./\\\0][^/\\\0]*$/.test(id);
}

/** The sources of the run that are there; undefined where there are none, so that the folder is no run (any more). */
export function findSources(runsFolder: string, id: string): ReadonlyMap<SourceFile, FoundFile> | undefined {
  const found = new Map<SourceFile, FoundFile>();
  if (!isRunId(id)) return undefined;
  for (const file of sourceFiles) {
    const stat = statSync(join(runsFolder, id, file), { throwIfNoEntry: false });
    if (stat?.isFile() === true) found.set(file, { size: stat.size, time: stat.mtimeMs });
  }
  return found.size === 0 ? undefined : found;
}
