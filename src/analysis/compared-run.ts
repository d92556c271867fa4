import { incidentalKeys } from './aggregate.ts';
import type { ComparedRun } from './comparison.ts';
import { isJsonObject, liesIn, type JsonObject } from './json.ts';

/** A run that is handed over to be compared elsewhere, in a panel or a report, with what tells it apart for people. */
export interface HandedRun extends ComparedRun {
  readonly name: string | null;
  readonly seed: number | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number | null;
}

/** A run as a database has it, whose configuration may be anything. */
export interface RecordedRun extends Omit<HandedRun, 'config'> {
  readonly config: unknown;
}

/** What methods are called, by id; of another version's nothing is known, and they go by their ids. */
export type MethodTitles = Readonly<Record<string, string>>;

/** A run whose method goes by its title, for what is only shown: what is compared by it stays told apart. */
export function withMethodTitle<R extends { readonly config: unknown }>(run: R, titles: MethodTitles): R {
  const { config } = run;
  if (!isJsonObject(config) || !isJsonObject(config['method'])) return run;
  const { id } = config['method'];
  if (typeof id !== 'string' || !Object.hasOwn(titles, id)) return run;
  return { ...run, config: { ...config, method: { ...config['method'], id: titles[id] } } };
}

/** The settings that comparisons look at: what is incidental is left out unless rows are made of it. */
function comparedConfig(config: unknown, rows: readonly string[]): JsonObject | null {
  if (!isJsonObject(config)) return null;
  const left: ReadonlySet<string> = new Set(
    incidentalKeys.filter((branch) => !rows.some((path) => liesIn(path, branch))),
  );
  return Object.fromEntries(Object.entries(config).filter(([key]) => !left.has(key)));
}

/**
 * As much of a run as a comparison needs; of one that has not finished no more than that.
 * @param rows the settings that the comparison's rows are made of, where it was asked for some
 */
export function handedRun(run: RecordedRun, rows: readonly string[] = []): HandedRun {
  const { id, name, seed, state, parameters, epsilon, trainSeconds, best, last, createdAt } = run;
  const common = { id, name, seed, state, epsilon, trainSeconds, createdAt };
  if (state !== 'finished') return { ...common, config: null, parameters: null, best: null, last: null };
  return {
    ...common,
    config: comparedConfig(run.config, rows),
    parameters:
      parameters === null ? null : { method: parameters.method, head: parameters.head, total: parameters.total },
    best,
    last,
  };
}
