import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import util from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { describeLibrary, findTfjs, NoTfjsError } from '../../../../src/engine/backends/tfjs/library.ts';

const root = join(import.meta.dirname, '..', '..', '..', '..');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-tfjs-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** As npm leaves a package whose native part could not be downloaded. */
function installBroken(name: string): string {
  const at = join(folder, 'node_modules', name);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'index.js' }));
  writeFileSync(join(at, 'index.js'), "throw new Error('the addon cannot be found at lib/napi-v8\\nand more');\n");
  return at;
}

test('what is installed beside the program is found, with its version and backend', async () => {
  const { name, version, folder: found, backend, passedOver } = await findTfjs(0, [folder, root]);
  expect(name).toMatch(/^@tensorflow\/tfjs/);
  const manifest = JSON.parse(readFileSync(join(found, 'package.json'), 'utf8')) as { readonly version: string };
  expect(version).toBe(manifest.version);
  expect(backend).toMatch(/^(cpu|tensorflow)$/);
  expect(passedOver).toEqual([]);
});

test('TensorFlow keeps to float32 on GPUs that have TF32, unless the user says otherwise', async () => {
  for (const [said, held] of [
    [undefined, '0'],
    ['1', '1'],
  ] as const) {
    vi.stubEnv('NVIDIA_TF32_OVERRIDE', said);
    await findTfjs(0, [folder, root]);
    expect(process.env['NVIDIA_TF32_OVERRIDE']).toBe(held);
  }
  vi.unstubAllEnvs();
});

test('a faster package that cannot be loaded is passed over and named', async () => {
  const broken = installBroken('@tensorflow/tfjs-node');
  const library = await findTfjs(0, [folder, root]);
  const problem = 'the addon cannot be found at lib/napi-v8';
  expect(library.passedOver).toEqual([{ name: '@tensorflow/tfjs-node', folder: broken, problem }]);
  expect(describeLibrary(library)).toMatch(
    /^@tensorflow\/tfjs\S* 4\.\d+\.\d+, its backend (?:cpu|tensorflow); @tensorflow\/tfjs-node cannot be loaded: the addon/,
  );
});

test('what Node no longer has and tfjs-node calls is there before that is loaded', async () => {
  vi.stubGlobal('loadedTfjs', (await findTfjs(0, [root])).tf);
  const at = installBroken('@tensorflow/tfjs-node');
  const itself =
    "const util = require('node:util');\n" +
    'const answers = [util.isNullOrUndefined(null), util.isNullOrUndefined(undefined), util.isNullOrUndefined(0), util.isArray([])];\n' +
    "if (String(answers) !== 'true,true,false,true') throw new Error(String(answers));\n" +
    'module.exports = { ...globalThis.loadedTfjs };\n';
  writeFileSync(join(at, 'index.js'), itself);
  // As they are in a process that has not looked for TensorFlow.js yet.
  for (const name of ['isNullOrUndefined', 'isArray']) Reflect.deleteProperty(util, name);
  const { name, passedOver } = await findTfjs(0, [folder]);
  vi.unstubAllGlobals();
  expect([name, passedOver]).toEqual(['@tensorflow/tfjs-node', []]);
});

test('where there is none the user is told how to install it, and what is broken', async () => {
  const nothing = findTfjs(0, [folder]);
  await expect(nothing).rejects.toThrow(NoTfjsError);
  await expect(nothing).rejects.toThrow(/not installed here\n.*npm install @tensorflow\/tfjs-node /);
  installBroken('@tensorflow/tfjs-node-gpu');
  installBroken('@tensorflow/tfjs');
  await expect(findTfjs(0, [folder])).rejects.toThrow(
    /@tensorflow\/tfjs-node-gpu in .* cannot be loaded: the addon cannot be found at lib\/napi-v8; @tensorflow\/tfjs in /,
  );
});
