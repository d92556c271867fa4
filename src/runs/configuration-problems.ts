import type { z } from 'zod';
import { closestName } from '../base/suggest.ts';
import { keysAt, settingPaths } from './configuration-json-schema.ts';
import type { JsonSchema } from './configuration-json-schema.ts';
import { indexedProviders } from './configuration-schema.ts';

export type KeyPath = readonly (string | number)[];

/** What is wrong with a configuration, and where in it. */
export interface Problem {
  readonly path: KeyPath;
  /** Whether the key itself is wrong rather than its value. */
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly hint?: string;
}

type Issue = z.core.$ZodIssue;

/** A key as it is shown; in quotes where a line break or another control character in it could pass for text of ours. */
function shownKey(key: string): string {
  return /[\p{Cc}\u2028\u2029]/u.test(key) ? JSON.stringify(key) : key;
}

/** A path as people write it: `training.learningRate`, `tags[2]`. */
export function dotted(path: KeyPath): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${shownKey(key)}`))
    .join('');
}

function show(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? 'nothing' : text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function valueAt(value: unknown, path: KeyPath): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Readonly<Record<string | number, unknown>>)[key];
  }
  return here;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  record: 'an object',
  null: 'null',
};

function either(parts: readonly string[]): string {
  const unique = [...new Set(parts)];
  const last = unique.pop() ?? 'something else';
  return unique.length === 0 ? last : `${unique.join(', ')} or ${last}`;
}

function unit(origin: string, count: number | bigint): string {
  const noun = origin === 'string' ? 'character' : origin === 'array' || origin === 'set' ? 'item' : undefined;
  return noun === undefined ? '' : ` ${noun}${Number(count) === 1 ? '' : 's'}`;
}

/** What the issue's place should have held. */
function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeNames[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return either(issue.values.map((value) => show(value)));
    case 'too_small': {
      const bound = `${String(issue.minimum)}${unit(issue.origin, issue.minimum)}`;
      if (unit(issue.origin, 1) !== '') return `at least ${bound}`;
      return issue.inclusive === false ? `a number above ${bound}` : `a number of at least ${bound}`;
    }
    case 'too_big': {
      const bound = `${String(issue.maximum)}${unit(issue.origin, issue.maximum)}`;
      if (unit(issue.origin, 1) !== '') return `at most ${bound}`;
      return issue.inclusive === false ? `a number below ${bound}` : `a number of at most ${bound}`;
    }
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_union':
      if ('options' in issue) return either(issue.options.map((value) => show(value)));
      return either(issue.errors.flatMap((branch) => branch.map(expectation)));
    case 'invalid_format':
    case 'unrecognized_keys':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return issue.message;
  }
}

function isMismatch(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}

/** Where a union fails, the form that the value was meant to have tells more than the list of all forms. */
function meant(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const branch = issue.errors.find((errors) => errors.length > 0 && !errors.some(isMismatch));
  if (branch === undefined) return [issue];
  return branch.flatMap((inner) => meant({ ...inner, path: [...issue.path, ...inner.path] }));
}

function knownValues(issue: Issue): readonly string[] {
  if (issue.code === 'invalid_value') return issue.values.filter((value) => typeof value === 'string');
  if (issue.code === 'invalid_union' && 'options' in issue)
    return issue.options.filter((value) => typeof value === 'string');
  if (issue.code === 'invalid_union') return issue.errors.flatMap((branch) => branch.flatMap(knownValues));
  return [];
}

function didYouMean(closest: string | undefined): { readonly hint?: string } {
  return closest === undefined ? {} : { hint: `Did you mean "${closest}"?` };
}

/** What other programs call a device, by what computes on it here. */
const foreignDevices: Readonly<Record<string, string>> = {
  gpu: 'auto',
  mps: 'webgpu',
  metal: 'webgpu',
  vulkan: 'webgpu',
  rocm: 'webgpu',
  hip: 'webgpu',
  xpu: 'webgpu',
  directml: 'dml',
  tensorflow: 'tfjs',
};

/** The hint for a text in the place of one of several: for a device, what people know from PyTorch means, `cuda:1` too. */
function valueHint(path: KeyPath, found: string, known: readonly string[]): { readonly hint?: string } {
  const isDevice = path.findLast((key) => typeof key === 'string') === 'device';
  if (!isDevice && path.at(-1) !== 'provider') return didYouMean(closestName(found, known));
  const [, name = '', index] = /^(.*?)(?::(\d+))?$/s.exec(found.toLowerCase()) ?? [];
  const provider = foreignDevices[name] ?? closestName(name, known);
  if (index === undefined || provider === undefined || !known.includes(provider)) return didYouMean(provider);
  return indexedProviders.includes(provider)
    ? {
        hint: `For one of several GPUs write ${isDevice ? '"device": ' : ''}{ "provider": "${provider}", "index": ${index} }.`,
      }
    : { hint: `Did you mean "${provider}"? It lets no GPU be chosen.` };
}

/** The hint for a key that does not exist: the nearest of its neighbours, or the same key where it does belong. */
function keyHint(schema: JsonSchema, path: KeyPath, key: string, value: unknown): { readonly hint?: string } {
  const known = keysAt(schema, path, value);
  const closest = closestName(key, known);
  if (closest !== undefined) return didYouMean(closest);
  // Of forms that exclude one another, as methods, only the one that was chosen counts.
  const belongsAt = (candidate: string): boolean =>
    keysAt(schema, candidate.split('.').slice(0, -1), value).includes(key);
  const elsewhere = settingPaths(schema).find((candidate) => candidate.endsWith(`.${key}`) && belongsAt(candidate));
  if (elsewhere !== undefined) return didYouMean(elsewhere);
  return known.length === 0 ? {} : { hint: `Known here: ${known.join(', ')}.` };
}

/** The problems behind the issues that the schema raised on `value`. */
export function problemsOf(issues: readonly Issue[], value: unknown, schema: JsonSchema): readonly Problem[] {
  return issues.flatMap(meant).flatMap((issue): readonly Problem[] => {
    const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key));
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: [...path, key],
        at: 'key',
        message: 'unknown key',
        ...keyHint(schema, path, key, value),
      }));
    const found = valueAt(value, path);
    if (issue.code === 'custom') return [{ path, at: 'value', message: issue.message }];
    if (found === undefined) return [{ path, at: 'value', message: `missing; expected ${expectation(issue)}` }];
    return [
      {
        path,
        at: 'value',
        message: `expected ${expectation(issue)}, found ${show(found)}`,
        ...(typeof found === 'string' ? valueHint(path, found, knownValues(issue)) : {}),
      },
    ];
  });
}

/** A problem as one paragraph, for messages that hold several. */
export function describeProblem({ path, message, hint }: Problem): string {
  const place = path.length === 0 ? '' : `${dotted(path)}: `;
  return `${place}${message}${hint === undefined ? '' : ` (${hint.replace(/\.$/, '')})`}`;
}
