import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { bytes, counted, duration, grouped, moment, percent, score } from '../base/format.ts';
import { isRecord } from '../base/is-record.ts';
import { methodShare } from '../base/method-share.ts';
import { findRun, readEnvironment, runFolder } from '../runs/run-folder.ts';
import { runState, type RunStatus } from '../runs/run-state.ts';
import type { EvaluationRow, SplitMetrics } from '../store/derive.ts';
import type { RunDetail } from '../store/run-detail.ts';
import { readWorkspace, withStore, type App } from './app.ts';
import { facts, plainLines, printJson, table } from './output.ts';
import { withPresentState } from '../store/present-state.ts';
import { progress, title } from '../store/run-text.ts';
import { detailOf, listed, type ListedRun } from './runs.ts';

interface RunFile {
  /** Relative to the run's folder. */
  readonly path: string;
  readonly bytes: number;
}

/** What `look` finds; nothing where the system refuses, as for a link to itself or another user's folder. */
function ifReadable<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** The files below a folder. Links to folders are not followed: they may lead in circles. */
function filesOf(folder: string, below = ''): readonly RunFile[] {
  const entries = ifReadable(() => readdirSync(join(folder, below), { withFileTypes: true })) ?? [];
  return entries.flatMap((entry): readonly RunFile[] => {
    const path = join(below, entry.name);
    if (entry.isDirectory()) return filesOf(folder, path);
    const stat = ifReadable(() => statSync(join(folder, path)));
    return stat?.isFile() === true ? [{ path, bytes: stat.size }] : [];
  });
}

function metricNames(rows: readonly { readonly metrics: EvaluationRow['metrics'] }[]): readonly string[] {
  const names = new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)));
  return [...names].sort((a, b) => Number(b === 'score') - Number(a === 'score'));
}

function standing(name: string, at: SplitMetrics | null): string {
  if (at === null) return '';
  const rows = Object.entries(at.splits).map(([split, metrics]) => ({ split, metrics }));
  const lines = table(rows, [
    { title: name, cell: ({ split }) => split },
    ...metricNames(rows).map((metric) => ({
      title: metric,
      cell: ({ metrics }: (typeof rows)[number]) => score(metrics[metric]),
      align: 'right' as const,
    })),
  ]);
  return `\n${lines.replace(/\n/, `   at step ${at.step}\n`)}`;
}

function evaluations(run: RunDetail, width: number | undefined): string {
  const rows = run.evaluations;
  if (rows.length === 0) return '';
  const shown = rows.length > 20 ? rows.slice(-20) : rows;
  const left = rows.length - shown.length;
  const text = table(
    shown,
    [
      { title: 'step', cell: ({ step }) => grouped(step), align: 'right' },
      { title: 'epoch', cell: ({ epoch }) => epoch?.toFixed(2) ?? '-', align: 'right' },
      { title: 'split', cell: ({ split }) => split },
      ...metricNames(shown).map((metric) => ({
        title: metric,
        cell: ({ metrics }: EvaluationRow) => score(metrics[metric]),
        align: 'right' as const,
      })),
      { title: 'loss', cell: ({ loss }) => loss?.toFixed(4) ?? '-', align: 'right' },
      { title: 'seconds', cell: ({ seconds }) => seconds?.toFixed(1) ?? '-', align: 'right', drops: 1 },
      { title: '', cell: ({ best }) => (best ? 'best' : ''), drops: 2 },
    ],
    width,
  );
  const uncovered =
    run.config?.privacy === undefined
      ? ''
      : '  epsilon does not cover these scores, unless the data that they are on are public\n';
  return `\nEvaluations${left > 0 ? ` (the last ${shown.length} of ${rows.length})` : ''}\n${uncovered}${text}`;
}

/** The settings of a configuration, one a line by dotted path. */
function settings(config: RunDetail['config']): string {
  const lines: (readonly [string, string])[] = [];
  const visit = (value: unknown, path: string): void => {
    if (isRecord(value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, path === '' ? key : `${path}.${key}`);
    } else lines.push([path, typeof value === 'string' ? value : JSON.stringify(value)]);
  };
  visit(config ?? {}, '');
  return facts(lines, '  ');
}

function environment(folder: string): string {
  try {
    const { version, node, packages, host, system, hardware, git, origin, model, data } = readEnvironment(folder);
    const dirty = git?.dirty === true ? ', with changes' : '';
    return facts(
      [
        ['peft-lab', version],
        ['node', node],
        ...Object.entries(packages),
        ['machine', `${host}: ${hardware.cpu}, ${counted(hardware.cores, 'core')}, ${bytes(hardware.memoryBytes)}`],
        ['system', `${system.platform} ${system.release} ${system.arch}`],
        ['commit', git === null ? 'no repository' : `${git.commit.slice(0, 12)} ${git.branch ?? ''}${dirty}`],
        [
          'made from',
          origin === undefined
            ? undefined
            : [origin.file, ...origin.overrides.map((each) => `--set ${each}`)].join(' '),
        ],
        ['model', model === undefined ? undefined : `${model.digest.slice(0, 23)}…`],
        ['data', data === undefined ? undefined : `${data.digest.slice(0, 23)}…`],
      ],
      '  ',
    );
  } catch (error) {
    return `  ${plainLines(messageOf(error))}\n`;
  }
}

function trainedText(parameters: NonNullable<RunDetail['parameters']>): string {
  const { method, head, total } = parameters;
  const share = methodShare(parameters);
  const ofFrozen = share === undefined ? '' : ` (${percent(share, 1)} of the frozen weights)`;
  return `${grouped(total)} parameters\n${grouped(method)} of the method${ofFrozen}, ${grouped(head)} of the head`;
}

function head(run: ListedRun & RunDetail): string {
  const { parameters, failure, note } = run;
  const [segment] = run.segmentDetails.slice(-1);
  const device =
    segment?.provider === undefined || segment.provider === null
      ? undefined
      : `${segment.provider}${segment.threads === null ? '' : `, ${counted(segment.threads, 'thread')}`}${segment.deviceReason === null ? '' : ` (${segment.deviceReason})`}`;
  return facts([
    ['run', run.id],
    [
      'state',
      `${run.state}${run.starred ? ' ★' : ''}${run.state === 'failed' || run.state === 'interrupted' ? '' : ` ${progress(run)}`}`,
    ],
    [run.state === 'failed' ? 'failure' : 'reason', failure?.message ?? undefined],
    ['name', title(run)],
    ['tags', run.tags.join(' ')],
    ['note', note],
    ['model', run.model ?? '-'],
    ['task', run.task ?? '-'],
    ['method', run.method ?? '-'],
    ['seed', run.seed === null ? '-' : String(run.seed)],
    ['trained', parameters === null ? undefined : trainedText(parameters)],
    [
      'score',
      run.score === null
        ? undefined
        : run.bestStep === null
          ? `${score(run.lastScore)} at the last evaluation`
          : `${score(run.score)} at step ${run.bestStep}; last ${score(run.lastScore)}`,
    ],
    ['epsilon', run.epsilon === null ? undefined : run.epsilon.toPrecision(4)],
    [
      'training',
      run.step === null
        ? undefined
        : `step ${grouped(run.step)} of ${grouped(run.totalSteps ?? 0)}, epoch ${run.epoch?.toFixed(2) ?? '-'}, loss ${run.loss?.toFixed(4) ?? '-'}`,
    ],
    [
      'speed',
      run.examplesPerSecond === null
        ? undefined
        : `${run.examplesPerSecond.toFixed(0)} examples/s${run.trainSeconds === null ? '' : `, ${duration(run.trainSeconds * 1000)} of training`}${run.peakBytes === null ? '' : `, at most ${bytes(run.peakBytes)} of memory`}`,
    ],
    ['device', device],
    ['created', run.createdAt === null ? undefined : moment(run.createdAt)],
    [
      'started',
      run.startedAt === null
        ? undefined
        : `${moment(run.startedAt)}${run.segments > 1 ? `, ${run.segments} times` : ''}`,
    ],
    ['ended', run.endedAt === null ? undefined : moment(run.endedAt)],
  ]);
}

function diagnostics(run: RunDetail): string {
  if (run.diagnosticDetails.length === 0) return '';
  const lines = run.diagnosticDetails.map(
    ({ file, position, problem }) => `  ${file} at byte ${position}: ${problem}\n`,
  );
  return `\nLines that could not be read\n${plainLines(lines.join(''))}`;
}

function files(run: ListedRun & RunDetail, all: readonly RunFile[]): string {
  const steps = new Map(run.checkpoints.map(({ path, kind, step }) => [path, `${kind}, step ${step ?? '-'}`]));
  const lines = all.map(({ path, bytes: size }): readonly [string, string] => [
    path,
    [bytes(size), steps.get(path.replaceAll('\\', '/')) ?? ''].filter((part) => part !== '').join('  '),
  ]);
  return `\nFiles in ${run.folder}\n${facts(lines, '  ')}`;
}

function next(run: RunDetail): string {
  const id = run.id.slice(-6);
  if (run.state === 'stopped' || run.state === 'interrupted' || run.state === 'failed')
    return `\nGo on with: peft-lab resume ${id}\n`;
  return run.state === 'running' ? `\nWatch it with: peft-lab logs -f ${id}\n` : '';
}

/** Who holds the run; null where its files cannot be read, which `failure` then tells. */
function holderOf(folder: string): RunStatus['holder'] | null {
  return ifReadable(() => runState(folder).holder) ?? null;
}

/** `peft-lab show RUN`: all that is known of a run but its curves. */
export async function showCommand(app: App, text: string): Promise<number> {
  const workspace = readWorkspace(app);
  const id = findRun(workspace, text);
  const found = await withStore(app, (store) => detailOf(store, workspace, id));
  const detail = withPresentState(workspace, found);
  const folder = runFolder(workspace, id);
  const all = filesOf(folder);
  const run = { ...listed(workspace, detail), ...detail };
  if (app.json) {
    printJson(app.terminal, { ...run, holder: holderOf(folder), files: all });
    return 0;
  }
  app.terminal.out(
    [
      head(run),
      standing('best', run.best),
      standing('last', run.last),
      evaluations(run, app.terminal.width),
      `\nConfiguration\n${settings(run.config)}`,
      `\nEnvironment\n${environment(folder)}`,
      diagnostics(run),
      files(run, all),
      next(run),
    ].join(''),
  );
  return 0;
}
