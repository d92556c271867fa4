import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { installedCatalogue } from '../../src/runs/catalogue.ts';
import type { Configuration } from '../../src/runs/configuration-schema.ts';
import { resolveConfiguration } from '../../src/runs/configuration.ts';
import type { Environment } from '../../src/runs/environment.ts';
import { createRun, openWorkspace, runFolder } from '../../src/runs/run-folder.ts';
import type { NewRun, Workspace } from '../../src/runs/run-folder.ts';

/** A folder for one test, gone after it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'peft-runs-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return folder;
}

export function temporaryWorkspace(): Workspace {
  return openWorkspace(temporaryFolder());
}

export const someEnvironment: Environment = {
  created: '2026-01-01T00:00:00.000Z',
  version: '0.0.0',
  node: '24.0.0',
  packages: {},
  host: 'somewhere',
  system: { platform: 'linux', release: '1', arch: 'x64' },
  hardware: { cpu: 'one', cores: 1, memoryBytes: 1 },
  git: null,
};

/** A configuration of a model on the hub, so that nothing has to lie on the disk. */
export function someConfiguration(training: Readonly<Record<string, unknown>> = {}): Configuration {
  const settings = {
    model: 'someone/model',
    task: 'sst2',
    method: 'lora',
    device: 'cpu',
    training: { steps: 40, ...training },
  };
  return resolveConfiguration({ file: '/nowhere/a.peft.json', settings }, installedCatalogue);
}

export function newRun(training: Readonly<Record<string, unknown>> = {}): NewRun {
  return { configuration: someConfiguration(training), environment: someEnvironment };
}

/** A run's folder that nobody has queued or claimed. */
export function someRun(workspace: Workspace, training: Readonly<Record<string, unknown>> = {}): string {
  return runFolder(workspace, createRun(workspace, newRun(training)));
}
