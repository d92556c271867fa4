import { closeSync, linkSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { insistently } from '../engine/insistently.ts';
import {
  asDiskFull,
  errorCode,
  nonce,
  parseJson,
  readIfThere,
  removeFile,
  temporaryName,
  writeAtomically,
  writeFully,
} from './files.ts';
import { ownIdentity, processIdentity, processState, thisMachine } from './process-identity.ts';
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

/** Where it stands who holds a run. */
export function leaseFile(folder: string): string {
  return join(folder, 'lease.json');
}

/** What lies in the place of a lease. `key` names it, for its successor's will. */
type Found =
  | { readonly kind: 'lease'; readonly key: string; readonly lease: Lease }
  /** It is being written right now, or its writer died over it. */
  | { readonly kind: 'unreadable'; readonly key: string; readonly since: number };

const unreadableIsDeadAfterMs = 5000;

function willFile(file: string, key: string): string {
  return `${file}.${key}.next`;
}

function readOne(file: string): Found | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  const parsed = leaseSchema.safeParse(parseJson(text));
  if (parsed.success) return { kind: 'lease', key: parsed.data.nonce, lease: parsed.data };
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined
    ? undefined
    : { kind: 'unreadable', key: `unreadable-${stats.ino}-${Math.floor(stats.mtimeMs)}`, since: stats.mtimeMs };
}

function readCurrent(file: string): Found | undefined {
  let found = readOne(file);
  while (found !== undefined) {
    const next = readOne(willFile(file, found.key));
    if (next?.kind !== 'lease') return found;
    found = next;
  }
  return undefined;
}

/** The lease that is in force, if any, whether or not its holder lives. */
export function readLease(file: string): Lease | undefined {
  const found = readCurrent(file);
  return found?.kind === 'lease' ? found.lease : undefined;
}

/** Holders show that they live every few seconds; one on the same machine that has not for so long does not. */
const silentIsDeadAfterMs = 60_000;

/**
 * Whether the holder of a lease lives. A process in another container of this machine cannot be seen, but its heartbeat goes by the same
 * clock; so the trainer of a container that was restarted or rebuilt is known for dead. Of other machines silence tells nothing.
 */
export function leaseState(lease: Lease, now: number = Date.now()): LeaseState {
  const state = processState(lease.holder);
  const here = thisMachine().bootId;
  const sameMachine = here !== undefined && lease.holder.bootId === here;
  return state === 'other-host' && sameMachine && now - lease.heartbeat > silentIsDeadAfterMs ? 'dead' : state;
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
    removeFile(temporary);
  }
}

function createDirectly(file: string, content: string): boolean {
  let descriptor: number;
  try {
    descriptor = insistently(() => openSync(file, 'wx'));
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

function mayTake(before: Found, { from, force }: ClaimOptions): boolean {
  if (from !== undefined) return before.key === from;
  if (force === true) return true;
  return before.kind === 'lease'
    ? leaseState(before.lease) === 'dead'
    : Date.now() - before.since > unreadableIsDeadAfterMs;
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
  const before = readCurrent(file);
  if (before === undefined) {
    if (options.from === undefined && createExclusively(file, content))
      return { kind: 'held', lease, before: undefined };
    return taken(file);
  }
  if (!mayTake(before, options)) return taken(file);
  const will = willFile(file, before.key);
  if (!createExclusively(will, content)) return taken(file);
  try {
    // Someone may have succeeded the same lease and cleared its will away between our reading and our own will.
    if (readLease(file)?.nonce !== lease.nonce) return taken(file);
    writeAtomically(file, content);
  } finally {
    removeFile(will);
  }
  return { kind: 'held', lease, before: before.kind === 'lease' ? before.lease : undefined };
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
  if (readLease(file)?.nonce === lease.nonce) removeFile(file);
}
