// Usage: npm run test:electron [-- VERSION...]
// The suite of this folder in the desktop's VS Code, which @vscode/test-electron downloads: the oldest supported version and
// the newest, unless others are named.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { onPath } from '../../scripts/vscode/programs.ts';
import { makeEditorWorkspace } from '../support/editor-workspace.ts';
import { buildSuite } from './build.ts';

const root = join(import.meta.dirname, '..', '..');

await buildSuite();
const workspace = await makeEditorWorkspace();
try {
  const args = [process.execPath, join(root, 'node_modules', '@vscode', 'test-cli', 'out', 'bin.mjs')];
  // A display is needed; xvfb-run gives one where there is none.
  const display = process.platform !== 'linux' || process.env['DISPLAY'] !== undefined;
  const xvfb = display ? undefined : onPath('xvfb-run');
  if (!display && xvfb === undefined)
    process.stderr.write('peft-lab: there is no display; install xvfb if VS Code does not start\n');
  const [program = '', ...rest] = xvfb === undefined ? args : [xvfb, '-a', ...args];
  const { status } = spawnSync(program, rest, {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      PEFT_TEST_WORKSPACE: workspace.folder,
      PEFT_TEST_VERSIONS: process.argv.slice(2).join(' '),
    },
  });
  process.exitCode = status ?? 1;
} finally {
  await workspace.remove();
}
