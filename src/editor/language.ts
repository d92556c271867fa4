import * as vscode from 'vscode';
import type { StartOptions } from './app.ts';
import { documentChecks } from './core/document-checks.ts';
import { t } from './core/l10n.ts';
import type { ExtensionApp } from './extension-app.ts';
import { Command, configurationEnding, configurationPattern } from './ids.ts';
import type { Inspection } from './worker/operations.ts';

/**
 * `*.peft.json` in the editor: what the JSON schema can't say is told by the runtime's own check, and a lens on top starts it.
 * Completion and hover come from the schema that the manifest contributes.
 */

const selector: vscode.DocumentSelector = { pattern: configurationPattern };

/** After the last key press. */
const checkAfterMs = 300;

/** Who a problem comes from, as the list of problems shows it. */
const source = 'PEFT Lab';

function isConfiguration({ uri }: Pick<vscode.TextDocument, 'uri'>): boolean {
  return uri.path.endsWith(configurationEnding) && (uri.scheme === 'file' || uri.scheme === 'untitled');
}

function diagnosticOf(
  document: vscode.TextDocument,
  { offset, length, message, hint, path }: Inspection['problems'][number],
  severity: vscode.DiagnosticSeverity,
): vscode.Diagnostic {
  const range = new vscode.Range(document.positionAt(offset), document.positionAt(offset + Math.max(1, length)));
  const diagnostic = new vscode.Diagnostic(range, hint === undefined ? message : `${message}\n${hint}`, severity);
  diagnostic.source = source;
  diagnostic.code = path.join('.');
  return diagnostic;
}

/** Registers what the editor knows of configuration files: problems, lenses, completion and hovers. */
export function registerLanguage(app: ExtensionApp): vscode.Disposable {
  const problems = vscode.languages.createDiagnosticCollection('peft');
  const lensesChanged = new vscode.EventEmitter<void>();
  const checks = documentChecks<vscode.TextDocument, Inspection>({
    afterMs: checkAfterMs,
    inspect: (document) => app.worker.ask('inspect', { file: document.uri.fsPath, text: document.getText() }),
    onFound(document, found) {
      problems.set(document.uri, [
        ...found.problems.map((problem) => diagnosticOf(document, problem, vscode.DiagnosticSeverity.Error)),
        ...found.warnings.map((problem) => diagnosticOf(document, problem, vscode.DiagnosticSeverity.Warning)),
      ]);
      lensesChanged.fire();
    },
    onProblem: (problem) => app.log.warn(String(problem)),
  });

  function checkSoon(document: vscode.TextDocument): void {
    if (isConfiguration(document)) checks.soon(document);
  }

  /** The data, models and files that it names may have come or gone. */
  function checkAgain(document: vscode.TextDocument | undefined): void {
    if (document !== undefined && isConfiguration(document)) checks.again(document);
  }

  function checkVisible(): void {
    const documents = new Set(vscode.window.visibleTextEditors.map(({ document }) => document));
    documents.forEach(checkAgain);
  }

  const lenses: vscode.CodeLensProvider = {
    onDidChangeCodeLenses: lensesChanged.event,
    async provideCodeLenses(document) {
      if (!isConfiguration(document)) return [];
      const top = new vscode.Range(0, 0, 0, 0);
      const { runs, problems: found } = await checks.of(document);
      if (runs === undefined)
        return [
          new vscode.CodeLens(top, {
            title:
              found.length === 1
                ? t('1 problem keeps it from being started')
                : t('{0} problems keep it from being started', found.length),
            command: 'workbench.actions.view.problems',
          }),
        ];
      if (!vscode.workspace.isTrusted)
        return [
          new vscode.CodeLens(top, {
            title: t('Trust the workspace to start runs'),
            command: 'workbench.trust.manage',
          }),
        ];
      const start = { command: Command.startRun, arguments: [document.uri] };
      if (runs === 1) return [new vscode.CodeLens(top, { title: `$(play) ${t('Start')}`, ...start })];
      return [
        new vscode.CodeLens(top, {
          title: `$(run-all) ${t('Sweep of {0} runs', runs)}`,
          command: Command.startSweep,
          arguments: [document.uri],
        }),
        new vscode.CodeLens(top, {
          title: `$(play) ${t('Start the first alone')}`,
          command: Command.startRun,
          arguments: [document.uri, { onlyFirst: true } satisfies StartOptions],
        }),
      ];
    },
  };

  vscode.workspace.textDocuments.forEach(checkSoon);
  return vscode.Disposable.from(
    problems,
    lensesChanged,
    vscode.languages.registerCodeLensProvider(selector, lenses),
    vscode.workspace.onDidOpenTextDocument(checkSoon),
    vscode.workspace.onDidChangeTextDocument(({ document }) => checkSoon(document)),
    vscode.workspace.onDidSaveTextDocument(checkAgain),
    vscode.workspace.onDidCreateFiles(checkVisible),
    vscode.workspace.onDidDeleteFiles(checkVisible),
    vscode.workspace.onDidRenameFiles(checkVisible),
    vscode.window.onDidChangeActiveTextEditor((editor) => checkAgain(editor?.document)),
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) checkVisible();
    }),
    vscode.workspace.onDidCloseTextDocument((document) => {
      problems.delete(document.uri);
      checks.close(document);
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => lensesChanged.fire()),
    checks,
  );
}
