import { ESLint } from 'eslint';
import { join } from 'node:path';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

/** The project's own configuration, less the rules that need types: the snippets lie in no project. */
const eslint = new ESLint({
  cwd: root,
  overrideConfig: [
    { ...tseslint.configs.disableTypeChecked, languageOptions: { parserOptions: { projectService: false } } },
  ],
});

async function messages(file: string, code: string): Promise<readonly string[]> {
  const results = await eslint.lintText(code, { filePath: join(root, file) });
  return results.flatMap((result) =>
    result.messages
      .filter(({ ruleId }) => ruleId === null || /^layers\/|^no-(restricted|console)/.test(ruleId))
      .map(({ message }) => message),
  );
}

const importing = (name: string): string => `import { thing } from '${name}';\nthing();\n`;

describe('a forbidden import is reported', () => {
  it.each([
    ['src/base/errors.ts', '../engine/graph/value.ts', 'base may not import from engine/graph'],
    ['src/base/deep/er.ts', '../../peft/lora.ts', 'base may not import from peft'],
    ['src/engine/graph/value.ts', '../backends/onnx/session.ts', 'engine/graph may not import from engine'],
    ['src/engine/graph/value.ts', '../model-graph.ts', 'engine/graph may not import from engine'],
    ['src/engine/graph/value.ts', '../../peft/lora.ts', 'engine/graph may not import from peft'],
    ['src/peft/lora.ts', '../tasks/glue.ts', 'peft may not import from tasks'],
    ['src/peft/lora.ts', '../privacy/accountant.ts', 'peft may not import from privacy'],
    ['src/peft/lora.ts', '../engine/optimisers/adamw.ts', 'peft may not import from engine'],
    ['src/tasks/glue.ts', '../peft/lora.ts', 'tasks may not import from peft'],
    ['src/tasks/read/rows.ts', '../../runs/events.ts', 'tasks may not import from runs'],
    ['src/privacy/accountant.ts', '../tasks/glue.ts', 'privacy may not import from tasks'],
    ['src/engine/train.ts', '../runs/events.ts', 'engine may not import from runs'],
    ['src/engine/train.ts', '../store/worker.ts', 'engine may not import from store'],
    ['src/analysis/pareto.ts', '../runs/events.ts', 'analysis may not import from runs'],
    ['src/analysis/pareto.ts', '../store/listing.ts', 'analysis may not import from store'],
    ['src/runs/supervisor.ts', '../cli/main.ts', 'runs may not import from cli'],
    ['src/runs/supervisor.ts', '../analysis/pareto.ts', 'runs may not import from analysis'],
    ['src/store/worker.ts', '../editor/tree.ts', 'store may not import from editor'],
    ['src/cli/main.ts', '../editor/tree.ts', 'cli may not import from editor'],
    ['src/editor/tree.ts', '../cli/main.ts', 'editor may not import from cli'],
    ['src/webviews/curves/main.ts', '../../store/listing.ts', 'webviews may not import from store'],
    ['src/cli/main.ts', '../extension.ts', 'cli may not import from extension.ts'],
    ['src/cli/main.ts', '../../test/helpers.ts', 'nothing of the project beside it'],
  ])('%s from %s', async (file, name, why) => {
    expect(await messages(file, importing(name))).toEqual([expect.stringContaining(why)]);
  });

  it.each([
    ['a type', `import type { Thing } from '../engine/train.ts';\nexport type Other = Thing;\n`],
    ['an export', `export { thing } from '../engine/train.ts';\n`],
    ['a dynamic import', `export const thing = await import('../engine/train.ts');\n`],
    ['a type by import()', `export type Other = import('../engine/train.ts').Thing;\n`],
  ])('as %s too', async (_, code) => {
    expect(await messages('src/peft/lora.ts', code)).toEqual([expect.stringContaining('peft may not import')]);
  });
});

describe('an allowed import is not', () => {
  it.each([
    ['src/base/errors.ts', './random.ts'],
    ['src/engine/graph/value.ts', '../../base/errors.ts'],
    ['src/engine/graph/value.ts', './dims.ts'],
    ['src/peft/lora.ts', '../engine/graph/value.ts'],
    ['src/tasks/glue.ts', '../base/errors.ts'],
    ['src/privacy/accountant.ts', '../base/random.ts'],
    ['src/engine/train.ts', '../peft/lora.ts'],
    ['src/engine/train.ts', './graph/value.ts'],
    ['src/engine/backends/onnx/session.ts', '../../graph/value.ts'],
    ['src/runs/supervisor.ts', '../store/listing.ts'],
    ['src/store/worker.ts', '../runs/events.ts'],
    ['src/analysis/pareto.ts', '../base/errors.ts'],
    ['src/cli/main.ts', '../analysis/pareto.ts'],
    ['src/cli/main.ts', '../../package.json'],
    ['src/editor/tree.ts', '../webviews/protocol.ts'],
    ['src/extension.ts', './editor/register.ts'],
    ['test/unit/anything.test.ts', '../../src/cli/main.ts'],
  ])('%s from %s', async (file, name) => {
    expect(await messages(file, importing(name))).toEqual([]);
  });
});

describe('the vscode API', () => {
  it.each([
    'base',
    'engine/graph',
    'peft',
    'tasks',
    'privacy',
    'engine',
    'runs',
    'store',
    'analysis',
    'webviews',
    'cli',
  ])('is closed to %s', async (layer) => {
    expect(await messages(`src/${layer}/file.ts`, importing('vscode'))).toEqual([
      expect.stringContaining('only src/editor touches the vscode API'),
    ]);
  });

  it.each(['src/editor/tree.ts', 'src/extension.ts'])('is open to %s', async (file) => {
    expect(await messages(file, importing('vscode'))).toEqual([]);
  });
});

describe("Node's modules", () => {
  it.each(['base', 'engine/graph', 'privacy', 'analysis', 'webviews'])('are closed to %s', async (layer) => {
    for (const name of ['node:fs', 'fs', 'fs/promises', 'node:sqlite']) {
      expect(await messages(`src/${layer}/file.ts`, importing(name))).toEqual([expect.stringContaining('is pure')]);
    }
    expect(await messages(`src/${layer}/file.ts`, 'export const home = process.cwd();\n')).toHaveLength(1);
  });

  it.each(['tasks', 'engine', 'runs', 'store', 'cli', 'editor'])('are open to %s', async (layer) => {
    expect(await messages(`src/${layer}/file.ts`, importing('node:fs'))).toEqual([]);
  });
});

describe('further rules', () => {
  it('a folder that is no layer is reported', async () => {
    expect(await messages('src/helpers/file.ts', 'export const one = 1;\n')).toEqual([
      expect.stringContaining('lies in no layer'),
    ]);
  });

  it('unseeded draws, prints and errors told apart by their text are reported', async () => {
    expect(await messages('src/engine/file.ts', 'export const draw = Math.random();\n')).toHaveLength(1);
    expect(await messages('src/engine/file.ts', 'console.log(1);\n')).toHaveLength(1);
    expect(
      await messages('src/engine/file.ts', "export const f = (e: Error) => e.message.includes('gone');\n"),
    ).toHaveLength(1);
  });

  it('default exports and barrel files are reported', async () => {
    expect(await messages('src/engine/file.ts', 'export default 1;\n')).toEqual(['Named exports only.']);
    expect(await messages('src/engine/file.ts', "export * from './other.ts';\n")).toEqual(['No barrel files.']);
  });
});
