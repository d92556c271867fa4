import { matchesGlob } from 'node:path';
import { FileError, messageOf, UserError } from '../../base/errors.ts';
import type { ModelPlan } from '../model-graph.ts';
import type { GroupReport } from './compare.ts';
import { findCases, openBase, readInputs, readMeta, type CaseFolder } from './golden-files.ts';
import { mapCase } from './map-case.ts';
import { runCase, type CaseOutcome, type VerifyEngine } from './run-case.ts';
import { mapLayer, runLayer } from './run-layer.ts';

/** What became of one case. */
export type CaseReport = { readonly name: string } & (
  | {
      readonly status: 'passed' | 'failed';
      /** What we built for it. */
      readonly method: ModelPlan['method'];
      readonly groups: readonly GroupReport[];
      /** The greatest error of the groups that are measured relatively; infinite (`null` in JSON) where nothing could be compared. */
      readonly greatestRelativeError: number;
      /** What is wrong beside numbers. */
      readonly problems: readonly string[];
    }
  /** Its base model, method or head is none of ours yet. */
  | { readonly status: 'unsupported'; readonly reason: string }
  /** It could not be read or run. */
  | { readonly status: 'error'; readonly file: string; readonly message: string }
);

export interface VerifyReport {
  readonly folder: string;
  readonly cases: readonly CaseReport[];
  readonly counts: Readonly<Record<CaseReport['status'], number>>;
}

export interface VerifyOptions extends VerifyEngine {
  /** Only the cases whose names match this pattern (`lora_*`). */
  readonly only?: string;
  readonly onCase?: (report: CaseReport) => void;
}

/**
 * Holds our graphs against a folder of golden files (numbers from the methods' own authors' code): every case that uses a base model,
 * method and head that we have is computed from its own start values and compared at the tolerances of {@link tolerances}. Everything
 * is read from the case's own files. What is wrong with one case does not keep the others from being run.
 * @throws FileError when the folder can't be read; UserError when it holds no case, or none that `only` matches
 */
export async function verifyGoldenFolder(folder: string, options: VerifyOptions): Promise<VerifyReport> {
  const { only } = options;
  const all = await findCases(folder);
  const chosen = only === undefined ? all : all.filter(({ name }) => matchesGlob(name, only));
  if (chosen.length === 0) {
    throw new UserError(`none of the ${all.length} cases of ${folder} matches "${only ?? ''}"`);
  }
  const cases: CaseReport[] = [];
  for (const each of chosen) {
    const report = await verifyCase(each, options);
    options.onCase?.(report);
    cases.push(report);
  }
  const count = (status: CaseReport['status']): number => cases.filter((report) => report.status === status).length;
  return {
    folder,
    cases,
    counts: {
      passed: count('passed'),
      failed: count('failed'),
      unsupported: count('unsupported'),
      error: count('error'),
    },
  };
}

async function verifyCase(folder: CaseFolder, engine: VerifyEngine): Promise<CaseReport> {
  const { name } = folder;
  try {
    const read = await readMeta(folder);
    if (read.kind === 'layer') {
      const layer = mapLayer(read.meta);
      if (layer.kind === 'unsupported') return { name, status: 'unsupported', reason: layer.reason };
      return judge(name, layer.method, await runLayer(folder, read.meta, layer, engine));
    }
    const { meta } = read;
    const base = await openBase(folder, meta.base_model);
    if (base.kind === 'unsupported') return { name, status: 'unsupported', reason: base.reason };
    const { config: encoder, hasWordHead } = base.checkpoint;
    const mapping = mapCase({ ...meta, inputs: (await readInputs(folder)).tensors, encoder, hasWordHead });
    if (mapping.kind === 'unsupported') return { name, status: 'unsupported', reason: mapping.reason };
    return judge(name, mapping.method, await runCase(folder, meta, mapping, base.checkpoint, engine));
  } catch (thrown) {
    // A case from outside may break anything, the runtime included; the others still count.
    const file = thrown instanceof FileError ? thrown.file : folder.path;
    return { name, status: 'error', file, message: messageOf(thrown) };
  }
}

function judge(name: string, method: ModelPlan['method'], { groups, problems }: CaseOutcome): CaseReport {
  const passed = problems.length === 0 && groups.length > 0 && groups.every((group) => group.passed);
  const relative = groups.filter(({ measure }) => measure === 'relative').map(({ error }) => error);
  return {
    name,
    status: passed ? 'passed' : 'failed',
    method,
    groups,
    greatestRelativeError: relative.length === 0 ? Infinity : Math.max(...relative),
    problems,
  };
}
