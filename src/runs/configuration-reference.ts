import type { Catalogue } from './catalogue.ts';
import { configurationJsonSchema } from './configuration-json-schema.ts';
import type { JsonSchema } from './configuration-json-schema.ts';
import { usualClippingNorm, usualTraining } from './configuration-schema.ts';

/** Ranges that only say what a number can hold are no news to a reader. */
function bounds({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, type }: JsonSchema): string {
  const least = minimum === undefined || minimum <= -Number.MAX_SAFE_INTEGER ? undefined : `at least ${minimum}`;
  const above =
    exclusiveMinimum === undefined
      ? undefined
      : type === 'integer' && exclusiveMinimum === 0
        ? 'at least 1'
        : `above ${exclusiveMinimum}`;
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : `at most ${maximum}`;
  const below = exclusiveMaximum === undefined ? undefined : `below ${exclusiveMaximum}`;
  const parts = [least, above, most, below].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value)}\``;
}

function describeType(schema: JsonSchema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(describeType))].join(' or ');
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (schema.const !== undefined) return code(schema.const);
  switch (schema.type) {
    case 'integer':
      return `whole number${bounds(schema)}`;
    case 'number':
      return `number${bounds(schema)}`;
    case 'string':
      return 'text';
    case 'boolean':
      return '`true` or `false`';
    case 'null':
      return '`null`';
    case 'array':
      if (schema.items?.anyOf?.every(hasId) === true)
        return `list of objects with an \`id\`: ${ids(schema.items).join(', ')}`;
      return schema.items === undefined || Object.keys(schema.items).length === 0
        ? 'list'
        : `list of ${describeType(schema.items)}`;
    default:
      return 'object';
  }
}

function idOf({ properties }: JsonSchema): unknown {
  return properties?.['id']?.const;
}

function hasId(form: JsonSchema): boolean {
  return idOf(form) !== undefined;
}

function ids({ anyOf = [] }: JsonSchema): readonly string[] {
  return anyOf.map((form) => code(idOf(form)));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');
}

function objectForms(schema: JsonSchema): readonly JsonSchema[] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(objectForms);
  return schema.properties === undefined ? [] : [schema];
}

/** One row a setting, children directly after their parent; what is left out of `skip` is described elsewhere on the page. */
function rows(schema: JsonSchema, prefix: string, skip: readonly string[]): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const path = `${prefix}${key}`;
    if (skip.includes(path)) return [];
    const forms = objectForms(child);
    const shownDefault = child.default === undefined || forms.length > 0 ? '' : code(child.default);
    const required = schema.required?.includes(key) === true && child.default === undefined ? 'required' : shownDefault;
    const row = `| \`${path}\` | ${cell(describeType(child))} | ${cell(required)} | ${cell(child.description ?? '')} |`;
    return [row, ...forms.flatMap((form) => rows(form, `${path}.`, skip))];
  });
}

function table(schema: JsonSchema, prefix: string, skip: readonly string[] = []): string {
  return [
    '| Setting | Value | Default | Meaning |',
    '| --- | --- | --- | --- |',
    ...new Set(rows(schema, prefix, skip)),
  ].join('\n');
}

function listed(settings: object): string {
  return Object.entries(settings)
    .map(([name, value]) => `\`${name}\` ${code(value)}`)
    .join(', ');
}

/** What a method's training is where nothing else is said. */
function trainedWith(catalogue: Catalogue, id: string): string {
  const settings = { ...usualTraining, ...catalogue.methods.training?.(id) };
  const { learningRate = settings.learningRate, maxGradNorm = usualClippingNorm } =
    catalogue.methods.privately?.(id) ?? {};
  const privately = { learningRate, 'privacy.maxGradNorm': maxGradNorm };
  return `Trained with ${listed(settings)}; privately with ${listed(privately)}.`;
}

/** The reference page of the configuration file, in Markdown, from the schema alone. */
export function configurationReference(catalogue: Catalogue): string {
  const schema = configurationJsonSchema(catalogue);
  const methods = (schema.properties?.['method']?.anyOf ?? []).flatMap((form) => {
    const id = idOf(form);
    return typeof id === 'string'
      ? [
          `### ${form.description ?? id} (\`${id}\`)\n\n${trainedWith(catalogue, id)}\n\n${table(form, 'method.', ['method.id'])}`,
        ]
      : [];
  });
  const matrix = schema.properties?.['matrix'] ?? {};
  const range =
    objectForms(typeof matrix.additionalProperties === 'object' ? matrix.additionalProperties : {})[0] ?? {};
  return `<!-- Made from the schema by src/runs/configuration-reference.ts; do not edit. -->
<!-- prettier-ignore-start -->

# The configuration file

A run is described by a file whose name ends in \`.peft.json\`: JSON in which comments and trailing commas are allowed.

\`\`\`jsonc
{
  "model": "models/minilm", // a folder, or the id of a model on the hub
  "task": { "id": "sst2", "data": "data/sst2" },
  "method": { "id": "lora", "rank": 8 },
  "training": { "epochs": 3, "learningRate": 5e-4 },
}
\`\`\`

- Relative paths start from the folder of the configuration file. A \`model\` that is no folder there is the id of a model on the hub, or
  \`peft-lab-mini\`, which ships.
- \`task.data\` may be left out where the task's data ship; [your own data](../your-own-data.md) says what files it may be.
- \`model\`, \`task\`, \`method\` and \`device\` may be given by name alone: \`"method": "lora"\` is \`"method": { "id": "lora" }\`.
- Unknown keys are errors.
- On the command line \`--set training.epochs=1\` replaces a setting by its dotted path. The value is JSON where it reads as JSON, else a
  text, and its paths start from the current folder. An override takes the place of the same path in a matrix; where the matrix sets something
  above it (\`task.data\`, with an axis of tasks), it holds within each of the values.

## Settings

${table({ ...schema, required: schema.then?.required ?? [] }, '', ['$schema', 'matrix', 'method.id', ...methodOptionPaths(schema)])}

\`training.epochs\` and \`training.steps\` exclude one another; setting one by \`--set\` or in a matrix takes back the other.

## Options of the methods

${methods.join('\n\n')}

## Sweeps

\`matrix\` makes one run for each combination of the values of its dotted paths. The first path varies slowest.

\`\`\`jsonc
"matrix": {
  "method": ["full", { "id": "lora", "rank": 4 }, { "id": "lora", "rank": 16 }],
  "training.learningRate": { "from": 1e-5, "to": 1e-3, "steps": 3, "scale": "log" },
  "training.seed": [0, 1, 2],
}
\`\`\`

A key is the dotted path of a setting; its value is a list or a range:

${table(range, '')}

Three keys of the matrix are no paths:

${table(matrix, '')}

\`cases\` vary slowest, and may leave out what the file or the defaults say:

\`\`\`jsonc
"matrix": {
  "cases": [
    { "method": "full", "training.learningRate": 1e-4 },
    { "method": { "id": "lora", "rank": 4 }, "training.learningRate": 1e-3 },
    { "method": "slash" },
  ],
  "training.seed": [0, 1, 2],
}
\`\`\`

With \`sample\`, that many different combinations are drawn. A draw depends only on the seed and the axes, and a greater sample begins with the
smaller one. A matrix may hold at most 10,000 runs.

<!-- prettier-ignore-end -->
`;
}

function methodOptionPaths(schema: JsonSchema): readonly string[] {
  return objectForms(schema.properties?.['method'] ?? {}).flatMap((form) =>
    Object.keys(form.properties ?? {}).map((key) => `method.${key}`),
  );
}
