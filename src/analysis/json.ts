import { isRecord } from '../base/is-record.ts';

/** A value as JSON has it. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}

/** Whether the value is an object with members. */
export function isJsonObject(value: unknown): value is JsonObject {
  return isRecord(value);
}

/** The value as text, with the members of objects in alphabetical order: equal values have equal texts. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item as Json)).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json)}`);
  return `{${members.join(',')}}`;
}

/** Settings that may be written as a name alone, with the member that the name stands for. */
const shorthands: Readonly<Record<string, string>> = { model: 'id', task: 'id', method: 'id', device: 'provider' };

/** Whether a branch of settings has a name that stands for it. */
export function isNamed(branch: string): boolean {
  return Object.hasOwn(shorthands, branch);
}

/** A key as it stands in a path; one that holds a dot itself is quoted. */
function pathPart(key: string): string {
  return key === '' || /[.["]/.test(key) ? `[${JSON.stringify(key)}]` : key;
}

/**
 * The settings of a configuration by dotted path, in their order: `training.seed`, `method.rank`. Lists are values, not
 * branches. Short forms are written out, so that `"method": "lora"` and `{"id": "lora"}` agree.
 */
export function flatten(config: JsonObject): ReadonlyMap<string, Json> {
  const flat = new Map<string, Json>();
  const visit = (value: Json, path: string): void => {
    if (!isJsonObject(value) || Object.keys(value).length === 0) {
      flat.set(path, value);
      return;
    }
    for (const [key, member] of Object.entries(value))
      visit(member, path === '' ? pathPart(key) : `${path}.${pathPart(key)}`);
  };
  for (const [key, value] of Object.entries(config)) {
    const member = shorthands[key];
    visit(member !== undefined && typeof value === 'string' ? { [member]: value } : value, pathPart(key));
  }
  return flat;
}

/**
 * Settings that configurations of earlier versions do not have, with what a run without them was trained as: an old run and a new one
 * that says so agree.
 */
const laterSettings: readonly (readonly [path: string, value: Json])[] = [
  ['training.recompute', false],
  ['training.precision', 'float32'],
  ['training.frozenPrecision', 'float32'],
];

/** The settings of a run's configuration by dotted path, those that came after it included; none where nothing is known of it. */
export function settingsOf(config: JsonObject | null): ReadonlyMap<string, Json> {
  if (config === null) return new Map();
  const flat = flatten(config);
  const isWhole = isJsonObject(config['training']);
  return isWhole ? new Map([...flat, ...laterSettings.filter(([path]) => !flat.has(path))]) : flat;
}

/** Whether `path` is `branch` or lies below it. */
export function liesIn(path: string, branch: string): boolean {
  return path === branch || path.startsWith(`${branch}.`);
}

/** The setting at a path of a flattened configuration; a branch stands for its name (`method` for `method.id`). */
export function settingAt(flat: ReadonlyMap<string, Json>, path: string): Json | undefined {
  return flat.get(path) ?? flat.get(`${path}.${shorthands[path] ?? 'id'}`);
}
