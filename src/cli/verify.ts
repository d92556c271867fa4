import { availableParallelism } from 'node:os';
import { cut } from '../base/format.ts';
import { engineOf } from '../engine/engine-of.ts';
import type { GroupReport } from '../engine/verify/compare.ts';
import { verifyGoldenFolder, type CaseReport } from '../engine/verify/verify.ts';
import type { App } from './app.ts';
import { plain, printJson, table } from './output.ts';

export interface VerifyCommandOptions {
  readonly only?: string;
  readonly threads?: number;
  /** A provider. */
  readonly device: string;
}

function groupsOf(report: CaseReport): readonly GroupReport[] {
  return report.status === 'passed' || report.status === 'failed' ? report.groups : [];
}

/** The greatest error of the groups whose name begins so. */
function worst(report: CaseReport, wanted: (group: string) => boolean): string {
  const errors = groupsOf(report).filter(({ group }) => wanted(group.replace(/^.*\//, '')));
  if (errors.length === 0) return '';
  const [most] = [...errors].sort((a, b) => b.error - a.error);
  return most === undefined ? '' : `${most.error.toExponential(1)}${errors.every(({ passed }) => passed) ? '' : ' !'}`;
}

function greatest(report: CaseReport): string {
  if (report.status === 'unsupported' || report.status === 'error') return '';
  return report.greatestRelativeError.toExponential(1);
}

function remarks(report: CaseReport): string {
  switch (report.status) {
    case 'unsupported':
      return report.reason;
    case 'error':
      return report.message;
    case 'passed':
    case 'failed': {
      const off = report.groups
        .filter(({ passed }) => !passed)
        .map(({ group, worst, error, tolerance }) => {
          const tensor = worst === group ? '' : ` (${worst})`;
          return `${group}${tensor} is off by ${error.toExponential(1)}, tolerance ${tolerance.toExponential(0)}`;
        });
      const rest = off.length > 2 ? [`and ${off.length - 2} more`] : [];
      return [...report.problems, ...off.slice(0, 2), ...rest].join('; ');
    }
  }
}

const isUpdate = (group: string): boolean => /^(adamw|update|sgd)/.test(group);

/** `peft-lab verify FOLDER`: holds our graphs against numbers of the methods' own authors. @returns 1 when one is off or none passed */
export async function verifyCommand(app: App, folder: string, options: VerifyCommandOptions): Promise<number> {
  let done = 0;
  const threads = options.threads ?? availableParallelism();
  const { backend, device } = await engineOf({ provider: options.device, threads, reason: 'asked for' });
  const report = await verifyGoldenFolder(folder, {
    backend,
    device,
    ...(options.only === undefined ? {} : { only: options.only }),
    onCase: (each) => {
      done += 1;
      if (app.terminal.interactive)
        app.terminal.err(`\r\u001b[2K${cut(plain(`${done}  ${each.name}  ${each.status}`), app.terminal.columns - 1)}`);
    },
  });
  if (app.terminal.interactive) app.terminal.err('\r\u001b[2K');
  const { counts, cases } = report;
  const isEmpty = counts.unsupported === cases.length;
  if (app.json) printJson(app.terminal, report);
  else {
    app.terminal.out(
      table(
        cases,
        [
          { title: 'case', cell: ({ name }) => name, shrinks: 16 },
          { title: 'result', cell: ({ status }) => status },
          { title: 'greatest', cell: greatest, align: 'right' },
          { title: 'logits', cell: (each) => worst(each, (group) => group === 'logits'), align: 'right', drops: 4 },
          { title: 'loss', cell: (each) => worst(each, (group) => group === 'loss'), align: 'right', drops: 5 },
          {
            title: 'layers',
            cell: (each) => worst(each, (group) => group.startsWith('layer_output')),
            align: 'right',
            drops: 6,
          },
          {
            title: 'gradients',
            cell: (each) => worst(each, (group) => group.startsWith('grad')),
            align: 'right',
            drops: 3,
          },
          { title: 'updates', cell: (each) => worst(each, isUpdate), align: 'right', drops: 2 },
          { title: 'remarks', cell: remarks, shrinks: 12, drops: 1 },
        ],
        app.terminal.width,
      ),
    );
    app.terminal.out(
      `\n${counts.passed} passed, ${counts.failed} failed, ${counts.error} could not be run, ${counts.unsupported} unsupported\n`,
    );
    if (isEmpty) app.terminal.out('Nothing is verified: no case is supported.\n');
  }
  return counts.failed + counts.error > 0 || isEmpty ? 1 : 0;
}
