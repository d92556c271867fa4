import path from 'node:path';

/** Where programs look for shared libraries, by the platforms that have a variable for it. macOS keeps its own from what it starts. */
const variables: Partial<Readonly<Record<NodeJS.Platform, string>>> = { linux: 'LD_LIBRARY_PATH', win32: 'PATH' };

/**
 * What lets a program find shared libraries in folders of the user's choice, before all others: CUDA and cuDNN of a conda environment or of
 * Python packages, say.
 * @returns what to add to the program's environment; nothing on platforms that have no such variable
 */
export function librarySearchPath(
  folders: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): Readonly<Record<string, string>> {
  const variable = variables[platform];
  if (variable === undefined || folders.length === 0) return {};
  // Windows' variables have no case, and two of one name are one too many.
  const name =
    Object.keys(environment).find((key) => platform === 'win32' && key.toUpperCase() === variable) ?? variable;
  const { delimiter } = platform === 'win32' ? path.win32 : path.posix;
  const before = environment[name] ?? '';
  return { [name]: [...folders, ...(before === '' ? [] : [before])].join(delimiter) };
}

/**
 * What keeps Windows from looking for a program in the current folder first, where anybody may have put one that is called git or nvidia-smi.
 * @returns what to add to the environment of whoever starts programs by their names
 */
export function programSearch(platform: NodeJS.Platform = process.platform): Readonly<Record<string, string>> {
  return platform === 'win32' ? { NoDefaultCurrentDirectoryInExePath: '1' } : {};
}
