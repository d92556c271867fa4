import { hostname } from 'node:os';
import { UserError } from '../base/errors.ts';
import type { Catalogue } from './catalogue.ts';
import type { Configuration } from './configuration-schema.ts';
import { clearControl, watchControl } from './control.ts';
import type { Wishes } from './control.ts';
import { DiskFullError } from './files.ts';
import { isTerminal, nextSegment, openJournal } from './journal.ts';
import type { Journal, JournalOptions } from './journal.ts';
import { leaseVariable, sharersVariable } from './launcher.ts';
import { claimLease, leaseFile, releaseLease, renewLease } from './lease.ts';
import type { Lease } from './lease.ts';
import { appendMarks } from './marks.ts';
import { readConfiguration } from './run-folder.ts';

/** What a trainer's process has to do with the world: its configuration, its journal, and the wishes of others. */
export interface TrainerContext {
  readonly folder: string;
  readonly configuration: Configuration;
  readonly journal: Journal;
  /** 0 at the run's first start, one more with each resume. */
  readonly segment: number;
  /** How many runs the device takes at once. */
  readonly sharers: number;
  readonly control: {
    /** What is wanted now: by `control.json`, or by SIGTERM or SIGINT, which ask for a stop. Cheap enough for every step. */
    poll(): Wishes;
  };
  /** Shows that the trainer lives. It does so by itself while the event loop turns; long computations may call this. */
  heartbeat(): void;
  /**
   * Closes the journal, and gives the run free if its end was recorded. If not, the run reads as interrupted once the process is gone.
   * @throws DiskFullError when the last events find no room
   */
  dispose(): void;
}

export interface TrainerContextOptions extends Pick<JournalOptions, 'batchMs' | 'syncMs'> {
  readonly catalogue: Catalogue;
  readonly heartbeatMs?: number;
}

/** The exit code of a trainer that lost its run to another process, which can only happen when a person forced it. */
const lostLease = 75;

/** Takes the run over from the supervisor that started this process, or claims it where a person did. */
function takeLease(folder: string): Lease {
  const given = process.env[leaseVariable];
  const from = given === '' ? undefined : given;
  // What this process starts has no business with the run.
  Reflect.deleteProperty(process.env, leaseVariable);
  const file = leaseFile(folder);
  const claim = claimLease(file, {
    role: 'trainer',
    segment: nextSegment(folder),
    ...(from === undefined ? {} : { from }),
  });
  if (claim.kind === 'held') {
    if (from === undefined) {
      clearControl(folder);
      const segment = claim.lease.segment ?? 0;
      appendMarks(folder, [{ type: 'claimed', segment, launcher: 'none', host: hostname() }]);
    }
    return claim.lease;
  }
  const holder = claim.by?.holder;
  throw new UserError(
    holder === undefined
      ? `the run in ${folder} was given to another process meanwhile`
      : `the run in ${folder} is held by process ${holder.processId} on ${holder.host}`,
    'A run is trained by one process at a time.',
  );
}

/** What the supervisor says of the device's other runs; a run that a person started is alone. */
function takeSharers(): number {
  const given = Number(process.env[sharersVariable]);
  Reflect.deleteProperty(process.env, sharersVariable);
  return Number.isInteger(given) && given > 0 ? given : 1;
}

/**
 * Begins a trainer's life: takes the run's lease, opens a new segment of its journal, reads its configuration, and from then on turns
 * SIGTERM and SIGINT into the wish to stop; a second of either ends the process at once.
 * @throws UserError when another process has the run, or its configuration cannot be used (then also recorded in the journal)
 */
export function openTrainerContext(folder: string, options: TrainerContextOptions): TrainerContext {
  const { catalogue, heartbeatMs = 2000, ...journalOptions } = options;
  const file = leaseFile(folder);
  const lease = takeLease(folder);
  let journal: Journal;
  try {
    journal = openJournal(folder, { ...journalOptions, segment: lease.segment ?? 0 });
  } catch (error) {
    releaseLease(file, lease);
    throw error;
  }

  let ended = false;
  const recording: Journal = {
    ...journal,
    append: (event) => {
      const stamped = journal.append(event);
      if (isTerminal(stamped)) ended = true;
      return stamped;
    },
  };

  let configuration: Configuration;
  try {
    configuration = readConfiguration(folder, catalogue);
  } catch (error) {
    const user = error instanceof UserError;
    if (user) journal.append({ type: 'failed', step: 0, message: error.message, kind: 'user' });
    journal.close();
    if (user) releaseLease(file, lease);
    throw error;
  }

  let signalled = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signalled) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    signalled = true;
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);

  let lastBeat = Date.now();
  const heartbeat = (): void => {
    const now = Date.now();
    if (now - lastBeat < heartbeatMs) return;
    lastBeat = now;
    try {
      if (renewLease(file, lease, now)) return;
    } catch (error) {
      // The disk may have room again before anything is lost; the journal will tell if not.
      if (error instanceof DiskFullError) return;
      throw error;
    }
    process.stderr.write(
      'the run was given to another process, or its folder was moved or deleted; this process ends without a trace\n',
    );
    process.exit(lostLease);
  };
  const beats = setInterval(heartbeat, heartbeatMs).unref();

  const look = watchControl(folder);
  return {
    folder,
    configuration,
    journal: recording,
    segment: journal.segment,
    sharers: takeSharers(),
    control: {
      poll: () => {
        const wishes = look();
        return signalled ? { ...wishes, stop: true } : wishes;
      },
    },
    heartbeat,
    dispose: () => {
      clearInterval(beats);
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
      journal.close();
      if (ended) releaseLease(file, lease);
    },
  };
}
