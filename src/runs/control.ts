import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseJson, readIfThere, removeFile, writeAtomically } from './files.ts';

/** What others want of a running trainer. It looks between steps. */
const controlSchema = z.object({
  /** End soon: write a checkpoint, then stop. */
  stop: z.boolean().default(false),
  /** Grows with each wish for a checkpoint. */
  checkpoint: z.int().nonnegative().default(0),
});

export type Control = z.output<typeof controlSchema>;

const nothingWanted: Control = { stop: false, checkpoint: 0 };

function controlFile(folder: string): string {
  return join(folder, 'control.json');
}

/** The wishes that stand. A file that cannot be read holds none. */
export function readControl(folder: string): Control {
  const parsed = controlSchema.safeParse(parseJson(readIfThere(controlFile(folder)) ?? ''));
  return parsed.success ? parsed.data : nothingWanted;
}

/** Asks the trainer to write a checkpoint and stop. @throws DiskFullError */
export function wishStop(folder: string): void {
  writeAtomically(controlFile(folder), JSON.stringify({ ...readControl(folder), stop: true }));
}

/** Asks the trainer to write a checkpoint and go on. @throws DiskFullError */
export function wishCheckpoint(folder: string): void {
  const { checkpoint, ...others } = readControl(folder);
  writeAtomically(controlFile(folder), JSON.stringify({ ...others, checkpoint: checkpoint + 1 }));
}

/** Forgets the wishes of the run's last life, before its next one begins. */
export function clearControl(folder: string): void {
  removeFile(controlFile(folder));
}

/** A wish as a trainer meets it: `checkpoint` is true once for each wish, `stop` from the wish on. */
export interface Wishes {
  readonly stop: boolean;
  readonly checkpoint: boolean;
}

/** Looks for wishes at the price of one `stat` while nothing changes. */
export function watchControl(folder: string): () => Wishes {
  const file = controlFile(folder);
  let seen = '';
  let control = nothingWanted;
  let answered = 0;
  return () => {
    const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
    const version = stats === undefined ? '' : `${stats.mtimeNs} ${stats.ino} ${stats.size}`;
    if (version !== seen) {
      seen = version;
      control = stats === undefined ? nothingWanted : readControl(folder);
    }
    const checkpoint = control.checkpoint > answered;
    answered = Math.max(answered, control.checkpoint);
    return { stop: control.stop, checkpoint };
  };
}
