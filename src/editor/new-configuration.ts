import { join } from 'node:path';
import * as vscode from 'vscode';
import { configurationEnding } from './ids.ts';

/** A place for a new configuration in a folder: no file is there, and no unsaved one that somebody writes at. */
export async function freeConfiguration(folder: string, name: string): Promise<vscode.Uri> {
  for (let count = 1; ; count++) {
    const uri = vscode.Uri.file(join(folder, `${name}${count === 1 ? '' : `-${count}`}${configurationEnding}`));
    if (vscode.workspace.textDocuments.some((document) => document.uri.path === uri.path)) continue;
    try {
      await vscode.workspace.fs.stat(uri);
    } catch {
      return uri;
    }
  }
}

/** Opens the text as a new configuration file that is not saved yet. */
export async function openNewConfiguration(file: vscode.Uri, text: string): Promise<vscode.TextEditor> {
  const document = await vscode.workspace.openTextDocument(file.with({ scheme: 'untitled' }));
  const editor = await vscode.window.showTextDocument(document, { preview: false });
  const all = new vscode.Range(new vscode.Position(0, 0), document.lineAt(document.lineCount - 1).range.end);
  await editor.edit((edit) => edit.replace(all, text));
  const top = new vscode.Position(0, 0);
  editor.selection = new vscode.Selection(top, top);
  editor.revealRange(new vscode.Range(top, top));
  await vscode.languages.setTextDocumentLanguage(document, 'jsonc');
  return editor;
}
