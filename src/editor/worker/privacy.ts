import { privacySpent, sketchedEpsilon } from '../../privacy/accountant.ts';
import { calibrateNoise } from '../../privacy/calibrate.ts';
import { epochEnds, privateSchedule } from '../../privacy/schedule.ts';
import { auditRun } from '../../runs/audit.ts';
import { lastCheckpointStep } from '../../runs/checkpoints.ts';
import { budgetStatements } from '../../runs/budget-statement.ts';
import type { PlanRequest, PlannedPrivacy, LocalCurve, Operations } from './operations.ts';
import { runFolder, workspaceAt } from '../../runs/run-folder.ts';
import { readLocalRecord, readRunPrivacy, type LocalStep } from '../../runs/run-privacy.ts';
import { thin } from '../../store/downsample.ts';

/** Answers of the worker about privacy: plans, curves, budgets, audits. Each takes a second at most, an audit of a hundred epochs two. */

/** So many ends of epochs are worth a point. */
const mostEpochs = 24;

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function planPrivacy(request: PlanRequest): PlannedPrivacy {
  const { examples, batchSize, epochs, delta, goal, accountant, spent, budgetDelta } = request;
  const length = { kind: 'epochs', epochs } as const;
  const schedule = privateSchedule({ examples, expectedBatchSize: batchSize, length, delta });
  const { samplingRate, totalSteps: steps } = schedule;
  const noiseMultiplier =
    goal.kind === 'noise'
      ? goal.noiseMultiplier
      : calibrateNoise({ epsilon: goal.epsilon, delta: schedule.delta, samplingRate, steps, accountant, spent })
          .noiseMultiplier;
  const phases = [...spent, { samplingRate, noiseMultiplier, steps }];
  const cost = privacySpent(phases, schedule.delta, accountant);
  return {
    ...schedule,
    noiseMultiplier,
    epsilon: finite(cost.epsilon),
    lower: finite(cost.lower),
    accountant: cost.accountant,
    prv: cost.prv === undefined ? null : finite(cost.prv.upper),
    rdp: cost.rdp === undefined ? null : finite(cost.rdp.epsilon),
    atBudget:
      budgetDelta === undefined
        ? null
        : { delta: budgetDelta, epsilon: finite(privacySpent(phases, budgetDelta).epsilon) },
    epochEnds: epochEnds(schedule, mostEpochs),
  };
}

const localMetrics = ['loss', 'gradientNorm', 'clipped', 'drawn'] as const;

/** The curves of a local record, thinned; epochs and times are not kept in it. */
function localCurves(record: readonly LocalStep[], points: number): readonly LocalCurve[] {
  const steps = record.map(({ step }) => step);
  return localMetrics.map((metric) => {
    const values = record.map((each) => each[metric] ?? NaN);
    const kept = thin(steps, values, points, 'minmax');
    const taken = (from: readonly number[]): Float64Array => Float64Array.from(kept, (index) => from[index] ?? NaN);
    return { metric, step: taken(steps), value: taken(values), total: record.length };
  });
}

type Answers<N extends keyof Operations> = {
  readonly [Name in N]: (
    input: Operations[Name]['input'],
  ) => Operations[Name]['output'] | Promise<Operations[Name]['output']>;
};

export const privacyAnswers: Answers<
  'planPrivacy' | 'sketchEpsilon' | 'dataSets' | 'runPrivacy' | 'localCurves' | 'audit'
> = {
  planPrivacy,
  sketchEpsilon: ({ phases, delta, accountant }) => finite(sketchedEpsilon(phases, delta, accountant)),
  dataSets: (folder) => budgetStatements(workspaceAt(folder)),
  runPrivacy: ({ folder, id }) => readRunPrivacy(runFolder(workspaceAt(folder), id)),
  localCurves: ({ folder, id, points }) => localCurves(readLocalRecord(runFolder(workspaceAt(folder), id)), points),
  audit: async ({ folder, id }) => {
    const run = runFolder(workspaceAt(folder), id);
    return auditRun(run, { reached: await lastCheckpointStep(run) });
  },
};
