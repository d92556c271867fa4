import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { generatorName } from '../../../src/privacy/streams.ts';
import { auditPrivacy, auditRun } from '../../../src/runs/audit.ts';
import type { JournalEvent } from '../../../src/runs/events.ts';
import { temporaryFolder } from '../../support/runs.ts';

type Ledger = Extract<JournalEvent, { type: 'privacy' }>;
type Step = Extract<JournalEvent, { type: 'step' }>;

const ledger: Omit<Ledger, 'segment' | 'seq' | 'time'> = {
  type: 'privacy',
  relation: 'add-or-remove-one',
  unit: 'example',
  sampling: 'poisson',
  examples: 4000,
  samplingRate: 0.02,
  expectedBatchSize: 80,
  chunkSize: 16,
  noiseMultiplier: 0.9,
  maxGradNorm: 0.1,
  clipping: 'flat',
  delta: 1 / 8000,
  accountant: 'tightest',
  plannedSteps: 20,
  repeatedSteps: 0,
  generator: generatorName,
  keyId: '00ff',
  insecure: false,
};

function epsilonAfter(steps: number): number {
  return privacySpent([{ samplingRate: 0.02, noiseMultiplier: 0.9, steps }], 1 / 8000).epsilon;
}

/** A run of two epochs, each of whose ends tells epsilon. */
function twoEpochs(): readonly JournalEvent[] {
  return segment(0, 1, 100, { ledger: { plannedSteps: 100 } }).map((event) => {
    if (event.type === 'started') return { ...event, totalSteps: 100 };
    return event.type === 'step' && event.step === 50 ? { ...event, epsilon: epsilonAfter(50) } : event;
  });
}

/** A segment that opens with a ledger, starts at a step and goes to another, telling epsilon at its end. */
function segment(
  number: number,
  from: number,
  to: number,
  changes: { readonly ledger?: Partial<Ledger> | undefined; readonly last?: Partial<Step> } = {},
): readonly JournalEvent[] {
  const stamp = { segment: number, seq: 0, time: 0 };
  const parameters = { method: 1, head: 1, total: 2, frozen: 3 };
  const started: JournalEvent = {
    ...stamp,
    seq: 1,
    type: 'started',
    processId: 1,
    fromStep: from,
    totalSteps: 20,
    // 1/q, rounded.
    stepsPerEpoch: 50,
    trainExamples: 4000,
    parameters,
    device: { provider: 'cpu', reason: 'test' },
  };
  const steps = Array.from({ length: to - from + 1 }, (_, index): JournalEvent => {
    const step = from + index;
    const repeated = changes.ledger?.repeatedSteps ?? 0;
    return {
      ...stamp,
      seq: 2 + index,
      type: 'step',
      step,
      epoch: step / 50,
      loss: null,
      learningRate: 1e-3,
      gradientNorm: 0.1,
      examplesPerSecond: 10,
      tokensPerSecond: 0,
      ...(step === to ? { epsilon: epsilonAfter(step + repeated), ...changes.last } : {}),
    };
  });
  return [{ ...stamp, ...ledger, ...changes.ledger }, started, ...steps];
}

function writeRecord(folder: string, events: readonly JournalEvent[]): void {
  writeFileSync(join(folder, 'journal.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}

function writeConfiguration(folder: string, changes: object): void {
  const device = { provider: 'cpu' };
  const base = { model: { id: 'm' }, task: { id: 't' }, method: { id: 'x' }, training: { seed: 0 }, device };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...base, launcher: 'local', ...changes }));
}

describe('an audit', () => {
  const finishedAt = (step: number, seq: number): JournalEvent => ({
    ...{ segment: 0, seq, time: 0, type: 'finished', step, reason: 'completed', last: {} },
    ...{ trainSeconds: 1, peakResidentBytes: 1 },
  });

  it('finds that an honest record holds, whole or continued with its key', () => {
    const whole = auditPrivacy(segment(0, 1, 20));
    expect(whole).toMatchObject({ verdict: 'holds', findings: [], steps: { recorded: 20, repeated: 0 } });
    expect(whole.epsilon?.computed).toBe(epsilonAfter(20));
    expect(auditPrivacy([...segment(0, 1, 14), ...segment(1, 11, 20)])).toMatchObject({ verdict: 'holds' });
  });

  it('counts what was released again under another key, and finds it where the ledger does not', () => {
    const counted = segment(1, 11, 20, { ledger: { keyId: 'aa', repeatedSteps: 4 } });
    expect(auditPrivacy([...segment(0, 1, 14), ...counted])).toMatchObject({
      verdict: 'holds',
      steps: { recorded: 20, repeated: 4 },
      epsilon: { computed: epsilonAfter(24) },
    });
    const hidden = auditPrivacy([...segment(0, 1, 14), ...segment(1, 11, 20, { ledger: { keyId: 'aa' } })]);
    expect(hidden.verdict).toBe('fails');
    expect(hidden.findings.join()).toContain('4 were released again');
  });

  it.each<[string, readonly JournalEvent[], string]>([
    ['a smaller epsilon', segment(0, 1, 20, { last: { epsilon: 0.1 } }), 'recorded as 0.1'],
    ['more noise than the accounting', segment(0, 1, 20, { ledger: { noiseMultiplier: 0.8 } }), 'amounts to'],
    ['a known seed', segment(0, 1, 20, { ledger: { insecure: true } }), 'known seed'],
    ['a training loss', segment(0, 1, 20, { last: { loss: 0.5 } }), 'training loss of 1 steps'],
    ['another generator', segment(0, 1, 20, { ledger: { generator: 'Math.random' } }), 'come from "Math.random"'],
    ['more steps than were planned', segment(0, 1, 20, { ledger: { plannedSteps: 5 } }), 'its ledger plans 5'],
    ['another batch', segment(0, 1, 20, { ledger: { expectedBatchSize: 160 } }), 'expected batch of 160'],
    [
      'another noise in a later segment',
      [...segment(0, 1, 10), ...segment(1, 11, 20, { ledger: { noiseMultiplier: 1.9 } })],
      'noiseMultiplier is not the same',
    ],
    [
      'steps without a ledger',
      [...segment(0, 1, 10), ...segment(1, 11, 20).filter(({ type }) => type !== 'privacy')],
      '1 of the run',
    ],
  ])('finds %s', (_, events, finding) => {
    const audit = auditPrivacy(events);
    expect(audit.verdict).toBe('fails');
    expect(audit.findings.join()).toContain(finding);
  });

  it.each<[string, (event: JournalEvent) => object, string]>([
    [
      'a smaller epsilon of an earlier epoch',
      (event) => (event.type === 'step' && event.step === 50 ? { epsilon: 0.1 } : {}),
      'epsilon after step 50 is recorded as 0.1',
    ],
    [
      'an epoch whose epsilon is not told',
      (event) => (event.type === 'step' && event.step === 50 ? { epsilon: undefined } : {}),
      'does not tell the epsilon of 1 epoch',
    ],
    [
      'other examples at its start',
      (event) => (event.type === 'started' ? { trainExamples: 8000 } : {}),
      'began with 8000 training examples, and the ledger makes it 4000',
    ],
    [
      'other steps at its start',
      (event) => (event.type === 'privacy' ? { plannedSteps: 200 } : {}),
      'began with 100 planned steps, and the ledger makes it 200',
    ],
    [
      'an epoch of other length at its start',
      (event) => (event.type === 'started' ? { stepsPerEpoch: 25 } : {}),
      'began with 25 steps an epoch, and the ledger makes it 50',
    ],
    [
      'a step under another number',
      (event) => (event.type === 'step' && event.step === 7 ? { step: 8 } : {}),
      'steps of segment 0 do not follow one another',
    ],
    [
      'noise that is too little for the target',
      (event) => (event.type === 'privacy' ? { targetEpsilon: epsilonAfter(100) / 2 } : {}),
      'was to keep it within',
    ],
    [
      'more noise than the target asks for',
      (event) => (event.type === 'privacy' ? { targetEpsilon: epsilonAfter(100) * 2 } : {}),
      'the ledger says 0.9',
    ],
  ])('finds %s', (_, change, finding) => {
    expect(auditPrivacy(twoEpochs())).toMatchObject({ verdict: 'holds', findings: [] });
    const audit = auditPrivacy(twoEpochs().map((event) => ({ ...event, ...change(event) })));
    expect(audit.verdict).toBe('fails');
    expect(audit.findings.join()).toContain(finding);
  });

  it('says once where every epsilon that was told is wrong', () => {
    const edited = twoEpochs().map((event) => (event.type === 'privacy' ? { ...event, noiseMultiplier: 1.8 } : event));
    expect(auditPrivacy(edited).findings).toEqual([
      expect.stringMatching(/^epsilon after step 100 .*, and 1 told before it is wrong too$/),
    ]);
  });

  it('finds an end at a step that the run has passed', () => {
    expect(auditPrivacy([...segment(0, 1, 20), finishedAt(12, 22)]).findings).toEqual([
      'segment 0 ended at step 12, and the journal tells its steps up to 20',
    ]);
  });

  it('takes the noise of adaptive clipping from its parts, and finds a ledger that claims more', () => {
    // z = 0.9 of gradients with 0.95 and a count with σ_b: (1/0.9² − 1/0.95²)^−½/2.
    const countDeviation = 0.5 / Math.sqrt(0.9 ** -2 - 0.95 ** -2);
    const adaptive = { quantile: 0.5, rate: 0.2, countDeviation, gradientNoiseMultiplier: 0.95 };
    const adapts = (changes: object): readonly JournalEvent[] =>
      segment(0, 1, 20, { ledger: { clipping: 'adaptive', adaptive: { ...adaptive, ...changes } } });
    expect(auditPrivacy(adapts({}))).toMatchObject({ verdict: 'holds', findings: [] });
    const cheap = auditPrivacy(adapts({ countDeviation: countDeviation / 2 }));
    expect(cheap.verdict).toBe('fails');
    expect(cheap.epsilon?.computed).toBeGreaterThan(epsilonAfter(20));
    expect(cheap.findings.join()).toContain('gradients and count together');
    const silent = auditPrivacy(segment(0, 1, 20, { ledger: { clipping: 'adaptive' } }));
    expect(silent.findings.join()).toContain('how its clipping norm adapts');
  });

  it('lets a checkpoint be chosen where the evaluation data were declared public, and says so', () => {
    const chosen = (ledger: Partial<Ledger>): readonly JournalEvent[] => [
      ...segment(0, 1, 20, { ledger }),
      {
        ...{ segment: 0, seq: 22, time: 0, type: 'evaluation', step: 20, epoch: 2, split: 'dev' },
        ...{ examples: 10, loss: 1, metrics: { score: 0.5 }, seconds: 1, best: true },
      },
    ];
    expect(auditPrivacy(chosen({})).findings.join()).toContain('chosen by its evaluation');
    const declared = auditPrivacy(chosen({ publicEvaluation: true }));
    expect(declared.verdict).toBe('holds');
    expect(declared.assumptions.join()).toContain('as the user declared');
  });

  it.each<[string, JournalEvent]>([
    ['an end', finishedAt(20, 14)],
    ['a checkpoint', { segment: 0, seq: 14, time: 0, type: 'checkpoint', step: 20, kind: 'last', path: 'a' }],
  ])('counts the steps that %s shows, and finds that they are missing', (_, event) => {
    const cut = [...segment(0, 1, 12), event];
    expect(auditPrivacy(cut)).toMatchObject({
      verdict: 'fails',
      steps: { recorded: 20 },
      epsilon: { computed: epsilonAfter(20) },
      findings: ['segment 0 came to step 20, and the journal tells its steps only up to 12'],
    });
  });

  it('finds events that are missing, but not those that are there twice', () => {
    const whole = segment(0, 1, 20);
    const [last] = whole.slice(-1);
    const without = whole.filter((event) => event.type !== 'step' || event.step % 5 !== 1);
    expect(auditPrivacy(without).findings).toEqual(['4 events of segment 0 missing from the journal']);
    expect(auditPrivacy([...whole, ...(last === undefined ? [] : [last])]).verdict).toBe('holds');
  });

  it('takes no resumed segment that failed before it began for one with steps', () => {
    const failed: JournalEvent = { segment: 1, seq: 0, time: 0, type: 'failed', step: 20, message: 'a', kind: 'user' };
    expect(auditPrivacy([...segment(0, 1, 20), failed])).toMatchObject({ verdict: 'holds', steps: { recorded: 20 } });
  });

  it('reads a folder, where a crash tears one line of each life and no more', () => {
    const folder = temporaryFolder();
    const lines = (events: readonly JournalEvent[]): string =>
      events.map((event) => `${JSON.stringify(event)}\n`).join('');
    const torn = '{"segment":0,"se\n';
    const write = (text: string): void => writeFileSync(join(folder, 'journal.jsonl'), text);
    write(`${lines(segment(0, 1, 14))}${torn}${lines(segment(1, 11, 20))}`);
    const crashed = auditRun(folder);
    expect(crashed).toMatchObject({ verdict: 'holds', findings: [] });
    expect(crashed.assumptions.join()).toContain('cut off by a crash');
    write(`${lines([...segment(0, 1, 20), finishedAt(20, 22)])}${torn}`);
    expect(auditRun(folder)).toMatchObject({
      verdict: 'fails',
      findings: ['1 line of the journal could not be read; what was told there is not counted'],
    });
  });

  it.each<[string, object, string | undefined]>([
    ['what the ledger says', {}, undefined],
    ['another norm', { maxGradNorm: 1 }, 'privacy.maxGradNorm'],
    ['another noise', { noiseMultiplier: 2 }, 'privacy.noiseMultiplier'],
    ['another delta', { delta: 1e-6 }, 'privacy.delta'],
    ['a known seed', { insecureSeed: 4 }, 'privacy.insecureSeed'],
  ])('holds the ledger against a configuration with %s', (_, changed, name) => {
    const folder = temporaryFolder();
    writeRecord(folder, segment(0, 1, 20));
    const privacy = { noiseMultiplier: 0.9, maxGradNorm: 0.1, clipping: 'flat', accountant: 'tightest', ...changed };
    writeConfiguration(folder, { privacy });
    expect(auditRun(folder)).toMatchObject({
      verdict: name === undefined ? 'holds' : 'fails',
      findings: name === undefined ? [] : [expect.stringContaining(name)],
    });
  });

  it('holds the ledger against the batch of the configuration, and misses privacy in it', () => {
    const folder = temporaryFolder();
    writeRecord(folder, segment(0, 1, 20));
    writeConfiguration(folder, { privacy: {}, training: { seed: 0, batchSize: 16, accumulation: 2 } });
    expect(auditRun(folder).findings).toEqual([expect.stringContaining('is 32 in the configuration and 80')]);
    writeConfiguration(folder, { privacy: {}, training: { seed: 0, batchSize: 20, accumulation: 4 } });
    expect(auditRun(folder).findings).toEqual([
      expect.stringContaining('training.batchSize is 20 in the configuration'),
    ]);
    for (const length of [{ epochs: 2 }, { steps: 100 }]) {
      writeConfiguration(folder, { privacy: {}, training: { seed: 0, ...length } });
      expect(auditRun(folder).findings).toEqual([
        expect.stringContaining('number of steps is 100 in the configuration'),
      ]);
    }
    writeConfiguration(folder, {});
    expect(auditRun(folder).findings).toEqual([expect.stringContaining('asks for no privacy')]);
    writeFileSync(join(folder, 'config.json'), '{');
    expect(auditRun(folder).findings).toEqual([expect.stringContaining('not JSON')]);
  });

  it('knows what a configuration that is silent asks for: delta, and how the norm adapts', () => {
    const folder = temporaryFolder();
    const countDeviation = 0.5 / Math.sqrt(0.9 ** -2 - 0.95 ** -2);
    const adaptive = { quantile: 0.5, rate: 0.2, countDeviation, gradientNoiseMultiplier: 0.95 };
    const audited = (changes: Partial<Ledger>): readonly string[] => {
      writeRecord(
        folder,
        segment(0, 1, 20, {
          ledger: { clipping: 'adaptive', adaptive, ...changes },
          last: { epsilon: undefined },
        }).slice(0, -1),
      );
      writeConfiguration(folder, { privacy: { clipping: 'adaptive' } });
      return auditRun(folder).findings;
    };
    expect(audited({})).toEqual([]);
    expect(audited({ delta: 1e-3 })).toEqual([expect.stringContaining('privacy.delta is 0.000125')]);
    expect(audited({ adaptive: { ...adaptive, quantile: 0.9 } })).toEqual([
      expect.stringContaining('privacy.adaptive.quantile is 0.5'),
    ]);
    expect(audited({ adaptive: { ...adaptive, rate: 1 } })).toEqual([
      expect.stringContaining('privacy.adaptive.rate is 0.2'),
    ]);
  });

  it.each([{ samplingRate: 2 }, { noiseMultiplier: -1 }, { delta: 0 }])(
    'refuses a ledger that says what cannot be, %o',
    (changed) => {
      const { verdict, findings } = auditPrivacy(segment(0, 1, 20, { ledger: changed }));
      expect(verdict).toBe('fails');
      expect(findings).toEqual([expect.stringContaining('cannot be')]);
    },
  );

  it('finds an epsilon told where there is no noise', () => {
    const { findings } = auditPrivacy(segment(0, 1, 20, { ledger: { noiseMultiplier: 0 } }));
    expect(findings).toEqual([expect.stringContaining('amounts to Infinity')]);
  });

  it('does not take a private run whose ledger is gone for one without privacy', () => {
    const folder = temporaryFolder();
    const lines = segment(0, 1, 20).slice(1);
    writeRecord(folder, lines);
    writeConfiguration(folder, { privacy: { epsilon: 3 } });
    expect(auditRun(folder)).toMatchObject({ verdict: 'fails', findings: [expect.stringContaining('no ledger')] });
  });

  it('finds a journal whose end was cut off by the checkpoint that came after', () => {
    const folder = temporaryFolder();
    writeRecord(folder, segment(0, 1, 20));
    expect(auditRun(folder, { reached: 20 }).verdict).toBe('holds');
    expect(auditRun(folder, { reached: 30 }).findings).toEqual([expect.stringContaining('only up to 20')]);
  });

  it('counts the steps that a journal has lost before a later segment, and finds that', () => {
    const cut = [...segment(0, 1, 20).slice(0, 7), ...segment(1, 15, 20)];
    expect(auditPrivacy(cut)).toMatchObject({
      verdict: 'fails',
      steps: { recorded: 20, repeated: 0 },
      epsilon: { computed: epsilonAfter(20) },
      findings: ['segment 1 goes on from step 15, and the journal tells of steps before it only up to 5'],
    });
    expect(auditPrivacy(segment(1, 15, 20)).findings).toEqual([expect.stringContaining('only up to 0')]);
  });

  it('says of an ordinary run that it is none', () => {
    expect(auditPrivacy(segment(0, 1, 20).filter(({ type }) => type !== 'privacy')).verdict).toBe('not-private');
  });
});
