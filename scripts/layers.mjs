import { builtinModules } from 'node:module';
import { dirname, relative, resolve, sep } from 'node:path';

/**
 * The layers of src/, from the bottom up. A file imports from its own layer and from those in `uses`, nothing else; types
 * count like values. Pure layers do no input or output, so they know no module of Node's and run in a browser too.
 *
 * @type {Readonly<Record<string, { uses: readonly string[], pure?: true, vscode?: true }>>}
 */
const bottom = {
  base: { uses: [], pure: true },
  'engine/graph': { uses: ['base'], pure: true },
  peft: { uses: ['base', 'engine/graph'] },
  tasks: { uses: ['base', 'engine/graph'] },
  privacy: { uses: ['base', 'engine/graph'], pure: true },
  engine: { uses: ['base', 'engine/graph', 'peft', 'tasks', 'privacy'] },
};
const belowRuns = Object.keys(bottom);

/** @type {typeof bottom} */
const middle = {
  runs: { uses: [...belowRuns, 'store'] },
  store: { uses: [...belowRuns, 'runs'] },
  analysis: { uses: belowRuns, pure: true },
};
const belowTop = [...belowRuns, ...Object.keys(middle)];

/** @type {typeof bottom} */
export const layers = {
  ...bottom,
  ...middle,
  webviews: { uses: ['base', 'analysis'], pure: true },
  cli: { uses: belowTop },
  editor: { uses: [...belowTop, 'webviews'], vscode: true },
  'extension.ts': { uses: [...belowTop, 'editor'], vscode: true },
};

const source = resolve(import.meta.dirname, '..', 'src');
const nodeModules = new Set(builtinModules);

/**
 * @param {string} path absolute
 * @returns {string | undefined} its path below src/ with forward slashes; undefined outside
 */
function belowSource(path) {
  const below = relative(source, path).split(sep).join('/');
  return below.startsWith('../') ? undefined : below;
}

/**
 * @param {string} below
 * @returns {string | undefined} the layer whose path is the longest that the file lies in
 */
function layerOf(below) {
  return Object.keys(layers)
    .filter((layer) => below === layer || below.startsWith(`${layer}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/**
 * What is wrong with an import.
 *
 * @param {string} file absolute path of the importing file, which lies in `layer`
 * @param {string} layer
 * @param {string} wanted the module's name as written
 * @returns {string | undefined}
 */
function whyForbidden(file, layer, wanted) {
  const rules = layers[layer];
  if (rules === undefined) throw new Error(`no such layer: ${layer}`);
  if (wanted === 'vscode') return rules.vscode ? undefined : 'only src/editor touches the vscode API';
  if (wanted.startsWith('node:') || nodeModules.has(wanted)) {
    return rules.pure ? `${layer} is pure: no input or output, and no module of Node's` : undefined;
  }
  if (!wanted.startsWith('.')) return undefined;
  const target = resolve(dirname(file), wanted);
  const below = belowSource(target);
  if (below === undefined) {
    return target === resolve(source, '..', 'package.json')
      ? undefined
      : 'src/ imports nothing of the project beside it';
  }
  const other = layerOf(below);
  if (other === undefined || other === layer || rules.uses.includes(other)) return undefined;
  return `${layer} may not import from ${other}`;
}

/** @type {import('eslint').Rule.RuleModule} */
const imports = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      forbidden: 'Imports point one way (CONTRIBUTING.md, "Layers"): {{why}}.',
      homeless: 'src/{{below}} lies in no layer (scripts/layers.mjs).',
    },
  },
  create(context) {
    const below = belowSource(context.filename);
    if (below === undefined) return {};
    const layer = layerOf(below);
    if (layer === undefined) {
      return { Program: (node) => context.report({ node, messageId: 'homeless', data: { below } }) };
    }
    /** @param {any} node a node that may have a `source` */
    const check = (node) => {
      const name = node.source?.value ?? node.source?.literal?.value ?? node.moduleReference?.expression?.value;
      const why = typeof name === 'string' ? whyForbidden(context.filename, layer, name) : undefined;
      if (why !== undefined) context.report({ node, messageId: 'forbidden', data: { why } });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
      TSImportEqualsDeclaration: check,
    };
  },
};

export const layersPlugin = { rules: { imports } };
export const pureFiles = Object.entries(layers)
  .filter(([, { pure }]) => pure)
  .map(([layer]) => `src/${layer}/**/*.ts`);
