// Installs what tests of pages and of WebGPU need and no package of npm brings, where it may. Without it they are skipped, and say why.
import { findChromium, installPackages, mayInstallPackages, Unavailable } from '../scripts/vscode/programs.ts';
import { findWebgpu } from './support/webgpu-way.ts';

try {
  await findChromium();
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stdout.write(`${error.message}\n`);
}
const way = findWebgpu();
if ('missing' in way && way.packages.length > 0 && mayInstallPackages()) installPackages(...way.packages);
