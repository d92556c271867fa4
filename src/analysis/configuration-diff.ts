import { canonical, flatten, settingsOf, type Json, type JsonObject } from './json.ts';

/** One setting across several configurations. */
export interface SettingRow {
  /** Dotted: `training.learningRate`. */
  readonly path: string;
  /** By configuration, in their order; undefined where it has no such setting. */
  readonly values: readonly (Json | undefined)[];
  readonly differs: boolean;
}

export interface DiffOptions {
  /** Also the settings that all have in common, below those that differ. */
  readonly all?: boolean;
}

/**
 * The settings in which configurations differ, nested ones included, each group in the order in which the settings first appear.
 * Nothing differs from nothing: with one configuration, or none, there are no differing settings.
 */
export function diffConfigurations(
  configurations: readonly JsonObject[],
  { all = false }: DiffOptions = {},
): readonly SettingRow[] {
  const flat = configurations.map(settingsOf);
  // Later settings are told where one of them has them.
  const paths = new Set(configurations.flatMap((config) => [...flatten(config).keys()]));
  const rows = [...paths].map((path): SettingRow => {
    const values = flat.map((settings) => settings.get(path));
    const texts = new Set(values.map((value) => (value === undefined ? undefined : canonical(value))));
    return { path, values, differs: texts.size > 1 };
  });
  const different = rows.filter(({ differs }) => differs);
  return all ? [...different, ...rows.filter(({ differs }) => !differs)] : different;
}
