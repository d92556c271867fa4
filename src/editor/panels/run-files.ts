import { FileType, Uri, workspace } from 'vscode';
import type { RunFile } from './run-values.ts';

const deepest = 4;
const most = 500;

/** The files below a run's folder, by their paths; none where there is no such folder. */
export async function runFiles(folder: Uri): Promise<readonly RunFile[]> {
  const found: RunFile[] = [];
  async function visit(uri: Uri, prefix: string, depth: number): Promise<void> {
    const entries = await workspace.fs.readDirectory(uri);
    for (const [name, type] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (found.length >= most) return;
      const child = Uri.joinPath(uri, name);
      // A link could lead anywhere.
      if (type === FileType.Directory && depth < deepest) await visit(child, `${prefix}${name}/`, depth + 1);
      else if (type === FileType.File) {
        const { size } = await workspace.fs.stat(child);
        found.push({ path: `${prefix}${name}`, bytes: size });
      }
    }
  }
  try {
    await visit(folder, '', 0);
  } catch {
    // What can't be read (any more) is not listed.
  }
  return found;
}
