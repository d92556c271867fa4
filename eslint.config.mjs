import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { docstringsPlugin } from './scripts/docstrings.mjs';
import { layersPlugin, pureFiles } from './scripts/layers.mjs';

const syntax = [
  { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
  { selector: 'ExportAllDeclaration', message: 'No barrel files.' },
];

export default defineConfig(
  globalIgnores(['dist', 'coverage', '.cache', 'test/fixtures']),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // As tsc does: a leading underscore says that a name is there for its place only.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      'no-restricted-syntax': ['error', ...syntax],
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { docstrings: docstringsPlugin, layers: layersPlugin },
    rules: {
      'docstrings/functions': 'error',
      'layers/imports': 'error',
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Every draw comes from a seed: src/base/random.ts.' },
      ],
      'no-restricted-syntax': [
        'error',
        ...syntax,
        {
          selector:
            'CallExpression[callee.object.property.name="message"][callee.property.name=/^(includes|match|startsWith|endsWith|search)$/]',
          message: "Tell errors apart by type or code, never by their message's text.",
        },
      ],
    },
  },
  {
    files: pureFiles,
    rules: { 'no-restricted-globals': ['error', 'process', 'Buffer', 'require', 'fetch', '__dirname', '__filename'] },
  },
  {
    // Scripts and the tools' own settings: plain JavaScript whose documented types tsc checks.
    files: ['**/*.mjs', '*.config.ts'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: {
      'no-restricted-syntax': 'off',
      'no-undef': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
    },
  },
);
