// Usage: npm start [-- --model FOLDER_OR_HUB_ID] [--open]
// A comparison of five methods on data that ships with the project, through the command line that everyone uses. With
// --open, VS Code in the browser with the extension and the runs in it; runs of an earlier start are taken as they are.
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { listRuns, runFolder, workspaceAt } from '../src/runs/run-folder.ts';
import { runState } from '../src/runs/run-state.ts';
import { loadSplit } from '../src/tasks/read/load.ts';
import { findTask } from '../src/tasks/registry.ts';
import { sampleFolder } from '../src/tasks/sample-data.ts';
import { openInBrowser } from './open.ts';
import { ownTarget, packageForThisMachine } from './package.ts';
import { writeRandomEncoder } from './random-encoder.ts';
import { onPath } from './vscode/programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const workspace = join(root, '.cache', 'start');
const encoderFolder = join(workspace, 'encoder');

/** Each method with a learning rate that suits it here, where full fine-tuning shows what can be learnt. */
const methods = [
  { method: 'full', learningRate: 1e-3 },
  { method: { id: 'lora', rank: 8 }, learningRate: 4e-3 },
  { method: 'bitfit', learningRate: 4e-3 },
  { method: { id: 'slash', dimension: 1024 }, learningRate: 1e-2 },
  { method: 'head', learningRate: 4e-3 },
];

function peftLab(...args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'bin', 'peft-lab.mjs'), '--folder', workspace, ...args], {
      stdio: 'inherit',
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** The sentences that are trained on. */
async function sentences(): Promise<string> {
  const task = findTask('word-order');
  const { examples } = await loadSplit(task, sampleFolder(task) ?? '', 'train');
  return examples.map(({ text }) => text).join('\n');
}

async function train(model: string | undefined): Promise<number> {
  // Enough to see every part at work, and honest about what it is.
  if (model === undefined) await writeRandomEncoder(encoderFolder, await sentences());
  const files: string[] = [];
  for (const { method, learningRate } of methods) {
    const id = typeof method === 'string' ? method : method.id;
    const file = join(workspace, `${id}.peft.json`);
    const configuration = {
      name: `word-order ${id}`,
      model: model ?? encoderFolder,
      task: { id: 'word-order', maxLength: 64 },
      method,
      training: { epochs: 6, batchSize: 32, learningRate, dropout: 0 },
      tags: ['start'],
    };
    await writeFile(file, `${JSON.stringify(configuration, undefined, 2)}\n`);
    files.push(file);
  }
  process.stdout.write(
    model === undefined
      ? 'Five methods on a small encoder with RANDOM weights and real sentences (is a sentence in its own order?).\n' +
          'This shows that everything works, not how good a method is: for that, give a pretrained encoder,\n' +
          'npm start -- --model FOLDER_OR_HUB_ID.\n\n'
      : `Five methods on ${model}: is a sentence in its own order?\n\n`,
  );
  const code = await peftLab('run', ...files);
  if (code === 0) {
    process.stdout.write('\n');
    await peftLab('compare', '--by', 'method');
    process.stdout.write(
      `\nThe runs are in ${join(workspace, '.peft', 'runs')}: their configurations, journals and checkpoints.\n` +
        `Look at one with: node bin/peft-lab.mjs --folder ${workspace} show RUN\n`,
    );
  }
  return code;
}

/** The command that shows the runs in the editor: the user's own where it is on PATH. */
async function howToOpen(): Promise<string> {
  const target = onPath('code') === undefined ? undefined : ownTarget();
  if (target === undefined) return 'npm start -- --open';
  return `code --install-extension ${await packageForThisMachine(target)} --force && code ${workspace}`;
}

/** Runs that a start left. */
function finished(): boolean {
  const folder = workspaceAt(workspace);
  return listRuns(folder).some((id) => runState(runFolder(folder, id)).state === 'finished');
}

const { values } = parseArgs({ options: { model: { type: 'string' }, open: { type: 'boolean', default: false } } });
await mkdir(workspace, { recursive: true });
const code = values.open && values.model === undefined && finished() ? 0 : await train(values.model);
if (code === 0 && values.open) await openInBrowser(workspace);
else if (code === 0) process.stdout.write(`See them in VS Code: ${await howToOpen()}\n`);
process.exitCode = code;
