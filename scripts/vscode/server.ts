// Starts VS Code's server on this machine only.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installServer } from './install.ts';

/** Settings of the user that keep a fresh VS Code quiet. */
export const quietSettings: Readonly<Record<string, unknown>> = {
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.enableExperiments': false,
  'workbench.welcomePage.walkthroughs.openOnInstall': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.reduceMotion': 'on',
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'chat.disableAIFeatures': true,
  'git.enabled': false,
  'remote.autoForwardPorts': false,
  'window.autoDetectColorScheme': false,
  'window.autoDetectHighContrast': false,
};

export interface ServerOptions {
  /** Where it keeps the user's settings, extensions and logs. */
  readonly directory: string;
  /** Packaged extensions to install. */
  readonly vsix?: readonly string[];
  /** Extensions to link unpacked, by `publisher.name-version`; not together with `vsix`. */
  readonly links?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Flags of the Node that runs it and its extension hosts. */
  readonly nodeFlags?: readonly string[];
  /** Further environment, which extensions see too. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Workspace Trust, as the desktop has it; otherwise every folder is trusted. */
  readonly trust?: boolean;
  /** Lets a page's address load extensions under development and their tests. */
  readonly testDriver?: boolean;
  /** Waits hours, not seconds, for a window that lost its connection. */
  readonly patient?: boolean;
  /** Keeps what an earlier server left in `directory`. */
  readonly keep?: boolean;
}

export interface VSCodeServerProcess {
  /** Such as `http://127.0.0.1:41233`. */
  readonly url: string;
  readonly port: number;
  readonly processId: number;
  readonly logFile: string;
  readonly ended: Promise<number | null>;
  /** Replaces the user's settings; open windows follow. */
  configure(settings: Readonly<Record<string, unknown>>): void;
  /** The address of a path of this machine, as the workbench spells it. */
  uri(path: string): string;
  /** What extensions have logged, other than VS Code's own. */
  extensionLog(): string;
  stop(): Promise<void>;
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === 'string') fail(new Error('no port'));
        else done(address.port);
      });
    });
  });
}

/** The environment without what would make the server open in another window, or write into the user's own folders. */
function cleanEnvironment(home: string, extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = [
    'XDG_CONFIG_HOME',
    'XDG_DATA_HOME',
    'XDG_CACHE_HOME',
    'PORT',
    'PASSWORD',
    'HASHED_PASSWORD',
    'NODE_OPTIONS',
  ];
  const kept = Object.entries(process.env).filter(
    ([key]) => !own.includes(key) && !/^(?:VSCODE_|ELECTRON_|VITEST|npm_)/.test(key),
  );
  // Without a gallery, nothing is looked up elsewhere.
  return { ...Object.fromEntries(kept), HOME: home, EXTENSIONS_GALLERY: '{}', ...extra };
}

async function healthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthz`)).ok;
  } catch {
    return false;
  }
}

/**
 * Starts a server, installing it where it is missing.
 * @throws Unavailable where there is none for this machine
 */
export async function startServer(options: ServerOptions): Promise<VSCodeServerProcess> {
  const { node, entry } = installServer();
  const directory = resolve(options.directory);
  const at = (name: string): string => join(directory, name);
  if (options.keep !== true)
    for (const name of ['profile', 'extensions', 'home']) rmSync(at(name), { recursive: true, force: true });
  for (const name of ['profile/User', 'profile/Machine', 'extensions', 'home'])
    mkdirSync(at(name), { recursive: true });
  const configure = (settings: Readonly<Record<string, unknown>>): void => {
    writeFileSync(
      at('profile/User/settings.json'),
      JSON.stringify(
        {
          ...quietSettings,
          'security.workspace.trust.enabled': options.trust === true,
          ...options.settings,
          ...settings,
        },
        undefined,
        2,
      ),
    );
  };
  configure({});
  // Settings of the machine's scope are read from here.
  writeFileSync(at('profile/Machine/settings.json'), JSON.stringify(options.settings ?? {}));
  writeFileSync(at('config.yaml'), '{}\n');
  for (const [name, target] of Object.entries(options.links ?? {}))
    symlinkSync(resolve(target), join(at('extensions'), name));

  const env = cleanEnvironment(at('home'), options.environment ?? {});
  const base = [
    entry,
    '--config',
    at('config.yaml'),
    '--user-data-dir',
    at('profile'),
    '--extensions-dir',
    at('extensions'),
  ];
  for (const file of options.vsix ?? []) {
    const { status, stdout, stderr } = spawnSync(node, [...base, '--install-extension', resolve(file), '--force'], {
      env,
      encoding: 'utf8',
    });
    if (status !== 0 || !stdout.includes('successfully installed'))
      throw new Error(`${file} could not be installed: ${stdout}${stderr}`);
  }

  const port = await freePort();
  const logFile = at('server.log');
  const log = openSync(logFile, 'w');
  const server = spawn(
    node,
    [
      ...(options.nodeFlags ?? []),
      ...base,
      ...['--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--locale', 'en'],
      ...['--disable-telemetry', '--disable-update-check', '--disable-getting-started-override', '--disable-proxy'],
      // It goes away by itself if whoever started it was killed.
      ...['--idle-timeout-seconds', '600'],
      ...(options.patient === true ? [] : ['--reconnection-grace-time', '20']),
      ...(options.trust === true ? [] : ['--disable-workspace-trust']),
      ...(options.testDriver === true ? ['--vscode-option', 'enable-smoke-test-driver'] : []),
    ],
    { env, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  const ended = new Promise<number | null>((done) => server.once('exit', done));
  const running = (): boolean => server.exitCode === null && server.signalCode === null;
  const reap = (): void => void server.kill('SIGTERM');
  process.once('exit', reap);
  void ended.then(() => process.off('exit', reap));
  const url = `http://127.0.0.1:${port}`;
  while (!(await healthy(url))) {
    if (!running()) throw new Error(`VS Code's server ended:\n${readFileSync(logFile, 'utf8')}`);
    await delay(50);
  }
  if (server.pid === undefined) throw new Error('the server has no process id');
  return {
    url,
    port,
    processId: server.pid,
    logFile,
    ended,
    configure,
    uri: (path) => `vscode-remote://127.0.0.1:${port}${encodeURI(resolve(path))}`,
    extensionLog() {
      const folder = at('profile/logs');
      return readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /exthost\d*\/(?!vscode\.)[^/]*\..*\.log$|remoteexthost\.log$/.test(name))
        .map((name) => `${name}:\n${readFileSync(join(folder, name), 'utf8')}`)
        .join('\n');
    },
    async stop() {
      if (running()) server.kill('SIGTERM');
      const patience = setTimeout(() => void server.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(patience);
    },
  };
}
