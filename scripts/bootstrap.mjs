// Usage: node scripts/bootstrap.mjs SCRIPT [ARGUMENT...]
// Installs the dependencies where they are missing or stale, finds a Node that is new enough and runs the script under it.
// Plain JavaScript for Node 20 and later, without dependencies: everything else may count on Node 24.
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { become, findNode } from '../bin/find-node.mjs';
import { commands } from './commands.mjs';
import { alone, install, whyStale } from './installed.mjs';

const minimum = /** @type {const} */ ([24, 0]);
const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string} line */
function say(line) {
  process.stderr.write(`peft-lab: ${line}\n`);
}

/** @returns {string | undefined} why an install is needed */
function whyInstall() {
  return whyStale(root) ?? (findNode(minimum) === undefined ? 'Node 24 is missing' : undefined);
}

/**
 * @param {string | undefined} name
 * @param {readonly string[]} args
 */
async function main(name, args) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name ?? ''] : undefined;
  if (command === undefined) {
    say(`usage: node scripts/bootstrap.mjs ${Object.keys(commands).join('|')} [ARGUMENT...]`);
    process.exitCode = 2;
    return;
  }
  let installed = 'dependencies in place';
  if (whyInstall() !== undefined) {
    alone(root, () => {
      const reason = whyInstall(); // Another process may have done it while this one waited.
      if (reason === undefined) return;
      say(`installing dependencies (${reason})`);
      install(root);
      installed = 'dependencies installed';
    });
  }
  const node = findNode(minimum);
  if (node === undefined) {
    throw new Error(
      `Node ${String(minimum[0])} or later is needed, this is ${process.versions.node}, and npm has none for ` +
        `${process.platform} ${process.arch}: install one from nodejs.org`,
    );
  }
  const [file, ...fixed] = command;
  if (!existsSync(join(root, file))) throw new Error(`${file} is missing`);
  say(`${installed}, Node ${node.version} (${node.source})`);
  // Whatever the script starts by the name of `node` should be the same one.
  process.env['PATH'] = `${dirname(node.path)}${delimiter}${process.env['PATH'] ?? ''}`;
  await become(node.path, [join(root, file), ...fixed, ...args], { cwd: root });
}

const [name, ...args] = process.argv.slice(2);
try {
  await main(name, args);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
