import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { shareOfThreads } from '../../../src/engine/device.ts';
import type { JournalEvent } from '../../../src/runs/events.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { loadConfiguration } from '../../../src/runs/configuration.ts';
import { planRuns } from '../../../src/runs/plan-runs.ts';
import { submitRuns } from '../../../src/runs/queue.ts';
import { openWorkspace, readEnvironment } from '../../../src/runs/run-folder.ts';
import { gone, makeBench, type Bench, type Outcome } from '../../support/cli.ts';
import { hasSignals, killed } from '../../support/signals.ts';
import { tinySentences } from '../../support/tiny-encoder.ts';

let bench: Bench;

beforeEach(async () => {
  bench = await makeBench();
});

afterEach(async () => {
  // Whatever a test left running would go on for ever in a folder that is gone.
  const running = await states('running', 'starting', 'queued');
  for (const { id } of running) await bench.run('stop', '--force', id);
  bench.remove();
});

interface ListedRun {
  readonly id: string;
  readonly state: string;
  readonly name: string | null;
  readonly label: Readonly<Record<string, unknown>>;
  readonly score: number | null;
  readonly step: number | null;
}

function runsIn({ out }: Outcome): readonly ListedRun[] {
  return (JSON.parse(out) as { readonly runs: readonly ListedRun[] }).runs;
}

async function states(...wanted: readonly string[]): Promise<readonly ListedRun[]> {
  return runsIn(await bench.run('ls', '--json', '--state', wanted.join(',')));
}

function idOf(index: number): string {
  const id = bench.ids()[index];
  if (id === undefined) throw new Error('the run is missing');
  return id;
}

/** The bytes of the tensors of a run's last checkpoint, without its header, which holds times. */
function tensorsOf(id: string): Buffer {
  const bytes = readFileSync(join(bench.runFolder(id), 'checkpoints', 'last.safetensors'));
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

const stepFrom =
  (least: number) =>
  (event: JournalEvent): boolean =>
    event.type === 'step' && event.step >= least;

/** Longer than any test waits for it. */
const endless = { training: { steps: 1_000_000, evaluateEvery: 1_000_000, checkpointEvery: 1_000_000 } };

describe('run', () => {
  test('divides the threads among the runs that a device takes at once, unless the configuration says how many', async () => {
    const threads = async (settings: Readonly<Record<string, unknown>>): Promise<readonly unknown[]> => {
      const before = bench.ids().length;
      const file = bench.configure('a', { training: { steps: 2 }, ...settings, matrix: { 'training.seed': [0, 1] } });
      expect((await bench.run('run', file, '--slots', 'cpu=2')).code).toBe(0);
      const started = bench
        .ids()
        .slice(before)
        .flatMap((id) => bench.events(id).filter(({ type }) => type === 'started'));
      return started.map((event) => event.type === 'started' && event.device.threads);
    };
    const half = shareOfThreads(availableParallelism(), 2);
    expect(await threads({ device: 'cpu' })).toEqual([half, half]);
    expect(await threads({ device: { provider: 'cpu', threads: 3 } })).toEqual([3, 3]);
  });

  test('trains to the end, and two runs of a seed end in the same numbers, another seed in others', async () => {
    const file = bench.configure('a', { name: 'first', matrix: { 'training.seed': [0, 1] } });
    const sweep = await bench.run('run', file, '--json');
    expect(sweep.code).toBe(0);
    const [zero, one] = runsIn(sweep);
    expect([zero, one]).toMatchObject([
      { state: 'finished', name: 'first', step: 200 },
      { state: 'finished', step: 200 },
    ]);
    expect(zero?.score).toBeGreaterThan(0.6);
    expect((await bench.run('run', file, '--set', 'training.seed=0')).code).toBe(0);
    const numbers = bench.ids().map((id) => bench.numbers(id));
    expect(numbers[0]?.steps).toHaveLength(200);
    expect(numbers[0]?.evaluations).toHaveLength(4);
    expect(numbers[2]).toEqual(numbers[0]);
    expect(numbers[1]).not.toEqual(numbers[0]);
    const told = bench
      .ids()
      .map((id) => bench.events(id).flatMap((event) => (event.type === 'log' ? event.message : [])));
    expect(told[0]?.join()).not.toContain('the cache');
    for (const later of told.slice(1)) expect(later).toContain('tokenised data taken from the cache: train, dev');
    // A training step and an evaluation, compiled by the first run for all.
    expect(readdirSync(join(bench.folder, '.peft', 'cache', 'graphs'))).toHaveLength(2);
    const listed = await bench.run('ls', '--json', '--reverse');
    expect(runsIn(listed).map(({ label }) => label)).toEqual([{ 'training.seed': 0 }, { 'training.seed': 1 }, {}]);
    const compared = await bench.run('compare');
    expect(compared.out).toMatch(/lora +1,058 +\d+\.\d ± \d+\.\d \(n=2\)/);
    expect(compared.out).toContain('Left out: 1 run repeated later with the same configuration and seed');
  });

  test('killed at any step and resumed, it ends in the numbers of an unbroken run', async () => {
    const training = { steps: 1000, evaluateEvery: 250, checkpointEvery: 60, dropout: 0.1 };
    const file = bench.configure('a', { training });
    expect((await bench.run('run', file)).code).toBe(0);
    const random = randomStream(3, 'kills');
    let life = bench.start('run', file);
    for (const segment of [0, 1]) {
      const reached = stepFrom(100 + segment * 350 + random.below(200));
      const { id } = await bench.wait(1, (event) => event.segment === segment && reached(event));
      const started = bench.events(id).findLast((event) => event.type === 'started');
      process.kill(started?.processId ?? 0, 'SIGKILL');
      const { code, err } = await life.ended;
      expect(code).toBe(1);
      expect(err).toContain(killed);
      expect(await states('interrupted')).toMatchObject([{ id }]);
      // As large as a checkpoint, where the kill came while one was written.
      writeFileSync(join(bench.runFolder(id), 'checkpoints', `last.safetensors.${segment}-1f.tmp`), 'half');
      life = bench.start('resume', id.slice(-6));
    }
    expect((await life.ended).code).toBe(0);
    const id = idOf(1);
    expect(bench.events(id).at(-1)).toMatchObject({ type: 'finished', segment: 2 });
    expect(bench.numbers(id)).toEqual(bench.numbers(idOf(0)));
    expect(bench.events(id).filter(({ type }) => type === 'started')).toHaveLength(3);
    expect(tensorsOf(id)).toEqual(tensorsOf(idOf(0)));
    const left = readdirSync(join(bench.runFolder(id), 'checkpoints'));
    expect(left.toSorted()).toEqual(['best.safetensors', 'last.safetensors']);
  });

  test.runIf(hasSignals)('Ctrl-C writes a checkpoint, stops cleanly and ends with 130', async () => {
    const training = { steps: 1500, evaluateEvery: 500, checkpointEvery: 1500 };
    const file = bench.configure('a', { training });
    const { child, ended } = bench.start('run', file);
    const { id } = await bench.wait(0, stepFrom(100));
    child.kill('SIGINT');
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err).toContain('stopping after a checkpoint');
    expect(err).toContain(`peft-lab resume ${id.slice(-6)}`);
    const end = bench.events(id).at(-1);
    expect(end?.type).toBe('stopped');
    expect(bench.events(id).findLast(({ type }) => type === 'checkpoint')).toMatchObject({
      kind: 'last',
      step: end?.type === 'stopped' ? end.step : 0,
    });
    expect(await states('stopped')).toHaveLength(1);
    // Stopped and resumed is as good as never stopped.
    expect((await bench.run('resume', id.slice(-6))).code).toBe(0);
    expect((await bench.run('run', file)).code).toBe(0);
    expect(bench.numbers(id)).toEqual(bench.numbers(idOf(1)));
  });

  test('saves a checkpoint when it is asked to, from which it goes on when it is killed', async () => {
    const { ended } = bench.start('run', bench.configure('a', endless));
    const { id, event } = await bench.wait(0, stepFrom(10));
    expect(existsSync(join(bench.runFolder(id), 'checkpoints', 'last.safetensors'))).toBe(false);
    const saved = await bench.run('checkpoint', '--json', id);
    expect(saved.code).toBe(0);
    const { runs } = JSON.parse(saved.out) as { runs: { id: string; step: number; path: string; reason: null }[] };
    const [{ step } = { step: 0 }] = runs;
    expect(runs).toEqual([{ id, step, path: 'checkpoints/last.safetensors', reason: null }]);
    expect(step).toBeGreaterThanOrEqual(event.type === 'step' ? event.step : 0);
    expect(bench.events(id).findLast(({ type }) => type === 'checkpoint')).toMatchObject({ kind: 'last', step });
    const again = await bench.run('checkpoint', id.slice(-6));
    expect(again).toMatchObject({ code: 0, out: expect.stringMatching(/checkpoint at step [\d,]+\n$/) as unknown });

    const started = bench.events(id).findLast((one) => one.type === 'started');
    process.kill(started?.processId ?? 0, 'SIGKILL');
    expect((await ended).code).toBe(1);
    const late = await bench.run('checkpoint', id);
    expect(late).toMatchObject({ code: 2, out: '' });
    expect(late.err).toContain(`the run ${id} has ended already: it is interrupted`);
    const last = bench.events(id).findLast((one) => one.type === 'checkpoint');
    const resumed = bench.start('resume', id);
    await bench.wait(0, (one) => one.segment === 1 && one.type === 'step');
    expect(bench.events(id).findLast((one) => one.type === 'started')).toMatchObject({
      fromStep: (last?.step ?? 0) + 1,
    });
    await bench.run('stop', id);
    await resumed.ended;
  });

  test('goes on with nothing but its own checkpoint, model and data, and says which is another', async () => {
    const { ended } = bench.start('run', bench.configure('a', endless));
    const { id } = await bench.wait(0, stepFrom(10));
    expect((await bench.run('stop', id)).code).toBe(0);
    await ended;
    const resume = async (): Promise<string> => {
      const { code, err } = await bench.run('resume', id);
      expect(code).toBe(2);
      expect(err).not.toMatch(/^\s+at /m);
      return err;
    };
    const data = join(bench.folder, 'data', 'train.tsv');
    const texts = readFileSync(data);
    writeFileSync(data, tinySentences(63, 0));
    expect(await resume()).toContain('the data are no longer those that the run was trained with up to step');
    writeFileSync(data, texts);

    const checkpoint = join(bench.runFolder(id), 'checkpoints', 'last.safetensors');
    const whole = readFileSync(checkpoint);
    writeFileSync(checkpoint, whole.subarray(0, -4));
    const damaged = await resume();
    expect(damaged).toContain(`${checkpoint}: is truncated`);
    expect(damaged).toContain('Without that file the run begins again at its first step.');
    writeFileSync(checkpoint, whole);

    const life = bench.start('resume', id);
    await bench.wait(0, (event) => event.segment === 3 && event.type === 'step');
    expect((await bench.run('stop', id)).code).toBe(0);
    await life.ended;
    const from = bench.events(id).flatMap((event) => (event.type === 'started' ? [event.fromStep] : []));
    expect(from).toHaveLength(2);
    expect(from[1]).toBeGreaterThan(10);
  });

  test('a checkpoint that cannot be written is told as such, and the last one stays', async () => {
    const training = { steps: 3000, evaluateEvery: 3000, checkpointEvery: 3000 };
    const { ended } = bench.start('run', bench.configure('a', { training }));
    const { id } = await bench.wait(0, stepFrom(10));
    expect((await bench.run('stop', id)).code).toBe(0);
    await ended;
    const checkpoints = join(bench.runFolder(id), 'checkpoints');
    mkdirSync(join(checkpoints, 'best.safetensors'));
    const before = tensorsOf(id);
    const { code, err } = await bench.run('resume', id);
    expect(code).toBe(2);
    expect(err).toContain(`${join(checkpoints, 'best.safetensors')}: is a folder, not a file`);
    expect(err).not.toMatch(/^\s+at /m);
    expect(tensorsOf(id)).toEqual(before);
    expect(readdirSync(checkpoints).toSorted()).toEqual(['best.safetensors', 'last.safetensors']);
  });

  test.runIf(hasSignals)('the second Ctrl-C leaves at once, and the trainer goes on', async () => {
    const { child, ended } = bench.start('run', bench.configure('a', endless));
    const { id, event } = await bench.wait(0, (each) => each.type === 'started');
    // A trainer that is stopped dead can't write its checkpoint.
    const trainer = event.type === 'started' ? event.processId : 0;
    process.kill(trainer, 'SIGSTOP');
    child.kill('SIGINT');
    child.kill('SIGINT');
    await new Promise((wake) => setTimeout(wake, 300));
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    process.kill(trainer, 'SIGCONT');
    await bench.wait(0, (each) => each.type === 'stopped');
    expect(runsIn(await bench.run('ls', '--json'))).toMatchObject([{ id, state: 'stopped' }]);
  });

  test('without the command line the trainer goes on, is listed, adopted, and stopped by another', async () => {
    const { child, ended } = bench.start('run', bench.configure('a', endless));
    const { id, event } = await bench.wait(0, (each) => each.type === 'started');
    const trainer = event.type === 'started' ? event.processId : 0;
    child.kill('SIGKILL');
    expect((await ended).signal).toBe('SIGKILL');
    const before = bench.events(id).length;
    await bench.wait(0, (each) => each.type === 'step' && each.seq > before + 50);
    expect(await states('running')).toMatchObject([{ id }]);
    const refused = await bench.run('rm', id);
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toContain('Stop it first');
    const stopped = await bench.run('stop', id.slice(-6), '--json');
    expect(stopped.code).toBe(0);
    expect(runsIn(stopped)).toMatchObject([{ id, state: 'stopped' }]);
    await gone(trainer);
    expect(statSync(join(bench.runFolder(id), 'checkpoints', 'last.safetensors')).size).toBeGreaterThan(0);
    const folder = bench.runFolder(id);
    expect((await bench.run('rm', id)).code).toBe(0);
    expect(existsSync(folder)).toBe(false);
    expect(runsIn(await bench.run('ls', '--json'))).toEqual([]);
  });

  test('when the terminal is closed all runs go on, those that wait too', async () => {
    const file = bench.configure('a', { training: { steps: 300 }, matrix: { method: ['head', 'bitfit'] } });
    const { child, ended } = bench.start('run', file);
    await bench.wait(0, (each) => each.type === 'started');
    child.kill('SIGHUP');
    const { code, err } = await ended;
    expect(code).toBe(129);
    expect(err).toContain('go on in the background');
    await bench.wait(1, (each) => each.type === 'finished');
    expect(await states('finished')).toHaveLength(2);
  });

  test('a new run of which a power cut left only its configuration waits, and is trained', async () => {
    const file = bench.configure('a', { training: { steps: 20 } });
    const planned = await planRuns(loadConfiguration(join(bench.folder, file), installedCatalogue), [], bench.folder);
    const [id = ''] = await submitRuns(openWorkspace(bench.folder), planned);
    for (const name of ['marks.jsonl', 'environment.json']) writeFileSync(join(bench.runFolder(id), name), '');
    expect(await states('queued')).toMatchObject([{ id }]);
    expect((await bench.run('supervise')).code).toBe(0);
    expect(bench.events(id).at(-1)?.type).toBe('finished');
    expect(bench.events(id)).toContainEqual(expect.objectContaining({ type: 'log', level: 'warning' }));
    expect(readEnvironment(bench.runFolder(id)).model?.digest).toMatch(/^sha256:/);
  });

  test('detached runs are trained one after the other while nobody watches', async () => {
    const file = bench.configure('a', { training: { steps: 20 }, matrix: { method: ['head', 'bitfit'] } });
    const { code, out } = await bench.run('run', file, '--detach');
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toEqual(bench.ids());
    await bench.wait(1, (each) => each.type === 'finished');
    expect(await states('finished')).toHaveLength(2);
    const logs = await bench.run('logs', '-f', 'latest');
    expect(logs.out).toContain('finished after');
    expect((await bench.run('logs', 'latest', '--json')).out.trim().split('\n')).toHaveLength(
      bench.events(idOf(1)).length,
    );
  });
});
