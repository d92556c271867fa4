import { isJsonObject, type Json, type JsonObject } from './json.ts';

/** What is known of how a run was computed. */
export interface RecordedRun {
  /** Its configuration, as it was trained. */
  readonly config: object | null;
  /** What `environment.json` has. */
  readonly environment: object | null;
  /** Its lives, the last of them last. */
  readonly segmentDetails: readonly { readonly provider: string | null; readonly threads: number | null }[];
}

function below(value: unknown, ...keys: readonly string[]): Json | undefined {
  const [key, ...rest] = keys;
  if (key === undefined) return value as Json | undefined;
  return isJsonObject(value) ? below(value[key], ...rest) : undefined;
}

/**
 * A run's settings and, as `environment`, what else its numbers can depend on: versions, the files of model and data by their digests,
 * what it was computed on. Where and when it ran is not among it.
 */
export function circumstancesOf({ config, environment, segmentDetails }: RecordedRun): JsonObject {
  const device = segmentDetails.at(-1);
  const facts: readonly (readonly [string, Json | null | undefined])[] = [
    ['version', below(environment, 'version')],
    ['node', below(environment, 'node')],
    ['packages', below(environment, 'packages')],
    ['commit', below(environment, 'git', 'commit')],
    ['uncommittedChanges', below(environment, 'git', 'dirty')],
    ['modelFiles', below(environment, 'model', 'digest')],
    ['dataFiles', below(environment, 'data', 'digest')],
    ['processor', below(environment, 'hardware', 'cpu')],
    ['provider', device?.provider],
    ['threads', device?.threads],
  ];
  const known = facts.filter((fact): fact is [string, Json] => fact[1] !== undefined && fact[1] !== null);
  return { ...(config as JsonObject | null), environment: Object.fromEntries(known) };
}
