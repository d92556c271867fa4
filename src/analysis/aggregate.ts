import { canonical, liesIn, settingAt, settingsOf, type Json, type JsonObject } from './json.ts';

/** What grouping needs of a run. */
export interface ConfiguredRun {
  readonly id: string;
  /** The configuration as it was started. */
  readonly config: JsonObject | null;
}

/** The setting that tells the repetitions of one experiment apart. */
export const seedKey = 'training.seed';

/** Settings that change nothing of what is computed: how a run is called, and where it ran. */
export const incidentalKeys = ['name', 'tags', 'note', 'launcher', 'device', 'matrix', 'training.recompute'] as const;

export interface GroupingOptions {
  /** The settings that make a group, as dotted paths; without it all but the seed and {@link incidentalKeys}. */
  readonly by?: readonly string[];
  /** Further settings that don't make a group; whole branches too. */
  readonly except?: readonly string[];
}

/** Runs that agree in the settings of the grouping. */
export interface Group<R> {
  /** The same for the same settings, whatever their order. */
  readonly key: string;
  /** The settings that they agree in, by dotted path. */
  readonly settings: ReadonlyMap<string, Json>;
  readonly runs: readonly R[];
}

/** Which settings of a configuration make its group. */
function groupSettings(config: JsonObject | null, { by, except = [] }: GroupingOptions): Map<string, Json> {
  const flat = settingsOf(config);
  if (by !== undefined) return new Map(by.map((path) => [path, settingAt(flat, path) ?? null]));
  const left = [seedKey, ...incidentalKeys, ...except];
  return new Map([...flat].filter(([path]) => !left.some((branch) => liesIn(path, branch))));
}

/** A text that settings have in common exactly when they are equal. */
function keyOf(settings: ReadonlyMap<string, Json>): string {
  return canonical(Object.fromEntries(settings));
}

/** Groups runs by their settings, in the order in which the groups first appear. */
export function groupRuns<R extends ConfiguredRun>(
  runs: readonly R[],
  options: GroupingOptions = {},
): readonly Group<R>[] {
  const groups = new Map<string, { settings: ReadonlyMap<string, Json>; runs: R[] }>();
  for (const run of runs) {
    const settings = groupSettings(run.config, options);
    const key = keyOf(settings);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { settings, runs: [run] });
    else group.runs.push(run);
  }
  return [...groups].map(([key, group]) => ({ key, ...group }));
}

/** Runs by seed, with those that say nothing new set apart. */
export interface Repetitions<R> {
  readonly runs: readonly R[];
  /** Runs of which a later one has the same configuration and seed. They would count one result twice. */
  readonly repeated: readonly R[];
}

/** Whether a run's noise came from a key of its own, so that another run with its seed is another observation. */
function hasOwnNoise(settings: ReadonlyMap<string, Json>): boolean {
  const isPrivate = [...settings.keys()].some((path) => liesIn(path, 'privacy'));
  return isPrivate && settings.get('privacy.epsilon') !== null && !settings.has('privacy.insecureSeed');
}

/** What tells repetitions of a run from others. */
export interface RepeatableRun extends ConfiguredRun {
  readonly trainSeconds?: number | null;
  readonly last?: { readonly step: number } | null;
}

/** What runs have in common exactly when one of them says nothing new; undefined where a run stands for itself. */
function observationOf({ config, trainSeconds = null, last = null }: RepeatableRun): string | undefined {
  const settings = settingsOf(config);
  const seed = settings.get(seedKey);
  if (seed === undefined) return undefined;
  const experiment = `${keyOf(groupSettings(config, {}))} ${canonical(seed)}`;
  if (!hasOwnNoise(settings)) return experiment;
  // Noise never comes out twice, nor does a time to the last digit: what agrees in all of it is a copy of the run's folder.
  return trainSeconds === null ? undefined : `${experiment} ${trainSeconds} ${JSON.stringify(last)}`;
}

/**
 * Keeps the last run of each configuration and seed; training repeats bit by bit, so a second one is no second observation. Private runs
 * do not repeat, and are all kept but for copies of their folders.
 * @param runs in the order in which they were started
 */
export function withoutRepetitions<R extends RepeatableRun>(runs: readonly R[]): Repetitions<R> {
  const last = new Map<string, R>();
  const keys = new Map<R, string>();
  for (const run of runs) {
    const key = observationOf(run) ?? `run ${run.id}`;
    keys.set(run, key);
    last.set(key, run);
  }
  const isLast = (run: R): boolean => last.get(keys.get(run) ?? '') === run;
  return { runs: runs.filter(isLast), repeated: runs.filter((run) => !isLast(run)) };
}
