#!/usr/bin/env node
// Plain JavaScript for Node 20 and later: runs the command line in this process where its Node is new enough, else under
// the Node that npm's platform package brought.
import { existsSync, readdirSync, statSync } from 'node:fs';
import module from 'node:module';

const built = new URL('../dist/cli.js', import.meta.url);
const source = new URL('../src/', import.meta.url);

/** Whether there is a bundle and, in a checkout, no source file is newer: an edit must never seem to do nothing. */
function isBuilt() {
  if (!existsSync(built)) return false;
  if (!existsSync(source)) return true;
  const { mtimeMs } = statSync(built);
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).every(
    (file) => !file.endsWith('.ts') || statSync(new URL(file.replaceAll('\\', '/'), source)).mtimeMs <= mtimeMs,
  );
}

const entry = isBuilt() ? built : new URL('cli/main.ts', source);
const minimum = 24;

if (Number.parseInt(process.versions.node, 10) >= minimum) {
  module.enableCompileCache();
  await import(entry.href);
} else {
  // Only here, because it costs every start some milliseconds.
  const [{ become, findNode }, { fileURLToPath }] = await Promise.all([import('./find-node.mjs'), import('node:url')]);
  const node = findNode([minimum, 0]);
  if (node === undefined) {
    process.stderr.write(
      `peft-lab: Node ${String(minimum)} or later is needed and this is ${process.versions.node}: ` +
        `run "npm ci" in ${fileURLToPath(new URL('..', import.meta.url))}, or install a newer one from nodejs.org\n`,
    );
    process.exitCode = 2;
  } else {
    await become(node.path, [fileURLToPath(entry), ...process.argv.slice(2)]);
  }
}
