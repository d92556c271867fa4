import { isRecord } from '../base/is-record.ts';

/** Settings as a person wrote them: a JSON object with short forms and gaps. */
export type Settings = Readonly<Record<string, unknown>>;

/** The key that a short form stands for: `"method": "lora"` is `"method": { "id": "lora" }`. */
const shortForms: Readonly<Record<string, string>> = { model: 'id', task: 'id', method: 'id', device: 'provider' };

/** Settings of which giving one takes back the other, by their dotted paths. */
export const exclusive: Readonly<Record<string, string>> = {
  'training.epochs': 'training.steps',
  'training.steps': 'training.epochs',
};

/** The settings but for some keys. */
export function without(settings: Settings, ...keys: readonly (string | undefined)[]): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !keys.includes(key)));
}

/** The settings with the one at a dotted path replaced; short forms on the way are written out. The path has to exist in the schema. */
export function withSetting(settings: Settings, path: string, value: unknown): Settings {
  const set = (here: Settings, keys: readonly string[], prefix: string): Settings => {
    const [key = '', ...rest] = keys;
    if (rest.length === 0) {
      return { ...without(here, exclusive[path]?.split('.').pop()), [key]: value };
    }
    const full = `${prefix}${key}`;
    const child = here[key];
    const short = shortForms[full];
    const inner = isRecord(child) ? child : short !== undefined && child !== undefined ? { [short]: child } : {};
    return { ...here, [key]: set(inner, rest, `${full}.`) };
  };
  return set(settings, path.split('.'), '');
}

/** The setting at a dotted path; undefined where there is none. */
export function settingAt(settings: Settings, path: string): unknown {
  return path.split('.').reduce<unknown>((here, key) => (isRecord(here) ? here[key] : undefined), settings);
}

/** Sets several paths, parents before their children, whatever the order they are given in. */
export function withSettings(
  settings: Settings,
  entries: readonly (readonly [path: string, value: unknown])[],
): Settings {
  const depth = (path: string): number => path.split('.').length;
  return [...entries]
    .sort(([a], [b]) => depth(a) - depth(b))
    .reduce((done, [path, value]) => withSetting(done, path, value), settings);
}
