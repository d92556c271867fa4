// Programs that tests and `npm start -- --open` need and that no npm install of the project brings.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What keeps a suite from running on a machine: no defect, and told as it is. */
export class Unavailable extends Error {
  override name = 'Unavailable';
}

/** The exit code of a suite that cannot run on a machine; scripts/test.mjs knows it. */
export const unavailableExitCode = 77;

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of these programs that lies on PATH. */
export function onPath(...names: readonly string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const endings = process.platform === 'win32' ? ['.exe', '.cmd'] : [''];
  return names
    .flatMap((name) => folders.flatMap((folder) => endings.map((ending) => join(folder, name + ending))))
    .find(executable);
}

/** Runs a program to its end with its output on stderr. @returns whether it ended well within its time */
export function runs(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly minutes?: number } = {},
): boolean {
  const { cwd, env, minutes = 10 } = options;
  const { status } = spawnSync(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 2, 2],
    timeout: minutes * 60_000,
  });
  return status === 0;
}

/** Whether this process may install Debian's packages. */
export function mayInstallPackages(): boolean {
  return process.getuid?.() === 0 && onPath('apt-get') !== undefined;
}

/** Installs packages of Debian. @returns whether they are there */
export function installPackages(...names: readonly string[]): boolean {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  process.stderr.write(`peft-lab: installing ${names.join(', ')} (apt-get)\n`);
  return (
    runs('apt-get', ['update', '-qq'], { env }) &&
    runs('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env })
  );
}

/** Whether a browser says its version: one that lacks a library does not. */
function works(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0;
}

const names = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser', 'chrome'] as const;

/**
 * Finds a Chromium or Chrome; where there is none and it may, installs Debian's, or Playwright's own.
 * @throws Unavailable with the way to get one
 */
export async function findChromium(): Promise<string> {
  const asked = process.env['CHROMIUM'];
  if (asked !== undefined) {
    if (works(asked)) return asked;
    throw new Unavailable(`the browser in CHROMIUM, ${asked}, does not start`);
  }
  const found = onPath(...names);
  if (found !== undefined && works(found)) return found;
  if (mayInstallPackages() && installPackages('chromium', 'fonts-dejavu-core')) {
    const installed = onPath('chromium');
    if (installed !== undefined && works(installed)) return installed;
  }
  const { chromium } = await import('playwright-core');
  const own = chromium.executablePath();
  if (works(own)) return own;
  process.stderr.write('peft-lab: downloading a Chromium for Playwright\n');
  const program = join(import.meta.dirname, '..', '..', 'node_modules', 'playwright-core', 'cli.js');
  if (runs(process.execPath, [program, 'install', 'chromium'], { minutes: 5 }) && works(own)) return own;
  throw new Unavailable(
    'there is no Chromium or Chrome: install one (Debian, as root: apt-get install chromium; ' +
      'elsewhere: npx playwright-core install --with-deps chromium), or name one in the variable CHROMIUM',
  );
}
