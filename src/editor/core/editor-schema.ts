import type { Catalogue } from '../../runs/catalogue.ts';
import { configurationJsonSchema, settingPaths, type JsonSchema } from '../../runs/configuration-json-schema.ts';

/**
 * The schema of `*.peft.json` as the editor's JSON support is given it: for completion and hovering. What is wrong with a configuration
 * is told by the runtime's own check, in better words and only once: what stands under an `if` without `then` is known to the editor
 * and demanded of nobody. The one exception are the later values of a matrix, which the runtime checks when it plans the runs.
 */

/** A schema with what VS Code shows beside its values. */
type Described = JsonSchema & {
  readonly enumDescriptions?: readonly string[];
  readonly defaultSnippets?: readonly unknown[];
};

/** As {@link Described}, with lists whose first value has a schema of its own. */
export type EditorSchema = Omit<Described, 'anyOf' | 'items' | 'properties' | 'if'> & {
  readonly $ref?: string;
  readonly definitions?: Readonly<Record<string, EditorSchema>>;
  readonly anyOf?: readonly EditorSchema[];
  readonly items?: EditorSchema | readonly EditorSchema[];
  readonly additionalItems?: EditorSchema;
  readonly properties?: Readonly<Record<string, EditorSchema>>;
  readonly if?: EditorSchema;
};

/** What decides nothing about which of several forms is meant, and would only make none of them fit. */
const withoutForm: ReadonlySet<string> = new Set([
  ...['additionalProperties', 'required', 'if', 'then', 'not'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['minLength', 'maxLength', 'minItems', 'maxItems', 'pattern'],
]);

function loosened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(loosened);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => {
      // Below `properties` the keys are settings, whatever they are called.
      if (key === 'properties') return [[key, mapValues(member as Readonly<Record<string, unknown>>, loosened)]];
      return withoutForm.has(key) ? [] : [[key, key === 'default' || key === 'enum' ? member : loosened(member)]];
    }),
  );
}

function mapValues(
  record: Readonly<Record<string, unknown>>,
  change: (value: unknown) => unknown,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** The method in both forms, each name with its title beside it. */
function titled(method: JsonSchema, { methods }: Catalogue): Described {
  const forms = method.anyOf?.map((form): Described => {
    const { id, ...options } = form.properties ?? {};
    if (form.enum !== undefined)
      return { ...form, enumDescriptions: form.enum.map((name) => methods.title(String(name))) };
    if (typeof id?.const !== 'string') return form;
    return { ...form, properties: { id: { ...id, description: methods.title(id.const) }, ...options } };
  });
  return {
    ...method,
    ...(forms === undefined ? {} : { anyOf: forms }),
    defaultSnippets: [{ label: '{ id, … }', description: 'a method with options', body: { id: '$1' } }],
  };
}

/** What the schema says of the setting at a dotted path, in whichever form of its parents it stands. */
function settingAt(schema: JsonSchema, path: string): JsonSchema | undefined {
  let nodes: readonly JsonSchema[] = [schema];
  const forms = (node: JsonSchema): readonly JsonSchema[] =>
    node.anyOf === undefined ? [node] : node.anyOf.flatMap(forms);
  for (const key of path.split('.')) nodes = nodes.flatMap(forms).flatMap((node) => node.properties?.[key] ?? []);
  return nodes[0];
}

const range: EditorSchema = {
  type: 'object',
  properties: {
    from: { type: 'number', description: 'The first value.' },
    to: { type: 'number', description: 'The last value.' },
    steps: { type: 'integer', description: 'How many values; may be absent with sample.' },
    scale: { enum: ['linear', 'log'], default: 'linear', description: 'Even steps, or even ratios.' },
  },
};

/** The values of a matrix are lists of what the setting may be, or ranges. */
function axis(description: string, setting: EditorSchema): EditorSchema {
  return {
    description,
    if: { anyOf: [{ type: 'array', items: setting }, range] },
    // The first value is among what the runtime checks.
    items: [{}],
    additionalItems: setting,
    defaultSnippets: [
      { label: '[…]', description: 'a list of values', body: ['$1'] },
      { label: '{ from, to, steps }', description: 'a range', body: { from: '^$1', to: '^$2', steps: '^${3:3}' } },
    ],
  };
}

const snippets: readonly unknown[] = [
  {
    label: 'PEFT Lab: a run',
    description: 'model, task and method',
    body: {
      model: '${1:sentence-transformers/all-MiniLM-L6-v2}',
      task: { id: '${2:sst2}', data: '${3:./data}' },
      method: '${4:lora}',
      training: { epochs: '^${5:3}' },
    },
  },
];

/** The schema for editors. */
export function editorSchema(catalogue: Catalogue): EditorSchema {
  const {
    $schema,
    title,
    description,
    properties: written,
  } = loosened(configurationJsonSchema(catalogue)) as JsonSchema;
  const { matrix, ...others } = written ?? {};
  const settings = { ...others, method: titled(others['method'] ?? {}, catalogue) };
  const schema: JsonSchema = { properties: settings };
  const definitions = Object.fromEntries(settingPaths(schema).map((path) => [path, settingAt(schema, path) ?? {}]));
  const paths = Object.entries(definitions);
  const setting = (path: string): EditorSchema => ({ $ref: `#/definitions/${path}` });
  const cases: EditorSchema = {
    ...matrix?.properties?.['cases'],
    items: { type: 'object', properties: Object.fromEntries(paths.map(([path]) => [path, setting(path)])) },
    defaultSnippets: [
      {
        label: '[{ method, learning rate }]',
        description: 'methods with learning rates of their own',
        body: [{ method: '${1:lora}', 'training.learningRate': '^${2:1e-3}' }],
      },
    ],
  };
  return {
    ...($schema === undefined ? {} : { $schema }),
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    if: { properties: settings },
    properties: {
      matrix: {
        ...(matrix?.description === undefined ? {} : { description: matrix.description }),
        if: { ...matrix, properties: { ...matrix?.properties, cases } },
        properties: Object.fromEntries(
          paths.map(([path, { description: text = path }]) => [path, axis(text, setting(path))]),
        ),
      },
    },
    definitions,
    defaultSnippets: snippets,
  };
}
