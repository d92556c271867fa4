import { closeSync, linkSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  asDiskFull,
  errorCode,
  nonce,
  parseJson,
  readIfThere,
  temporaryName,
  writeAtomically,
  writeFully,
} from './files.ts';
import { ownIdentity, processIdentity, processState } from './process-identity.ts';
import type { ProcessIdentity, ProcessState } from './process-identity.ts';

/**
 * Who may write a run. A lease is created exclusively, so of many that want it one gets it; it names the process that holds it, so that
 * everybody can see whether the holder lives. It changes hands only through a will: a file, again created exclusively, that is named
 * after the lease which it succeeds. So of many that find a holder dead, one becomes the next; and a dead lease that was succeeded once
 * can never be succeeded again.
 */

const leaseSchema = z.object({
  /** Names this holding; a successor has another. */
  nonce: z.string().regex(/^[0-9a-f]{16}$/),
  /** A supervisor holds it until its trainer does. `lock` is for what is no run. */
  role: z.enum(['supervisor', 'trainer', 'lock']),
  /** It was taken from a dead holder of that role for a moment, to record what became of it; the run is as dead as before. */
  tidy: z.literal(true).optional(),
  holder: processIdentity,
  /** Milliseconds since 1970. */
  claimed: z.number(),
  heartbeat: z.number(),
  /** The journal segment that a trainer writes. */
  segment: z.int().nonnegative().optional(),
});

export type Lease = z.output<typeof leaseSchema>;

export type LeaseState = ProcessState;

export function leaseFile(folder: string): string {
  return join(folder, 'lease.json');
}

function willFile(file: string, predecessor: Lease): string {
  return `${file}.${predecessor.nonce}.next`;
}

/** A lease that cannot be read is being written right now, or its writer died over it. */
const unreadableIsDeadAfterMs = 5000;

type Found = Lease | 'unreadable' | undefined;

function readOne(file: string): Found {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  const parsed = leaseSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : 'unreadable';
}

function readCurrent(file: string): Found {
  let lease = readOne(file);
  while (lease !== undefined && lease !== 'unreadable') {
    const next = readOne(willFile(file, lease));
    if (next === undefined || next === 'unreadable') return lease;
    lease = next;
  }
  return lease;
}

/** The lease that is in force, if any, whether or not its holder lives. */
export function readLease(file: string): Lease | undefined {
  const found = readCurrent(file);
  return found === 'unreadable' ? undefined : found;
}

/** Whether the holder of a lease lives. */
export function leaseState(lease: Lease): LeaseState {
  return processState(lease.holder);
}

/** Creates a file with its whole content, or tells that there is one. */
function createExclusively(file: string, content: string): boolean {
  const temporary = temporaryName(file);
  try {
    writeFileSync(temporary, content, { flag: 'wx' });
    try {
      linkSync(temporary, file);
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      if (errorCode(error) === 'ENOENT') throw error;
      // No hard links here: readers may for a moment see the file without its content.
      return createDirectly(file, content);
    }
  } catch (error) {
    throw asDiskFull(error, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function createDirectly(file: string, content: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx');
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    writeFully(descriptor, Buffer.from(content));
  } finally {
    closeSync(descriptor);
  }
  return true;
}

export interface ClaimOptions {
  readonly role: Lease['role'];
  readonly tidy?: true;
  readonly segment?: number;
  /** The nonce of a living lease whose holder hands it over to this process. */
  readonly from?: string;
  /** Take it over even where the holder is on another host or cannot be told; only a person can know that this is right. */
  readonly force?: boolean;
  readonly holder?: ProcessIdentity;
  readonly now?: () => number;
}

/** What a claim came to: the lease, or who has it instead. */
export type Claim =
  | { readonly kind: 'held'; readonly lease: Lease; readonly before: Lease | undefined }
  | { readonly kind: 'taken'; readonly by: Lease | undefined; readonly state: LeaseState };

function removeOldUnreadable(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats !== undefined && Date.now() - stats.mtimeMs > unreadableIsDeadAfterMs) rmSync(file, { force: true });
}

/**
 * Tries once to get a lease: where there is none, where the holder is dead, or where the holder hands it over (`from`).
 * @throws DiskFullError
 */
export function claimLease(file: string, options: ClaimOptions): Claim {
  const now = (options.now ?? Date.now)();
  const lease: Lease = {
    nonce: nonce(),
    role: options.role,
    ...(options.tidy === undefined ? {} : { tidy: options.tidy }),
    holder: options.holder ?? ownIdentity(),
    claimed: now,
    heartbeat: now,
    ...(options.segment === undefined ? {} : { segment: options.segment }),
  };
  const content = JSON.stringify(lease);
  let before = readCurrent(file);
  if (before === 'unreadable') {
    removeOldUnreadable(file);
    before = readCurrent(file);
    if (before === 'unreadable') return { kind: 'taken', by: undefined, state: 'unknown' };
  }
  if (before === undefined) {
    if (options.from === undefined && createExclusively(file, content))
      return { kind: 'held', lease, before: undefined };
    return taken(file);
  }
  const state = leaseState(before);
  const mayTake =
    before.nonce === options.from || (options.from === undefined && (state === 'dead' || options.force === true));
  if (!mayTake) return { kind: 'taken', by: before, state };
  const will = willFile(file, before);
  if (!createExclusively(will, content)) return taken(file);
  // Someone may have succeeded the same lease and cleared its will away between our reading and our own will.
  if (readLease(file)?.nonce !== lease.nonce) {
    rmSync(will, { force: true });
    return taken(file);
  }
  writeAtomically(file, content);
  rmSync(will, { force: true });
  return { kind: 'held', lease, before };
}

function taken(file: string): Claim {
  const by = readLease(file);
  return { kind: 'taken', by, state: by === undefined ? 'unknown' : leaseState(by) };
}

/** Shows that the holder lives. @returns false when the lease is no longer this one, which then must not be used any more */
export function renewLease(file: string, lease: Lease, now: number = Date.now()): boolean {
  if (readLease(file)?.nonce !== lease.nonce) return false;
  writeAtomically(file, JSON.stringify({ ...lease, heartbeat: now }), { sync: false });
  return true;
}

/** Gives a lease back. One that another holds by now is left alone. */
export function releaseLease(file: string, lease: Lease): void {
  if (readLease(file)?.nonce === lease.nonce) rmSync(file, { force: true });
}
