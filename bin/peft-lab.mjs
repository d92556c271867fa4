#!/usr/bin/env node
// Plain JavaScript for Node 20 and later: runs the command line in this process where its Node is new enough, else under
// the Node that npm's platform package brought.
import module from 'node:module';
import { built, isBuilt } from './is-built.mjs';

const source = new URL('../src/', import.meta.url);
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
