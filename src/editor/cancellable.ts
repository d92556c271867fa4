import * as vscode from 'vscode';

/** Does something long under a notification with a Cancel button. @returns nothing where the user gave it up */
export async function cancellable<T>(title: string, work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const giveUp = new AbortController();
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  try {
    return await vscode.window.withProgress(options, (_, token) => {
      token.onCancellationRequested(() => giveUp.abort());
      return work(giveUp.signal);
    });
  } catch (problem) {
    if (giveUp.signal.aborted) return undefined;
    throw problem;
  }
}
