import * as vscode from 'vscode';
import { t } from './core/l10n.ts';
import { withoutIcons } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';
import { forgetProviders } from './providers.ts';
import { isTrusted } from './report.ts';
import { programSettings } from './settings.ts';
import type { Diagnosis } from './worker/printed.ts';

const icons = { ok: 'pass', warning: 'warning', problem: 'error' } as const;

function report({ checks, providers }: Diagnosis): string {
  const lines = checks.map(({ name, level, message, advice }) =>
    [`${level.padEnd(7)}  ${name}: ${message}`, ...(advice === null ? [] : [`         ${advice}`])].join('\n'),
  );
  return [...lines, t('Devices: {0}', providers.join(', '))].join('\n');
}

/** "PEFT: Check Environment": starts the trainer's own Node, lets it look at everything that a run depends on, and lists it. */
export async function checkEnvironment(app: ExtensionApp): Promise<void> {
  if (!(await isTrusted())) return;
  const [folder] = app.folders;
  const path = folder?.path ?? app.context.globalStorageUri.fsPath;
  const settings = programSettings(folder?.uri);
  await vscode.workspace.fs.createDirectory(app.context.globalStorageUri);
  const diagnosis = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: t('Checking the environment…'), cancellable: false },
    () => app.worker.ask('doctor', { folder: path, ...settings }),
  );
  // Who asks has changed something, perhaps.
  forgetProviders();
  app.log.info(`${t('Environment')}\n${report(diagnosis)}`);
  const copy: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon('copy'), tooltip: t('Copy') };
  const box = vscode.window.createQuickPick();
  const troubles = diagnosis.checks.filter(({ level }) => level !== 'ok').length;
  box.title =
    troubles === 0
      ? t('Everything that a run depends on works')
      : t('{0} of {1} checks found something', troubles, diagnosis.checks.length);
  box.placeholder = t('Enter shows the details in the output channel');
  box.buttons = [copy];
  box.ignoreFocusOut = true;
  box.items = [
    ...diagnosis.checks.map(({ name, level, message, advice }) => ({
      label: name,
      description: withoutIcons(message),
      ...(advice === null ? {} : { detail: withoutIcons(advice) }),
      iconPath: new vscode.ThemeIcon(icons[level]),
    })),
    { label: t('Devices'), description: diagnosis.providers.join(', '), iconPath: new vscode.ThemeIcon('chip') },
  ];
  box.onDidTriggerButton(() => void vscode.env.clipboard.writeText(report(diagnosis)));
  box.onDidAccept(() => {
    box.hide();
    app.log.show();
  });
  box.onDidHide(() => box.dispose());
  box.show();
}
