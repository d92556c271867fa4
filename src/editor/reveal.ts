import * as vscode from 'vscode';

/** Shows a file or a folder among its neighbours, in the desktop's own file manager where this window can open one. */
export async function reveal(uri: vscode.Uri): Promise<void> {
  // On another machine, and in a browser, the desktop has no such file: the explorer shows it.
  const isHere = vscode.env.remoteName === undefined && vscode.env.uiKind === vscode.UIKind.Desktop;
  await vscode.commands.executeCommand(isHere ? 'revealFileInOS' : 'revealInExplorer', uri);
}
