import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Layers from the bottom up: a file may import from its own row and from the rows above it in this list. */
const layers = [
  ['base'],
  ['engine/graph'],
  ['peft', 'tasks', 'privacy'],
  ['engine'],
  ['runs', 'store', 'analysis'],
  ['cli', 'editor'],
];

const pure = ['base', 'engine/graph', 'privacy', 'analysis'];

/** Peers that must not know each other, although they stand in the same row. */
const strangers = { privacy: ['peft', 'tasks'], peft: ['tasks', 'privacy'], tasks: ['peft', 'privacy'], analysis: ['runs', 'store'] };

function forbidden(layer, row) {
  const above = layers.slice(row + 1).flat();
  // engine/graph lies inside engine: whoever may not import engine may still import engine/graph.
  return [...above, ...(strangers[layer] ?? [])].map((name) =>
    name === 'engine' ? '(^|/)engine/(?!graph/)' : `(^|/)\\.\\./(.*/)?${name}/`,
  );
}

const layerRules = layers.flatMap((row, index) =>
  row.map((layer) => ({
    files: [`src/${layer}/**/*.ts`],
    ...(layer === 'engine' ? { ignores: ['src/engine/graph/**'] } : {}),
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            ...forbidden(layer, index).map((regex) => ({
              regex,
              message: `Imports point one way: ${layer} stands below this layer (see CONTRIBUTING.md).`,
            })),
            ...(pure.includes(layer)
              ? [{ regex: '^(node:|vscode$)', message: `${layer} is pure: no I/O and no editor.` }]
              : layer === 'editor'
                ? []
                : [{ regex: '^vscode$', message: 'Only src/editor touches the vscode API.' }]),
          ],
        },
      ],
    },
  })),
);

export default tseslint.config(
  { ignores: ['dist', 'coverage', 'node_modules', '.cache', 'src/engine/backends/onnx/onnx_pb.ts'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['eslint.config.mjs'] } } },
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        { selector: 'ExportAllDeclaration', message: 'No barrel files.' },
      ],
      eqeqeq: 'error',
    },
  },
  { files: ['**/*.mjs', '**/*.config.ts'], extends: [tseslint.configs.disableTypeChecked], rules: { 'no-restricted-syntax': 'off' }, languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } } },
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/no-floating-promises': 'error' } },
  ...layerRules,
);
