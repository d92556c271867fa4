import * as vscode from 'vscode';
import { isRecord } from '../base/is-record.ts';
import type { RunRef } from './app.ts';

/** Addresses of read-only documents that are made from a run. */

/** The document of a run in a scheme of ours; its tab has the run's name. */
export function runDocument(scheme: string, run: RunRef, title: string, extension: string): vscode.Uri {
  const name = title
    .replaceAll(/[^\p{L}\p{N}=., ()-]+/gu, ' ')
    .trim()
    .slice(0, 80);
  return vscode.Uri.from({ scheme, path: `/${name} ${run.id.slice(-6)}.${extension}`, query: JSON.stringify(run) });
}

/** The run that a document is made from; nothing where the address is none of ours. */
export function runOfDocument(uri: vscode.Uri): RunRef | undefined {
  try {
    const value: unknown = JSON.parse(uri.query);
    if (!isRecord(value) || typeof value['folder'] !== 'string' || typeof value['id'] !== 'string') return undefined;
    return { folder: value['folder'], id: value['id'] };
  } catch {
    return undefined;
  }
}
