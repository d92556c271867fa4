import { grouped } from '../base/format.ts';
import { lastCheckpointStep } from '../runs/checkpoints.ts';
import { auditRun, type PrivacyAudit } from '../runs/audit.ts';
import { findRun, runFolder } from '../runs/run-folder.ts';
import { readWorkspace, type App } from './app.ts';
import { facts, plainLines, printJson } from './output.ts';

const verdicts: Readonly<Record<PrivacyAudit['verdict'], string>> = {
  holds: 'the recorded epsilon holds',
  fails: 'the record does not support the recorded epsilon',
  'not-private': 'this run is not private',
};

function clippingText({ clipping, maxGradNorm, adaptive }: NonNullable<PrivacyAudit['ledger']>): string {
  if (clipping === 'automatic') return `each example's whole gradient divided by its own norm, times ${maxGradNorm}`;
  const to = `each example's whole gradient to a norm of ${maxGradNorm}`;
  return adaptive === undefined
    ? to
    : `${to} at first, then to the quantile ${adaptive.quantile}, counted with noise of ${adaptive.countDeviation} examples`;
}

function auditText({ verdict, epsilon, ledger, steps, findings, assumptions }: PrivacyAudit): string {
  const list = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `\n${title}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  const known =
    ledger === undefined || epsilon === undefined || steps === undefined
      ? ''
      : `\n${facts([
          ['epsilon, computed anew', `${epsilon.computed.toPrecision(6)} (${epsilon.accountant})`],
          ['epsilon, recorded', epsilon.recorded?.toPrecision(6) ?? '-'],
          ['delta', ledger.delta.toPrecision(4)],
          ['training examples', grouped(ledger.examples)],
          ['sampling', `Poisson, rate ${ledger.samplingRate.toPrecision(4)}`],
          ['noise multiplier', String(ledger.noiseMultiplier)],
          ['clipping', clippingText(ledger)],
          [
            'steps',
            `${grouped(steps.recorded)}${steps.repeated === 0 ? '' : ` and ${grouped(steps.repeated)} released again`}`,
          ],
          ['generator', ledger.generator],
          ['version', ledger.version],
        ])}`;
  return `${verdicts[verdict]}\n${known}${list('Findings', findings)}${list('Assumed, not shown by the record', assumptions)}`;
}

/** `peft-lab audit RUN`: computes a private run's epsilon anew from its journal. @returns 1 when it does not hold */
export async function auditCommand(app: App, id: string): Promise<number> {
  const workspace = readWorkspace(app);
  const folder = runFolder(workspace, findRun(workspace, id));
  const audit = auditRun(folder, { reached: await lastCheckpointStep(folder) });
  if (app.json) printJson(app.terminal, audit);
  else app.terminal.out(plainLines(auditText(audit)));
  return audit.verdict === 'holds' ? 0 : 1;
}
