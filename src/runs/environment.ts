import { execFile } from 'node:child_process';
import { arch, availableParallelism, cpus, hostname, platform, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { z } from 'zod';

/** What a set of files was when a run began, so that a change shows: of a model's or a data set's. */
const fingerprint = z.object({
  /** A folder, a hub id, a task's name. */
  source: z.string(),
  /** Hash over the contents, with the name of the hash in front: `sha256:…`. */
  digest: z.string(),
  revision: z.string().optional(),
  bytes: z.number().optional(),
});

export type Fingerprint = z.output<typeof fingerprint>;

/** `environment.json`: what besides the configuration a run's numbers may depend on. Further keys are kept. */
export const environmentSchema = z.looseObject({
  /** When the run was made, ISO 8601. */
  created: z.string(),
  /** Of this program. */
  version: z.string(),
  node: z.string(),
  /** Versions of the packages that compute. */
  packages: z.record(z.string(), z.string()),
  host: z.string(),
  system: z.object({ platform: z.string(), release: z.string(), arch: z.string() }),
  hardware: z.object({ cpu: z.string(), cores: z.int(), memoryBytes: z.number() }),
  /** The state of the configuration's repository; null where it is in none. `dirty` tells of changes to tracked files. */
  git: z.object({ commit: z.string(), branch: z.string().optional(), dirty: z.boolean() }).nullable(),
  /** The configuration file the run was made from, and how: its overrides and what a sweep set. */
  origin: z
    .object({
      file: z.string(),
      overrides: z.array(z.string()),
      label: z.record(z.string(), z.unknown()),
      /** The same for all runs of one sweep. */
      sweep: z.string().optional(),
    })
    .optional(),
  model: fingerprint.optional(),
  data: fingerprint.optional(),
  /** The user has said that the run may spend more than the project's privacy budget. */
  exceedsBudget: z.boolean().optional(),
});

export type Environment = z.output<typeof environmentSchema>;

const execute = promisify(execFile);

async function git(folder: string, ...args: string[]): Promise<string | undefined> {
  try {
    // A repository's own settings must not be able to start programs.
    const { stdout } = await execute('git', ['-C', folder, '-c', 'core.fsmonitor=false', ...args], {
      timeout: 10_000,
      maxBuffer: 64 << 20,
      windowsHide: true,
      env: { ...process.env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
    });
    return stdout.trim();
  } catch {
    return undefined;
  }
}

/** The commit that a folder's repository stands at; null outside of one, before its first commit, or without git. */
export async function gitState(folder: string): Promise<Environment['git']> {
  const commit = await git(folder, 'rev-parse', '--verify', 'HEAD');
  if (commit === undefined) return null;
  const [branch, changes] = await Promise.all([
    git(folder, 'symbolic-ref', '--short', '--quiet', 'HEAD'),
    git(folder, 'status', '--porcelain', '--untracked-files=no'),
  ]);
  // Where git cannot say, the tree is not known to be clean.
  return { commit, ...(branch === undefined ? {} : { branch }), dirty: changes !== '' };
}

export interface EnvironmentFacts {
  /** The folder whose repository counts. */
  readonly folder: string;
  readonly version: string;
  readonly packages: Readonly<Record<string, string>>;
  readonly origin?: Environment['origin'];
  readonly model?: Fingerprint;
  readonly data?: Fingerprint;
  readonly now?: () => number;
}

/** Gathers what `environment.json` holds. No environment variables are among it: they hold secrets. */
export async function collectEnvironment(facts: EnvironmentFacts): Promise<Environment> {
  const { folder, version, packages, origin, model, data, now = Date.now } = facts;
  return {
    created: new Date(now()).toISOString(),
    version,
    node: process.versions.node,
    packages: { ...packages },
    host: hostname(),
    system: { platform: platform(), release: release(), arch: arch() },
    hardware: { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism(), memoryBytes: totalmem() },
    git: await gitState(folder),
    ...(origin === undefined ? {} : { origin }),
    ...(model === undefined ? {} : { model }),
    ...(data === undefined ? {} : { data }),
  };
}
