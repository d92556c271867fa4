// Plain JavaScript for Node 20 and later, without dependencies: it runs before they are installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, peer?: boolean, link?: boolean }} LockedPackage */

/**
 * @param {string} path
 * @returns {any} the parsed file, or undefined where it is missing or cut short
 */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Why node_modules is not what package-lock.json asks for; undefined when it is. npm writes the list that this reads,
 * node_modules/.package-lock.json, last, so an install that was cut short has none.
 *
 * @param {string} root the folder that holds package-lock.json
 * @returns {string | undefined}
 */
export function whyStale(root) {
  const lock = readJson(join(root, 'package-lock.json'));
  if (lock === undefined) throw new Error('package-lock.json is missing or not JSON');
  if (!existsSync(join(root, 'node_modules'))) return 'node_modules is missing';
  const present = readJson(join(root, 'node_modules', '.package-lock.json'));
  if (present === undefined) return 'the last install did not end';
  for (const [path, wanted] of Object.entries(/** @type {Record<string, LockedPackage>} */ (lock.packages))) {
    // npm leaves out optional packages of other platforms, so their absence says nothing.
    if (path === '' || wanted.link === true) continue;
    /** @type {LockedPackage | undefined} */
    const listed = present.packages[path];
    if (listed === undefined && (wanted.optional === true || wanted.devOptional === true || wanted.peer === true))
      continue;
    if (listed?.version !== wanted.version || listed?.integrity !== wanted.integrity) return `${path} is out of date`;
    // Some packages write their own version with a v.
    if (readJson(join(root, path, 'package.json'))?.version?.replace(/^v/, '') !== wanted.version)
      return `${path} is damaged`;
  }
  return undefined;
}

/**
 * The program and leading arguments that start npm without a shell wherever npm's own file can be found.
 *
 * @returns {{ program: string, args: string[], shell: boolean }}
 */
function findNpm() {
  const asked = process.env['npm_execpath'];
  const bin = dirname(process.execPath);
  const places = [
    ...(asked !== undefined && basename(asked) === 'npm-cli.js' ? [asked] : []),
    join(bin, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(bin, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ];
  const file = places.find((place) => existsSync(place));
  // Under npm this process may run on the Node in node_modules, which is about to be replaced; npm's own is not.
  const node = process.env['npm_node_execpath'] ?? process.execPath;
  if (file !== undefined) return { program: node, args: [file], shell: false };
  // Windows starts npm.cmd only through a shell; the arguments are constants, so nothing needs quoting.
  const windows = process.platform === 'win32';
  return { program: windows ? 'npm.cmd' : 'npm', args: [], shell: windows };
}

/**
 * Runs `npm ci`; on Windows, where a running program can't be deleted, `npm install` if this process itself runs from
 * node_modules. Its output goes to stderr, which leaves stdout to the script that was asked for.
 *
 * @param {string} root
 */
export function install(root) {
  const npm = findNpm();
  const bound = process.platform === 'win32' && process.execPath.startsWith(join(root, 'node_modules'));
  // A NODE_ENV of production or an `omit` in the user's settings would leave out what the scripts need.
  const args = [
    bound ? 'install' : 'ci',
    '--include=dev',
    '--include=optional',
    '--loglevel=error',
    '--no-audit',
    '--no-fund',
  ];
  const { status, error } = spawnSync(npm.program, [...npm.args, ...args], {
    cwd: root,
    shell: npm.shell,
    stdio: ['ignore', 2, 2],
  });
  if (error !== undefined) throw new Error(`npm could not be started: ${error.message}`);
  if (status !== 0)
    throw new Error(`npm failed to install the dependencies (exit code ${String(status)}); its messages stand above`);
}

/**
 * @param {number} pid
 * @returns {boolean}
 */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Runs an action while no other process of this checkout does the same: two `npm ci` at once destroy each other's work.
 *
 * @param {string} root
 * @param {() => void} action
 */
export function alone(root, action) {
  const lock = join(root, '.cache', 'install.lock');
  mkdirSync(dirname(lock), { recursive: true });
  for (let told = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    }
    const holder = Number(existsSync(lock) ? readFileSync(lock, 'utf8') : '');
    // In containers the same numbers come back: an install that was killed in the last one may have had this process's own.
    if (holder === process.pid || (holder > 0 && !isAlive(holder))) rmSync(lock, { force: true });
    else if (!told) {
      told = true;
      process.stderr.write(
        `peft-lab: waiting for the install of process ${String(holder)}; if it is none, delete ${lock}\n`,
      );
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    action();
  } finally {
    rmSync(lock, { force: true });
  }
}
