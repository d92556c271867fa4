import { z } from 'zod';
import { isRecord } from '../base/is-record.ts';
import type { Catalogue } from './catalogue.ts';
import { configurationSchema, matrixSchema } from './configuration-schema.ts';

/** The part of JSON Schema (draft 7) that our schemas come out as. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly if?: JsonSchema;
  readonly then?: JsonSchema;
  readonly not?: JsonSchema;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
}

/** A schema as it reads what a person writes; alternatives are always `anyOf`. */
export function writtenSchema(schema: z.ZodType): JsonSchema {
  const emitted = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    reused: 'inline',
    // Forms that exclude one another by their id; one word for alternatives is enough.
    override: ({ jsonSchema }) => {
      if (jsonSchema.oneOf === undefined) return;
      jsonSchema.anyOf = jsonSchema.oneOf;
      delete jsonSchema.oneOf;
    },
  });
  delete emitted.$schema;
  return emitted as JsonSchema;
}

function methodJsonSchema(catalogue: Catalogue, description: string | undefined): JsonSchema {
  const ids = catalogue.methods.ids();
  // A method that can't do without options has no short form.
  const short = ids.filter((id) => catalogue.methods.options(id).safeParse({}).success);
  return {
    ...(description === undefined ? {} : { description }),
    anyOf: [
      { type: 'string', enum: short },
      ...ids.map((id): JsonSchema => {
        const options = writtenSchema(catalogue.methods.options(id));
        return {
          type: 'object',
          description: catalogue.methods.title(id),
          properties: { id: { const: id, description: 'The method.' }, ...options.properties },
          required: ['id', ...(options.required ?? [])],
          additionalProperties: false,
        };
      }),
    ],
  };
}

function build(catalogue: Catalogue): JsonSchema {
  const { required = [], ...run } = writtenSchema(configurationSchema(catalogue));
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'PEFT Lab configuration',
    ...run,
    properties: {
      $schema: { type: 'string', description: 'The schema of this file, for editors.' },
      ...run.properties,
      method: methodJsonSchema(catalogue, run.properties?.['method']?.description),
      matrix: writtenSchema(matrixSchema),
    },
    // With a matrix, what is required may come from it.
    if: { not: { required: ['matrix'] } },
    then: { required },
  };
}

const built = new WeakMap<Catalogue, JsonSchema>();

/** The JSON schema of `*.peft.json`, which editors complete and check by. */
export function configurationJsonSchema(catalogue: Catalogue): JsonSchema {
  const known = built.get(catalogue);
  if (known !== undefined) return known;
  const schema = build(catalogue);
  built.set(catalogue, schema);
  return schema;
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

/**
 * The keys that the object at `path` may have. Where several forms are open, `value` (the whole configuration) decides by the `id` that
 * it holds there.
 */
export function keysAt(schema: JsonSchema, path: readonly (string | number)[], value: unknown): readonly string[] {
  let nodes = alternatives(schema);
  let here = value;
  const fitting = (): readonly JsonSchema[] => {
    const id = isRecord(here) ? here['id'] : undefined;
    const chosen = nodes.filter((node) => node.properties?.['id']?.const === id);
    return id === undefined || chosen.length === 0 ? nodes : chosen;
  };
  for (const key of path) {
    nodes = fitting().flatMap((node) => {
      const child = typeof key === 'number' ? node.items : node.properties?.[key];
      return child === undefined ? [] : alternatives(child);
    });
    here = isRecord(here) || Array.isArray(here) ? (here as Readonly<Record<string, unknown>>)[key] : undefined;
  }
  return [...new Set(fitting().flatMap((node) => Object.keys(node.properties ?? {})))];
}

/** What may stand at each dotted path that a configuration may set, parents before their children; the matrix is none. */
function formsByPath(schema: JsonSchema): ReadonlyMap<string, readonly JsonSchema[]> {
  const paths = new Map<string, readonly JsonSchema[]>();
  const visit = (node: JsonSchema, prefix: string): void => {
    for (const form of alternatives(node))
      for (const [key, child] of Object.entries(form.properties ?? {})) {
        if (prefix === '' && (key === 'matrix' || key === '$schema')) continue;
        const path = `${prefix}${key}`;
        paths.set(path, [...(paths.get(path) ?? []), ...alternatives(child)]);
        visit(child, `${path}.`);
      }
  };
  visit(schema, '');
  return paths;
}

/** Every dotted path that a configuration may set, parents before their children; the matrix is none. */
export function settingPaths(schema: JsonSchema): readonly string[] {
  return [...formsByPath(schema).keys()];
}

/** Of {@link settingPaths} those that hold other settings and can never be a value themselves. */
export function branchPaths(schema: JsonSchema): readonly string[] {
  return [...formsByPath(schema)]
    .filter(([, forms]) => forms.every(({ properties }) => properties !== undefined))
    .map(([path]) => path);
}
