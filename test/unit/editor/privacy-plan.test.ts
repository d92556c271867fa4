import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breachTexts } from '../../../src/editor/core/budget.ts';
import {
  keptState,
  plannedState,
  plannedTraining,
  privacyMember,
  sizeOfTask,
  splitBatch,
} from '../../../src/editor/core/plan-configuration.ts';
import { configurationText } from '../../../src/editor/core/start-steps.ts';
import { writtenPrivacy } from '../../../src/editor/panels/plan-session.ts';
import { methodChoices, taskChoices } from '../../../src/editor/worker/catalogue.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { parseConfiguration, resolveConfiguration } from '../../../src/runs/configuration.ts';
import { planPrivateTraining } from '../../../src/runs/private-training.ts';
import { trainingRequest } from '../../../src/runs/training-request.ts';
import { fieldsOf, inputsOf, numberOf, problemsOf } from '../../../src/webviews/plan/fields.ts';
import { firstInputs, planInputs, type PlanInputs } from '../../../src/webviews/plan/messages.ts';

const anyInputs: fc.Arbitrary<PlanInputs> = fc
  .record({
    examples: fc.integer({ min: 1, max: 1e6 }),
    share: fc.double({ min: 0.001, max: 1, noNaN: true }),
    epochs: fc.double({ min: 0.1, max: 100, noNaN: true }),
    delta: fc.option(fc.constantFrom(1e-5, 1e-8, 0.2)),
    accountant: fc.constantFrom('tightest' as const, 'prv' as const, 'rdp' as const),
    goal: fc.constantFrom({ kind: 'epsilon', epsilon: 3.5 } as const, { kind: 'noise', noiseMultiplier: 0.7 } as const),
    task: fc.option(fc.constantFrom('task sst2', 'task cola')),
    spentOn: fc.option(fc.constant('["file:///a","data"]')),
  })
  .map(({ share, ...rest }) => ({ ...rest, batchSize: Math.max(1, Math.floor(share * rest.examples)) }));

describe('the fields of the planner', () => {
  it('say what the inputs are, and the inputs are what the fields say', () => {
    fc.assert(
      fc.property(anyInputs, (inputs) => {
        expect(planInputs.parse(inputs)).toEqual(inputs);
        expect(inputsOf(fieldsOf(inputs))).toEqual(inputs);
      }),
    );
  });

  it('read numbers as people write them', () => {
    const read = ['67349', '67,349', '67 349', '1e-5', '0,5', '1.5', ' 12 ', '1,234,567'].map(numberOf);
    expect(read).toEqual([67_349, 67_349, 67_349, 1e-5, 0.5, 1.5, 12, 1_234_567]);
    for (const text of ['', 'x', '1..2', '12 apples']) expect(numberOf(text)).toBeNaN();
  });

  it('tell what is wrong with them, and come to nothing until it is mended', () => {
    const fields = { ...fieldsOf(firstInputs), examples: '100', batchSize: '512', delta: '1', epochs: '-1' };
    expect(Object.fromEntries(problemsOf(fields))).toEqual({
      batchSize: 'too-large',
      delta: 'delta',
      epochs: 'positive',
    });
    expect(inputsOf(fields)).toBeUndefined();
    // The goal that is not chosen may say anything.
    expect(problemsOf({ ...fieldsOf(firstInputs), noiseMultiplier: 'x' }).size).toBe(0);
  });
});

describe('a plan as a configuration', () => {
  it('trains as it was planned: the trainer comes to the same rate, steps, delta and noise', () => {
    fc.assert(
      fc.property(anyInputs, (planned) => {
        const inputs = { ...planned, spentOn: null };
        const noise = inputs.goal.kind === 'noise' ? inputs.goal.noiseMultiplier : 1;
        const state = plannedState(inputs, writtenPrivacy(inputs, noise), {}, {});
        const text = configurationText(state, { tasks: taskChoices(), methods: methodChoices() });
        const configuration = resolveConfiguration(
          parseConfiguration(text, '/project/a.peft.json', installedCatalogue),
          installedCatalogue,
          { isFolder: () => false, exists: () => true },
        );
        const { privacy, task, training } = configuration;
        expect(training.batchSize * training.accumulation).toBe(inputs.batchSize);
        expect(privacy?.epsilon).toBe(inputs.goal.kind === 'epsilon' ? inputs.goal.epsilon : undefined);
        const { settings } = trainingRequest({ ...configuration, task: { ...task, data: '/data' } });
        if (privacy === undefined) throw new Error('the configuration is not private');
        const { epsilon: _, ...others } = privacy;
        // Whatever noise a target comes to: to find it takes a moment, and the schedule does not depend on it.
        const plan = planPrivateTraining({ ...others, noiseMultiplier: noise }, settings, inputs.examples);
        const stepsPerEpoch = Math.max(1, Math.round(inputs.examples / inputs.batchSize));
        expect(plan).toMatchObject({
          samplingRate: inputs.batchSize / inputs.examples,
          totalSteps: Math.max(1, Math.round(inputs.epochs * stepsPerEpoch)),
          delta: inputs.delta ?? 1 / (2 * inputs.examples),
        });
      }),
      { numRuns: 40 },
    );
  });

  it('keeps what "Start Run" was answered', () => {
    const inputs = { ...firstInputs, task: sizeOfTask('cola') };
    const begun = {
      folder: 'file:///a',
      model: 'someone/model',
      task: 'sst2',
      data: '/data',
      method: 'bitfit',
      seeds: [1, 2],
      matrix: 'example',
    } as const;
    expect(plannedState(inputs, { epsilon: 3 }, begun, {})).toMatchObject({ ...begun, privacy: { epsilon: 3 } });
    expect(keptState(JSON.parse(JSON.stringify(begun)))).toEqual(begun);
    expect(keptState({ model: 3, seeds: ['x'], task: 'sst2', rest: 1 })).toEqual({ task: 'sst2' });
    // Without it the task is the one that was planned for.
    expect(plannedState(inputs, {}, {}, { method: 'slash' })).toMatchObject({ task: 'cola', method: 'slash' });
  });

  it('splits a batch into parts that are computed at once', () => {
    expect(splitBatch(512)).toEqual({ batchSize: 64, accumulation: 8 });
    expect(splitBatch(1000)).toEqual({ batchSize: 50, accumulation: 20 });
    expect(splitBatch(7)).toEqual({ batchSize: 7, accumulation: 1 });
    expect(splitBatch(1009)).toEqual({ batchSize: 1009, accumulation: 1 });
    expect(plannedTraining({ ...firstInputs, batchSize: 16 })).toEqual({ epochs: 3, batchSize: 16 });
  });

  it('is pasted as a member, and says the noise where earlier runs count with it', () => {
    expect(privacyMember(writtenPrivacy(firstInputs, 0.6))).toBe('"privacy": { "epsilon": 3 }');
    const beside = { ...firstInputs, spentOn: 'x', delta: 1e-6, accountant: 'rdp' } as const;
    expect(writtenPrivacy(beside, 0.6)).toEqual({ noiseMultiplier: 0.6, delta: 1e-6, accountant: 'rdp' });
  });
});

describe('the question before a budget is exceeded', () => {
  const breach = {
    data: 'data\n[x](command:y)',
    budget: { epsilon: 3, delta: 1e-5 },
    before: 2.345,
    after: 4.2,
    runs: 1,
    reason: 'exceeds',
  } as const;

  it('has the numbers, and no question where no budget is touched', () => {
    expect(breachTexts([])).toBeUndefined();
    const texts = breachTexts([breach]);
    expect(texts?.message).toContain('This run would exceed');
    expect(texts?.detail).toContain('the budget is ε 3 at δ 0.00001. 2.35 is spent');
    expect(texts?.detail).toContain('it would become 4.2');
    expect(texts?.detail).not.toContain('data\n[');
  });

  it('speaks of runs without an epsilon, and of several', () => {
    expect(breachTexts([{ ...breach, runs: 3, after: null }])?.message).toContain('These 3 runs');
    expect(breachTexts([{ ...breach, after: null }])?.detail).toContain('become unbounded');
    expect(breachTexts([{ ...breach, reason: 'not-private' }])?.detail).toContain('no ε at all');
  });
});
