import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { knownEncoders } from '../../../src/engine/encoders/known-sizes.ts';
import { methodIds } from '../../../src/peft/registry.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { loadConfiguration, type PathProbe } from '../../../src/runs/configuration.ts';
import type { Configuration } from '../../../src/runs/configuration-schema.ts';
import { countTrained } from '../../../src/runs/parameter-counts.ts';
import { planSweep } from '../../../src/runs/sweep.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'examples');
/** The data lies beside the project, or not. */
const anywhere: PathProbe = { isFolder: () => false, exists: () => true };

function configurationsOf(file: string): readonly Configuration[] {
  return planSweep(loadConfiguration(join(folder, file), installedCatalogue), installedCatalogue, anywhere).map(
    ({ configuration }) => configuration,
  );
}

describe('the examples', () => {
  it.each(readdirSync(folder).filter((file) => file.endsWith('.peft.json')))('%s describes runs', (file) => {
    const configurations = configurationsOf(file);
    expect(configurations.length).toBeGreaterThan(0);
    const bert = knownEncoders['bert-base-uncased'];
    if (bert === undefined) throw new Error('BERT is not known');
    // MiniLM's sizes, which the examples train.
    const config = { ...bert, embeddingSize: 384, hiddenSize: 384, intermediateSize: 1536, layers: 6 };
    for (const { method } of configurations) {
      const { id, ...options } = method;
      const { total } = countTrained({ config, hasPooler: true }, { method: id, options, labels: 2 });
      expect(total).toBeGreaterThan(0);
    }
  });

  it.each(['all-methods-sst2.peft.json', 'all-methods-small-tasks.peft.json'])('%s runs every method', (file) => {
    const configurations = configurationsOf(file);
    expect(new Set(configurations.map(({ method }) => method.id))).toEqual(new Set(methodIds()));
    expect(new Set(configurations.map(({ training }) => training.seed))).toEqual(new Set([0, 1, 2]));
  });
});
