// VS Code in the browser, served by this machine for this machine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownTarget, packageForThisMachine } from './package.ts';
import { onPath, Unavailable } from './vscode/programs.ts';
import { startServer } from './vscode/server.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Shows an address in the user's browser, where there is a screen. */
function show(url: string): void {
  const screen = process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'];
  const program = screen === undefined ? undefined : onPath('xdg-open');
  if (program !== undefined) spawn(program, [url], { stdio: 'ignore', detached: true }).unref();
}

/**
 * Serves VS Code with the packaged extension and a folder open in it, until Ctrl-C or ten minutes after its last window was closed.
 * @throws Unavailable where there is no server for this machine
 */
export async function openInBrowser(folder: string): Promise<void> {
  const target = ownTarget();
  if (target === undefined) throw new Unavailable(`there is no package for ${process.platform} ${process.arch}`);
  const server = await startServer({
    directory: join(root, '.cache', 'open'),
    vsix: [await packageForThisMachine(target)],
    keep: true,
    patient: true,
  });
  const url = `${server.url}/?${new URLSearchParams({ folder }).toString()}`;
  process.stdout.write(
    `\nVS Code: ${url}\nPEFT Lab stands in the activity bar at its left. Ctrl-C ends it; runs go on.\n`,
  );
  show(url);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), server.ended]);
  await server.stop();
}
