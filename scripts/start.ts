// Usage: npm start [-- --all] [--model FOLDER_OR_HUB_ID] [--open]
// A comparison of methods on the encoder and the tasks that ship with the project, through the command line that everyone uses: six
// methods, or with --all every one. With --open, VS Code in the browser with the extension and the runs in it; runs of an earlier
// start are taken as they are.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isBuilt } from '../bin/is-built.mjs';
import { UserError } from '../src/base/errors.ts';
import { errorCode } from '../src/runs/files.ts';
import { listRuns, runFolder, workspaceAt } from '../src/runs/run-folder.ts';
import { runState } from '../src/runs/run-state.ts';
import { openInBrowser } from './open.ts';
import { ownTarget, packageForThisMachine } from './package.ts';
import { onPath, Unavailable } from './vscode/programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const workspace = join(root, '.cache', 'start');
const program = join(root, 'bin', 'peft-lab.mjs');
const reportFile = join(workspace, 'comparison.html');
const hub = process.env['HF_ENDPOINT'] ?? 'https://huggingface.co';

function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

function node(...args: readonly string[]): Promise<number> {
  return ended(spawn(process.execPath, args, { stdio: 'inherit', cwd: root }));
}

const peftLab = (...args: readonly string[]): Promise<number> => node(program, '--folder', workspace, ...args);

/** Bundled, a run starts sooner, and the report needs a bundle anyway. */
function build(): Promise<number> {
  return isBuilt() ? Promise.resolve(0) : node(join(root, 'scripts', 'build.mjs'), '--quiet');
}

/** What shows a comparison in a browser, with the panel's own code in it. */
async function writeReport(): Promise<number> {
  const args = [program, '--folder', workspace, 'compare', '--by', 'method', '--format', 'html'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [code] = await Promise.all([ended(child), pipeline(child.stdout, createWriteStream(reportFile))]);
  return code;
}

/** Whether the Hugging Face hub answers at once. */
async function reachesHub(): Promise<boolean> {
  try {
    return (await fetch(hub, { method: 'HEAD', signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

async function train(model: string | undefined, all: boolean): Promise<number> {
  const example = join('examples', all ? 'sample-tasks-all.peft.json' : 'sample-tasks.peft.json');
  const chosen = model === undefined ? [] : ['--set', `model=${model}`];
  const slots = String(Math.max(1, Math.min(4, availableParallelism())));
  // Of so small an encoder the CPU trains several at once, and a GPU one after the other.
  const command = ['run', example, ...chosen, '--set', 'device=cpu', '--slots', `cpu=${slots}`];
  process.stdout.write(
    `${all ? 'Every method' : 'Six methods'} on ${model ?? 'peft-lab-mini, the encoder that ships with the project'}: two tasks, two seeds.\n` +
      `The same as: peft-lab ${command.join(' ')}\n\n`,
  );
  const code = (await build()) || (await peftLab(...command));
  if (code !== 0) return code;
  process.stdout.write('\n');
  const compared = await peftLab('compare', '--by', 'method');
  return compared === 0 ? writeReport() : compared;
}

async function tellWhatNext(): Promise<void> {
  const folder = relative(process.cwd(), workspace);
  process.stdout.write(
    `\nThe comparison with its chart, to be opened in a browser: ${pathToFileURL(reportFile).href}\n` +
      `One run: node bin/peft-lab.mjs --folder ${quoted(folder)} show RUN\n` +
      `All of it in VS Code: ${await howToOpen()}\n`,
  );
  if (await reachesHub())
    process.stdout.write(
      `\n${new URL(hub).host} can be reached, so RoBERTa on GLUE is one command too, once SST-2's files lie in a folder:\n` +
        'node bin/peft-lab.mjs run examples/sst2-lora.peft.json --set model=FacebookAI/roberta-base --set task.data=FOLDER\n',
    );
}

/** A path as shells take it for one word. */
function quoted(path: string): string {
  return /^[\w./:\\-]+$/.test(path) ? path : `"${path}"`;
}

/** The command that shows the runs in the editor: the user's own where it is on PATH. */
async function howToOpen(): Promise<string> {
  const target = onPath('code') === undefined ? undefined : ownTarget();
  if (target === undefined) return 'npm start -- --open';
  // A line each: not every shell of Windows knows `&&`.
  return `\n  code --install-extension ${quoted(await packageForThisMachine(target))} --force\n  code ${quoted(workspace)}`;
}

/** Runs that a start left. */
function finished(): boolean {
  const folder = workspaceAt(workspace);
  return listRuns(folder).some((id) => runState(runFolder(folder, id)).state === 'finished');
}

async function start(): Promise<number> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string' },
      all: { type: 'boolean', default: false },
      open: { type: 'boolean', default: false },
    },
  });
  await mkdir(workspace, { recursive: true });
  const isThere = values.open && !values.all && values.model === undefined && finished();
  const code = isThere ? 0 : await train(values.model, values.all);
  if (code === 0 && values.open) await openInBrowser(workspace);
  else if (code === 0) await tellWhatNext();
  return code;
}

/** What whoever started it can mend, as they should read it; nothing for a defect. */
function problemOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof UserError || error instanceof Unavailable) return error.message;
  if (errorCode(error)?.startsWith('ERR_PARSE_ARGS') === true)
    return `${error.message}\n  Usage: npm start [-- [--all] [--model FOLDER_OR_HUB_ID] [--open]]`;
  if ('syscall' in error) return `${error.message}\n  What this makes goes into ${workspace}, which must be writable.`;
  return undefined;
}

try {
  process.exitCode = await start();
} catch (error) {
  const problem = problemOf(error);
  if (problem === undefined) throw error;
  process.stderr.write(`peft-lab: ${problem}\n`);
  process.exitCode = 2;
}
