import { describe, expect, it } from 'vitest';
import { groupRuns, withoutRepetitions } from '../../../src/analysis/aggregate.ts';
import { diffConfigurations } from '../../../src/analysis/configuration-diff.ts';
import type { JsonObject } from '../../../src/analysis/json.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { parseConfiguration, resolveConfiguration } from '../../../src/runs/configuration.ts';

/** As the first version wrote it into a run's folder: every setting that there was, with its default where the user had said nothing. */
const stored: JsonObject = {
  name: 'All methods on SST-2',
  model: { id: 'a/b' },
  task: { id: 'sst2', data: '/data/sst2', maxLength: 128, malformedRows: 'error' },
  method: {
    id: 'lora',
    rank: 8,
    alpha: 16,
    targets: ['query', 'value'],
    rankStabilised: false,
    dropout: 0,
    gated: false,
    maskedGateMean: true,
    head: 'linear',
  },
  training: {
    learningRate: 0.0005,
    warmup: 0.06,
    weightDecay: 0.01,
    epochs: 3,
    batchSize: 32,
    accumulation: 1,
    schedule: 'linear',
    maxGradNorm: 1,
    adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    seed: 0,
    evaluateEvery: 'epoch',
    checkpointEvery: 'epoch',
  },
  device: { provider: 'auto' },
  launcher: 'local',
};

function today(seed: number): JsonObject {
  const text = JSON.stringify({ ...stored, training: { ...(stored['training'] as JsonObject), seed } });
  const resolved = resolveConfiguration(
    parseConfiguration(text, 'a.peft.json', installedCatalogue),
    installedCatalogue,
    {
      isFolder: () => false,
      exists: () => true,
    },
  );
  return JSON.parse(JSON.stringify(resolved)) as JsonObject;
}

describe('a run of the first version and the same configuration in this one', () => {
  const before = { id: 'a', config: stored };

  // A setting that came later with a default belongs into `laterSettings`, or whoever updates sees means fall apart.
  it('are repetitions of one experiment', () => {
    const after = { id: 'b', config: today(1) };
    expect(diffConfigurations([before.config, after.config]).map(({ path }) => path)).toEqual(['training.seed']);
    expect(groupRuns([before, after])).toHaveLength(1);
  });

  it('with the same seed are one observation', () => {
    expect(withoutRepetitions([before, { id: 'b', config: today(0) }]).repeated).toEqual([before]);
  });

  it('are two experiments where a later setting is not its default', () => {
    const after = today(1);
    const rounded = { ...after, training: { ...(after['training'] as JsonObject), frozenPrecision: 'int8' } };
    expect(groupRuns([before, { id: 'b', config: rounded }])).toHaveLength(2);
    expect(
      groupRuns([before, { id: 'b', config: rounded }], { by: ['training.frozenPrecision'] }).map(({ settings }) => [
        ...settings.values(),
      ]),
    ).toEqual([['float32'], ['int8']]);
  });
});
