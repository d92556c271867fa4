import * as vscode from 'vscode';
import { cancellable } from './cancellable.ts';
import { t } from './core/l10n.ts';
import type { ExtensionApp } from './extension-app.ts';
import { forgetProviders } from './providers.ts';
import { isTrusted } from './report.ts';
import { programSettings } from './settings.ts';

/** "PEFT: Install CUDA Runtime": asks, downloads the runtime's CUDA provider, and says where it is. */
export async function installCuda(app: ExtensionApp): Promise<void> {
  if (!(await isTrusted())) return;
  const yes = t('Download');
  const chosen = await vscode.window.showInformationMessage(
    t('Download the CUDA provider for training on NVIDIA GPUs?'),
    {
      modal: true,
      detail: t(
        'Some hundred megabytes from nuget.org, for Linux x64. CUDA 12 and cuDNN 9 must be installed on the machine. WebGPU computes on NVIDIA GPUs without it.',
      ),
    },
    yes,
  );
  if (chosen !== yes) return;
  const [folder] = app.folders;
  const path = folder?.path ?? app.context.globalStorageUri.fsPath;
  const settings = programSettings(folder?.uri);
  await vscode.workspace.fs.createDirectory(app.context.globalStorageUri);
  const installed = await cancellable(t('Downloading the CUDA provider…'), (signal) =>
    app.worker.ask('installCuda', { folder: path, ...settings }, { signal }),
  );
  if (installed === undefined) return;
  forgetProviders();
  const { folder: place, already } = installed;
  const check = t('Check Environment');
  const next = await vscode.window.showInformationMessage(
    already ? t('The CUDA provider is there already, in {0}.', place) : t('The CUDA provider is in {0}.', place),
    check,
  );
  if (next === check) await (await import('./check-environment.ts')).checkEnvironment(app);
}
