import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { compareRuns } from '../../../src/analysis/comparison.ts';
import { handedRun } from '../../../src/analysis/compared-run.ts';
import { renderComparison } from '../../../src/analysis/render.ts';
import { makeCompareSession, type CompareSession } from '../../../src/editor/panels/compare-session.ts';
import { makePlanSession, type FinishedPlan, type PlanSession } from '../../../src/editor/panels/plan-session.ts';
import { makeRunSession, type RunSession } from '../../../src/editor/panels/run-session.ts';
import { privacyAnswers } from '../../../src/editor/worker/privacy.ts';
import { privacySpent } from '../../../src/privacy/accountant.ts';
import { calibrateNoise } from '../../../src/privacy/calibrate.ts';
import type { BudgetStatement } from '../../../src/runs/budget-statement.ts';
import { readLocalRecord } from '../../../src/runs/run-privacy.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { useTitles } from '../../../src/editor/core/titles.ts';
import { useTaskTitles } from '../../../src/webviews/compare/task-titles.ts';
import { columnText } from '../../../src/webviews/compare/texts.ts';
import { english } from '../../../src/webviews/strings.ts';
import { firstView } from '../../../src/webviews/compare/messages.ts';
import { makeCompareModel } from '../../../src/webviews/compare/model.ts';
import { makeConnection, type Connection } from '../../../src/webviews/connection.ts';
import { firstInputs, type PlanInputs } from '../../../src/webviews/plan/messages.ts';
import { breachText } from '../../../src/webviews/plan/texts.ts';
import { formatsOf } from '../../../src/webviews/format.ts';
import { makePlanModel, type PlanModel } from '../../../src/webviews/plan/model.ts';
import type { HostMessage } from '../../../src/webviews/protocol.ts';
import { makeRunModel, type RunModel } from '../../../src/webviews/run/model.ts';
import { idOf, tellingLoss, writeRun, type MadeRun } from '../../integration/webviews/some-runs.ts';
import {
  configuration,
  evaluation,
  line,
  makeWorkspace,
  segmentOf,
  started,
  step,
  type Workspace,
} from '../store/workspace.ts';

/** As `expect`, of what becomes true sooner or later. */
const eventually = <T>(value: () => T | Promise<T>) => expect.poll(value, { timeout: 30_000 });

/** Host's session and webview's model over a real store, with the messages between them carried by hand. */

const id = '20261121-050000000-abc123';
const other = '20261121-050000001-abc124';

let workspace: Workspace;
let store: Store;

/** The marks of a run that was queued and taken. */
function claimed(segment: number): string {
  return [
    { type: 'queued', time: 1 },
    { type: 'claimed', time: 2, segment, launcher: 'local', host: 'here' },
  ]
    .map(line)
    .join('');
}

beforeEach(async () => {
  workspace = makeWorkspace();
  workspace.write(id, 'config.json', configuration({ privacy: { delta: 1e-5 } }));
  workspace.write(id, 'marks.jsonl', claimed(0));
  store = await openStore({ path: workspace.databasePath, journalMode: 'wal', runsFolder: workspace.runsFolder });
  await store.ingest();
});

afterEach(async () => {
  await store.close();
  workspace.remove();
});

function steps(from: number, to: number) {
  return Array.from({ length: to - from + 1 }, (_, index) => step(from + index));
}

async function append(run: string, text: string): Promise<void> {
  workspace.append(run, 'journal.jsonl', text);
  await store.ingest([run]);
}

function journal(events: ReturnType<typeof steps>, skip = 0, segment = 0): string {
  return segmentOf(segment, events).slice(skip).map(line).join('');
}

interface Bench {
  readonly session: RunSession;
  readonly connection: Connection;
  readonly model: RunModel;
  readonly posted: HostMessage[];
  readonly commands: string[];
  readonly revealed: string[];
  readonly problems: string[];
  /** Messages of the host are lost while this holds. */
  deaf: boolean;
}

function runBench(over: Pick<Store, 'show' | 'curves' | 'logs'> = store, run = id): Bench {
  const posted: HostMessage[] = [];
  const commands: string[] = [];
  const revealed: string[] = [];
  const problems: string[] = [];
  const session: RunSession = makeRunSession({
    id: run,
    feed: 'one',
    store: () => over,
    files: () => Promise.resolve([{ path: 'config.json', bytes: 10 }]),
    privacy: {
      record: async () => privacyAnswers.runPrivacy({ folder: workspace.root, id: run }),
      local: async (points) => privacyAnswers.localCurves({ folder: workspace.root, id: run, points }),
      audit: async () => privacyAnswers.audit({ folder: workspace.root, id: run }),
    },
    canStart: () => true,
    isUnseen: () => false,
    post: (message) => {
      posted.push(message);
      if (!bench.deaf) connection.receive(structuredClone(message));
    },
    onCommand: (command) => commands.push(command),
    onReveal: (path) => revealed.push(path),
    onProblem: (problem) => problems.push(problem),
    onTitle: () => undefined,
  });
  const connection = makeConnection({
    post: (message) => session.receive(structuredClone(message)),
    onValues: (keys) => model.update(connection.values(), keys),
  });
  const model = makeRunModel({
    ask: connection.ask,
    onChange: () => undefined,
    onProblem: (problem) => problems.push(String(problem)),
  });
  const bench: Bench = { session, connection, model, posted, commands, revealed, problems, deaf: false };
  return bench;
}

/** Waits until the panel knows this many steps of the loss. */
async function untilSteps(model: RunModel, count: number): Promise<void> {
  await eventually(() => model.curves().get('loss')?.step.length).toBe(count);
}

describe('a run panel', () => {
  it('gets nothing before it listens, then everything, then only what is new', async () => {
    const events = [
      started(1),
      ...steps(1, 5),
      evaluation(5, 0.7),
      { type: 'log', level: 'info', message: 'hello' } as const,
    ];
    await append(id, journal(events));
    const { session, connection, model, posted, problems } = runBench();
    await session.refresh();
    expect(posted).toEqual([]);
    connection.start();
    await untilSteps(model, 5);
    await eventually(() => model.log().map(({ message }) => message)).toEqual(['hello']);
    expect(model.summary()).toMatchObject({
      id,
      state: 'running',
      step: 5,
      totalSteps: 100,
      delta: 1e-5,
      provider: 'cpu',
    });
    expect(model.evaluations()).toMatchObject([{ step: 5, best: true, metrics: { accuracy: 0.7 } }]);
    expect(model.environment().find(({ path }) => path === 'device.reason')?.value).toBe(model.summary()?.deviceReason);
    expect(model.configuration().find(({ path }) => path === 'method.rank')).toEqual({
      path: 'method.rank',
      value: '8',
    });
    expect(model.artifacts()).toEqual([{ path: 'config.json', bytes: 10, kind: null, step: null }]);

    posted.length = 0;
    await session.refresh();
    expect(posted).toEqual([]);

    await append(id, journal([...events, ...steps(6, 9)] as never, events.length));
    await session.refresh();
    await untilSteps(model, 9);
    const changes = posted.filter((message) => message.type === 'changes');
    expect(changes.flatMap(({ changed }) => changed.map(([key]) => key)).sort()).toEqual(['curves', 'log', 'summary']);
    const answers = posted.flatMap((message) =>
      message.type === 'answer' ? [message.value as readonly { step?: Float64Array }[]] : [],
    );
    const asked = answers.flatMap((curves) =>
      curves.flatMap(({ step: found }) => (found === undefined ? [] : [found.length])),
    );
    expect(Math.max(...asked)).toBe(4);
    expect(problems).toEqual([]);
  });

  it('pulls what it missed when it is seen again', async () => {
    await append(id, journal([started(1), ...steps(1, 3)] as never));
    const bench = runBench();
    bench.connection.start();
    await bench.session.refresh();
    await untilSteps(bench.model, 3);
    bench.deaf = true;
    await append(id, journal([started(1), ...steps(1, 6)] as never, 4));
    await bench.session.refresh();
    expect(bench.model.summary()).toMatchObject({ step: 3 });
    bench.deaf = false;
    bench.connection.catchUp();
    await untilSteps(bench.model, 6);
    expect(bench.model.summary()).toMatchObject({ step: 6 });
  });

  it('notices by the next message that it missed one', async () => {
    const bench = runBench();
    bench.connection.start();
    await bench.session.refresh();
    bench.deaf = true;
    await append(id, journal([started(1), ...steps(1, 3)] as never));
    await bench.session.refresh();
    bench.deaf = false;
    await append(id, journal([started(1), ...steps(1, 4)] as never, 4));
    await bench.session.refresh();
    await untilSteps(bench.model, 4);
    expect(bench.model.summary()).toMatchObject({ state: 'running', step: 4 });
  });

  it('asks for its curves anew when a resumed run replaces steps', async () => {
    await append(id, journal([started(1), ...steps(1, 8)] as never));
    const { session, connection, model } = runBench();
    connection.start();
    await session.refresh();
    await untilSteps(model, 8);
    workspace.append(id, 'marks.jsonl', claimed(1));
    await append(id, journal([started(5), { ...step(5), loss: 42 }] as never, 0, 1));
    await session.refresh();
    await untilSteps(model, 5);
    expect(model.curves().get('loss')?.value.at(-1)).toBe(42);
  });

  it('smooths over all points, though it holds only some', async () => {
    await append(id, journal([started(1, 6000), ...steps(1, 6000)] as never));
    const { session, connection, model } = runBench();
    model.setSmoothing(0.9);
    connection.start();
    await session.refresh();
    await eventually(() => model.curves().get('loss')?.smoothed?.value.length).toBeGreaterThan(100);
    const held = model.curves().get('loss');
    expect(held?.total).toBe(6000);
    expect(held?.step.length).toBeLessThanOrEqual(2000);
    // The loss at step n is 1/n: its average is near the value itself after so many steps, whichever points are held.
    const { smoothed } = (await store.curves([{ run: id, metric: 'loss', smoothing: 0.9 }]))[0] ?? {};
    for (const [index, at] of (held?.step ?? []).entries())
      expect(held?.smoothed?.value[index]).toBe(smoothed?.value[at - 1]);
    expect(model.curves().get('learningRate')?.smoothed).toBeUndefined();
    const closer = await model.closer(['loss'], 100, 199);
    expect(closer.get('loss')).toMatchObject({ total: 100 });
    expect(closer.get('loss')?.smoothed?.value[0]).toBe(smoothed?.value[99]);
  });

  it('says that a run is gone, and what went wrong', async () => {
    const { session, connection, model } = runBench(store, other);
    connection.start();
    await session.refresh();
    expect(model.trouble()).toEqual({ kind: 'gone' });

    const failing = { ...store, show: () => Promise.reject(new Error('the disk is gone')) };
    const broken = runBench(failing);
    broken.connection.start();
    await broken.session.refresh();
    expect(broken.model.trouble()).toEqual({ kind: 'error', message: 'the disk is gone' });
  });

  it('does what its buttons say and nothing else', async () => {
    const { session, connection, commands, revealed, problems } = runBench();
    connection.start();
    await session.refresh();
    session.receive({ type: 'command', command: 'stop' });
    session.receive({ type: 'command', command: 'delete everything' });
    session.receive({ type: 'revealFile', path: 'config.json' });
    session.receive({ type: 'revealFile', path: '../../../etc/passwd' });
    session.receive('x');
    expect(commands).toEqual(['stop']);
    expect(revealed).toEqual(['config.json']);
    expect(problems).toHaveLength(2);
  });

  it('answers the page that asked, not one that was made since and counts its questions anew', async () => {
    await append(id, journal([started(1), ...steps(1, 3)] as never));
    const late: (() => void)[] = [];
    const slow: Pick<Store, 'show' | 'curves' | 'logs'> = {
      show: store.show.bind(store),
      logs: store.logs.bind(store),
      curves: (...given) =>
        new Promise((resolve, reject) => {
          late.push(() => void store.curves(...given).then(resolve, reject));
        }),
    };
    const bench = runBench(slow);
    bench.deaf = true;
    bench.session.receive({ type: 'ready' });
    const question = (metric: string) => ({ kind: 'curves', queries: [{ metric, points: 100 }] });
    bench.session.receive({ type: 'ask', id: 1, question: question('loss') });
    // The panel is hidden, its page thrown away, and made again when it is seen.
    bench.session.receive({ type: 'ready' });
    bench.session.receive({ type: 'ask', id: 1, question: question('learningRate') });
    for (const answer of late) answer();
    const answers = () => bench.posted.filter((message) => message.type === 'answer');
    await eventually(() => answers().length).toBeGreaterThan(0);
    await bench.session.refresh();
    expect(answers()).toMatchObject([{ id: 1, value: [{ metric: 'learningRate' }] }]);
  });

  it('answers nothing after it was closed', async () => {
    await append(id, journal([started(1), ...steps(1, 3)] as never));
    const { session, connection, posted } = runBench();
    connection.start();
    const looking = session.refresh();
    session.dispose();
    await looking;
    expect(posted).toEqual([]);
  });
});

function compareBench(filter = {}) {
  const posted: HostMessage[] = [];
  const opened: string[] = [];
  const model = makeCompareModel();
  const session: CompareSession = makeCompareSession({
    feed: 'one',
    scope: () => ({ kind: 'all' }),
    sources: () => [{ key: 'here', store, filter }],
    post: (message) => {
      posted.push(message);
      connection.receive(structuredClone(message));
    },
    onOpen: (source, run) => opened.push(`${source} ${run}`),
    onExport: () => opened.push('export'),
    onProblem: (problem) => opened.push(problem),
  });
  const connection = makeConnection({
    post: (message) => session.receive(structuredClone(message)),
    onValues: (keys) => model.update(connection.values(), keys),
  });
  return { session, connection, model, posted, opened };
}

async function finish(run: string, score: number): Promise<void> {
  workspace.write(run, 'config.json', configuration({ name: 'a <b>run</b>', note: 'long', training: { seed: score } }));
  const end = {
    type: 'finished',
    step: 3,
    reason: 'completed',
    last: { score },
    trainSeconds: 1,
    peakResidentBytes: 1,
  };
  await append(run, journal([started(1), ...steps(1, 3), evaluation(3, score), end] as never));
}

describe('a comparison', () => {
  it('holds what the analysis needs of finished runs, and that the others are not finished', async () => {
    await finish(other, 0.8);
    const { session, connection, model } = compareBench();
    connection.start();
    await session.refresh();
    expect(model.scope()).toEqual({ kind: 'all' });
    expect(model.runs().map(({ id: run, state }) => [run, state])).toEqual([
      [id, 'starting'],
      [other, 'finished'],
    ]);
    expect(model.run(id)).toMatchObject({ config: null, best: null });
    expect(model.run(other)?.config).not.toHaveProperty('note');
    const comparison = model.comparison({ metric: 'score', at: 'best' });
    expect(comparison.rows.map(({ label, cells }) => [label, cells[0]?.summary.mean])).toEqual([['lora', 0.8]]);
    expect(comparison.leftOut).toEqual([{ run: id, reason: 'state' }]);
  });

  it('sends the runs that have changed and forgets those that are gone', async () => {
    await finish(other, 0.8);
    const { session, connection, model, posted } = compareBench();
    connection.start();
    await session.refresh();
    posted.length = 0;
    await finish(id, 0.9);
    await session.refresh({ source: 'here', changed: [id], removed: [] });
    expect(posted).toHaveLength(1);
    expect(posted[0]).toMatchObject({ changed: [[`run:${id}`, { id, state: 'finished' }]], removed: [] });
    expect(model.comparison({ metric: 'score', at: 'best' }).rows[0]?.cells[0]?.summary.n).toBe(2);
    await session.refresh({ source: 'here', changed: [], removed: [other] });
    expect(model.runs().map(({ id: run }) => run)).toEqual([id]);
    await session.refresh({ source: 'elsewhere', changed: [id], removed: [] });
    expect(model.runs()).toHaveLength(1);
  });

  it('keeps to its selection, whatever else changes', async () => {
    await finish(other, 0.8);
    await finish(id, 0.9);
    const { session, connection, model } = compareBench({ ids: [other] });
    connection.start();
    await session.refresh();
    await session.refresh({ source: 'here', changed: [id, other], removed: [] });
    expect(model.runs().map(({ id: run }) => run)).toEqual([other]);
  });

  it('calls methods and tasks by their titles, and tells tasks apart by their ids', async () => {
    useTitles({ methods: { lora: 'LoRA' }, tasks: { sst2: 'SST-2' } });
    onTestFinished(() => {
      useTitles({ methods: {}, tasks: {} });
      useTaskTitles({});
    });
    await finish(other, 0.8);
    const { session, connection, model } = compareBench();
    connection.start();
    await session.refresh();
    const comparison = model.comparison({ metric: 'score', at: 'best' });
    expect(comparison.rows.map(({ label }) => label)).toEqual(['LoRA']);
    expect(comparison.columns).toEqual(['sst2']);
    expect(comparison.columns.map((column) => columnText(column, english))).toEqual(['SST-2']);
    expect(columnText('of-another-version', english)).toBe('of-another-version');
  });

  it('knows how the page looks at it, and takes nothing else for that', () => {
    const { session, opened } = compareBench();
    expect(session.view()).toEqual(firstView);
    const view = {
      ...firstView,
      axis: 'epsilon',
      at: 'last',
      sort: { column: 'parameters', descending: false },
    } as const;
    session.receive({ type: 'view', view });
    session.receive({ type: 'view', view: { ...view, axis: 'z' } });
    session.receive({ type: 'view', view, more: 1 });
    expect(session.view()).toEqual(view);
    expect(opened).toHaveLength(2);
  });

  it('opens only runs that it shows', async () => {
    await finish(other, 0.8);
    const { session, connection, opened } = compareBench({ ids: [other] });
    connection.start();
    await session.refresh();
    for (const run of [other, id, '../x']) session.receive({ type: 'openRun', run });
    session.receive({ type: 'export' });
    expect(opened).toEqual([`here ${other}`, 'the comparison sent a message that is none of its own', 'export']);
  });
});

describe('the privacy of a run panel', () => {
  const run = idOf(40);
  const planned = { epsilon: 9, delta: 1e-5, samplingRate: 1 / 14, steps: 64 };
  const { noiseMultiplier } = calibrateNoise(planned);
  const made = {
    id: run,
    steps: 40,
    mechanism: { noiseMultiplier, targetEpsilon: planned.epsilon },
    ending: 'none',
  } as const;

  async function privateBench(changes: Partial<MadeRun> = {}): Promise<Bench> {
    writeRun(workspace, { ...made, ...changes });
    await store.ingest([run]);
    const bench = runBench(store, run);
    bench.connection.start();
    await eventually(() => bench.model.summary()?.isPrivate).toBe(true);
    return bench;
  }

  it('is asked for when somebody looks, and again when the run has moved on', async () => {
    const { model, posted } = await privateBench();
    expect(posted.some(({ type }) => type === 'answer' && JSON.stringify(posted).includes('noiseMultiplier'))).toBe(
      false,
    );
    expect(model.summary()).toMatchObject({ targetEpsilon: 9, delta: 1e-5 });
    model.privacy.look('1');
    await eventually(() => model.privacy.record()?.released).toBe(40);
    const record = model.privacy.record();
    const phase = { samplingRate: planned.samplingRate, noiseMultiplier };
    expect(record).toMatchObject({
      ledger: { relation: 'add-or-remove-one', plannedSteps: 64, targetEpsilon: 9 },
      repeated: 0,
      epsilon: privacySpent([{ ...phase, steps: 40 }], 1e-5).epsilon,
      planned: privacySpent([{ ...phase, steps: 64 }], 1e-5).epsilon,
    });
    expect(record?.epochs.map(({ step: at }) => at)).toEqual([14, 28, 40]);
    // The local record is no part of it.
    expect(JSON.stringify(record)).not.toContain(String(tellingLoss));
    expect(model.privacy.local()).toBeUndefined();
  });

  it('shows what epsilon does not cover only when that is asked for', async () => {
    const { model, posted } = await privateBench();
    model.privacy.look('1');
    await eventually(() => model.privacy.record() !== undefined).toBe(true);
    expect(JSON.stringify(posted)).not.toContain(String(tellingLoss));
    model.privacy.askLocal();
    await eventually(() => model.privacy.local()?.get('loss')?.value[0]).toBe(tellingLoss);
    expect(model.privacy.local()?.get('clipped')?.value).toHaveLength(40);
  });

  it('audits by the code of the command line, and passes on what it finds', async () => {
    const { model } = await privateBench();
    model.privacy.askAudit();
    await eventually(() => model.privacy.audit()?.verdict).toBe('holds');
    const { model: insecure } = await privateBench({
      mechanism: { noiseMultiplier: 0.9, insecure: true },
    });
    insecure.privacy.askAudit();
    await eventually(() => insecure.privacy.audit()?.verdict).toBe('fails');
    expect(insecure.privacy.audit()?.findings.join()).toContain('known seed');
    insecure.privacy.look('1');
    await eventually(() => insecure.privacy.record()?.ledger.insecure).toBe(true);
    // Whatever its numbers say: nothing is guaranteed.
    expect(insecure.privacy.record()).toMatchObject({ epsilon: null, planned: null });
  });
});

describe('what leaves a private run', () => {
  it('holds nothing that epsilon does not cover: comparison, report and listings', async () => {
    const runs = [50, 51].map((index): MadeRun => ({
      id: idOf(index),
      steps: 12,
      seed: index,
      mechanism: { noiseMultiplier: 0.9 },
    }));
    for (const made of runs) writeRun(workspace, made);
    await store.ingest();
    const local = readLocalRecord(workspace.file(runs[0]?.id ?? '', '.'));
    expect(local[0]?.loss).toBe(tellingLoss);
    const telling = local.flatMap(({ loss, gradientNorm, clipped }) => [loss, gradientNorm, clipped]).map(String);
    const ids = runs.map(({ id: each }) => each);
    const rows = await store.comparison({ ids });
    const compared = rows.map((row) => ({ ...row, config: null }));
    const rendered = (['table', 'csv', 'json', 'markdown'] as const).map((format) =>
      renderComparison(compareRuns(compared), { format }),
    );
    const listed = JSON.stringify([
      await store.list({ ids, limit: 10 }),
      await store.show(ids[0] ?? ''),
      await store.curves(
        ['loss', 'gradientNorm', 'epsilon'].map((metric) => ({ run: ids[0] ?? '', metric, points: 100 })),
      ),
      rows.map((row) => handedRun(row)),
    ]);
    for (const text of [...rendered, listed]) expect(telling.filter((number) => text.includes(number))).toEqual([]);
  });
});

/** A planner's session and the model of its page, with the messages between them carried by hand and every number computed. */
describe('a planner', () => {
  interface PlanBench {
    readonly session: PlanSession;
    readonly model: PlanModel;
    readonly post: (message: unknown) => void;
    /** The model of a page that is made again, as the editor does when it is shown after it was hidden. */
    readonly pageAgain: () => PlanModel;
    readonly copied: FinishedPlan[];
    readonly problems: string[];
    readonly sketched: number[];
  }

  const small: PlanInputs = { ...firstInputs, examples: 2000, batchSize: 200, epochs: 2 };

  function planBench(dataSets: readonly (BudgetStatement & { readonly id: string })[] = []): PlanBench {
    const copied: FinishedPlan[] = [];
    const problems: string[] = [];
    const sketched: number[] = [];
    const session: PlanSession = makePlanSession({
      feed: 'one',
      sizes: () => Promise.resolve([{ id: 'task sst2', title: 'SST-2', examples: 67_349, from: 'task' }]),
      dataSets: () => Promise.resolve(dataSets),
      plan: async (request) => privacyAnswers.planPrivacy(request),
      sketch: async (request) => {
        const [phase] = request.phases.slice(-1);
        sketched.push(phase?.noiseMultiplier ?? NaN);
        return privacyAnswers.sketchEpsilon(request);
      },
      post: (message) => receive(structuredClone(message)),
      onCopy: (plan) => copied.push(plan),
      onOpen: () => undefined,
      onProblem: (problem) => problems.push(problem),
    });
    let receive: (message: unknown) => void = () => undefined;
    function pageAgain(): PlanModel {
      const made = makePlanModel();
      const connection = makeConnection({
        post: (message) => session.receive(structuredClone(message)),
        onValues: () => made.update(connection.values()),
      });
      receive = connection.receive;
      connection.start();
      return made;
    }
    return { session, model: pageAgain(), post: session.receive, pageAgain, copied, problems, sketched };
  }

  it('finds the noise of a target, and draws what it costs', async () => {
    const { session, model, post, copied } = planBench();
    await session.refresh();
    post({ type: 'plan', inputs: small });
    await eventually(() => model.noise().isWhole).toBe(true);
    const plan = model.plan();
    expect(plan).toMatchObject({
      samplingRate: 0.1,
      stepsPerEpoch: 10,
      totalSteps: 20,
      delta: 1 / 4000,
      deltaIsWeak: false,
    });
    expect(plan?.epsilon).toBeLessThanOrEqual(3);
    expect(plan?.epsilon).toBeGreaterThan(2.98);
    expect(
      model
        .epochs()
        .points.map(({ x }) => x)
        .toSorted(),
    ).toEqual([1, 2]);
    const points = model.noise().points.toSorted((a, b) => a.x - b.x);
    expect(points).toHaveLength(21);
    // More noise never costs more, but for the roughness of the curve's grid.
    for (const [index, { epsilon }] of points.entries())
      expect(epsilon ?? 0).toBeLessThanOrEqual((points[index - 1]?.epsilon ?? Infinity) * 1.02);
    expect(model.sizes()).toHaveLength(1);
    post({ type: 'copyPlan' });
    expect(copied).toMatchObject([{ privacy: { epsilon: 3 }, inputs: small }]);
    // What is asked for while something else is computed is what comes of that.
    post({ type: 'plan', inputs: { ...small, goal: { kind: 'epsilon', epsilon: 2 } } });
    post({ type: 'copyPlan' });
    expect(copied).toHaveLength(1);
    await eventually(() => copied.length).toBe(2);
    expect(copied[1]?.privacy).toEqual({ epsilon: 2 });
  });

  it('gives up a curve when something else is asked, and says what is wrong with what comes to nothing', async () => {
    const { model, post, sketched, copied } = planBench();
    post({ type: 'plan', inputs: small });
    await eventually(() => sketched.length).toBeGreaterThan(0);
    post({ type: 'plan', inputs: { ...small, goal: { kind: 'noise', noiseMultiplier: 4 } } });
    await eventually(() => model.noise().isWhole).toBe(true);
    expect(model.plan()?.noiseMultiplier).toBe(4);
    expect(sketched.length).toBeLessThan(2 * 21);
    post({ type: 'plan', inputs: { ...small, batchSize: 3000 } });
    await eventually(() => model.state()).toEqual({
      kind: 'refused',
      message: 'A batch of 3000 is more than 2000 examples.',
    });
    expect(model.plan()).toBeUndefined();
    post({ type: 'copyPlan' });
    expect(copied).toEqual([]);
  });

  it('composes what was spent before, and plans again when that grows', async () => {
    const phases = [{ samplingRate: 0.05, noiseMultiplier: 1.1, steps: 30 }];
    const statement = {
      id: 'a',
      data: 'data',
      budget: { epsilon: 4, delta: 1e-5 },
      delta: 1e-5,
      spent: { epsilon: 1.2, lower: 1.1, accountant: 'prv' },
      left: 2.8,
      phases,
      examples: 2000,
      runs: [],
      withoutPrivacy: [],
    } as const;
    const { session, model, post } = planBench([statement]);
    post({ type: 'plan', inputs: { ...small, spentOn: 'a', goal: { kind: 'noise', noiseMultiplier: 2 } } });
    await session.refresh();
    const own = { samplingRate: 0.1, noiseMultiplier: 2, steps: 20 };
    const together = privacySpent([...phases, own], 1 / 4000).epsilon;
    await eventually(() => model.plan()?.epsilon).toBe(together);
    expect(together).toBeGreaterThan(privacySpent([own], 1 / 4000).epsilon);
    expect(model.dataSets()).toMatchObject([{ id: 'a', data: 'data', spent: 1.2, left: 2.8 }]);
  });

  it('holds a plan against a budget at the delta of the budget, whatever its own is', async () => {
    const statement = { id: 'a', data: 'data', delta: 1e-5, spent: null, left: null, phases: [] } as const;
    const others = { examples: 2000, runs: [], withoutPrivacy: [] } as const;
    const goal = { kind: 'noise', noiseMultiplier: 2 } as const;
    const own = [{ samplingRate: 0.1, noiseMultiplier: 2, steps: 20 }];
    const [strict, lax] = [privacySpent(own, 1e-7).epsilon, privacySpent(own, 1e-2).epsilon];
    for (const [delta, at] of [
      [1e-2, 1e-7],
      [1e-7, 1e-2],
    ] as const) {
      const budget = { epsilon: (strict + lax) / 2, delta: at };
      const { session, model, post } = planBench([{ ...statement, ...others, budget }]);
      await session.refresh();
      post({ type: 'plan', inputs: { ...small, delta, spentOn: 'a', goal } });
      await eventually(() => model.plan()?.atBudget).toEqual({ delta: at, epsilon: at === 1e-7 ? strict : lax });
      const plan = model.plan();
      if (plan === undefined) throw new Error('there is no plan');
      const text = breachText(plan, model.dataSets()[0], english, formatsOf('en'));
      expect(text.includes('goes beyond the budget for data')).toBe(at === 1e-7);
    }
  });

  it('is opened for something else while it is open, and refuses messages that are none', async () => {
    const { session, model, post, problems } = planBench();
    session.open(small);
    await eventually(() => model.takeAsked()).toEqual({ count: 1, inputs: small });
    expect(model.takeAsked()).toBeUndefined();
    post({ type: 'plan', inputs: { ...small, epochs: -1 } });
    post({ type: 'copyPlan', path: '/etc/passwd' });
    expect(problems).toHaveLength(2);
  });

  it('asks a page that is made again nothing that the one before it took, and has it keep what belongs together', async () => {
    const { session, model, post, pageAgain } = planBench();
    const begun = { task: 'cola', method: 'slash' };
    session.open(small, begun);
    await eventually(() => model.takeAsked()).toEqual({ count: 1, inputs: small, begun });
    // Nobody knows yet whether that page has kept it.
    await eventually(() => pageAgain().takeAsked()).toEqual({ count: 1, inputs: small, begun });
    session.open({ ...small, epochs: 9 });
    post({ type: 'tookAsked', count: 1 });
    await eventually(() => pageAgain().takeAsked()?.inputs.epochs).toBe(9);
    post({ type: 'tookAsked', count: 2 });
    post({ type: 'plan', inputs: small });
    const later = pageAgain();
    await eventually(() => later.plan()).toBeDefined();
    expect(later.takeAsked()).toBeUndefined();
  });
});
