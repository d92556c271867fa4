import { isRecord } from '../base/is-record.ts';
import type { JournalEvent } from '../runs/events.ts';

/**
 * Reads the lines of `journal.jsonl` and `marks.jsonl`. The validation is light and forgiving: a member that a query needs must
 * have its type, everything else may be absent or new, so that journals of earlier and later versions stay readable.
 */

/** Numbers by name; null where one was NaN or infinite. */
export type Metrics = Readonly<Record<string, number | null>>;

export interface Counts {
  readonly method: number;
  readonly head: number;
  readonly total: number;
  readonly frozen: number | null;
}

interface Stamp {
  readonly segment: number;
  readonly seq: number;
  readonly time: number;
  readonly step: number | null;
  readonly epoch: number | null;
}

export interface StartedRecord extends Stamp {
  readonly type: 'started';
  readonly fromStep: number;
  readonly totalSteps: number | null;
  readonly stepsPerEpoch: number | null;
  readonly trainExamples: number | null;
  readonly processId: number | null;
  readonly parameters: Counts | null;
  readonly provider: string | null;
  readonly threads: number | null;
  readonly deviceReason: string | null;
}

/** A step or a look at the resources: numbers by name. */
export interface NumbersRecord extends Stamp {
  readonly type: 'step' | 'resources';
  readonly values: readonly (readonly [name: string, value: number | null])[];
  readonly remainingMs: number | null;
}

export interface EvaluationRecord extends Stamp {
  readonly type: 'evaluation';
  readonly split: string;
  readonly examples: number | null;
  readonly loss: number | null;
  readonly seconds: number | null;
  readonly best: boolean;
  readonly metrics: Metrics;
}

export interface CheckpointRecord extends Stamp {
  readonly type: 'checkpoint';
  readonly kind: string;
  readonly path: string;
}

export interface LogRecord extends Stamp {
  readonly type: 'log';
  readonly level: string;
  readonly message: string;
}

export interface EndingRecord extends Stamp {
  readonly type: 'finished' | 'stopped' | 'failed';
}

/** The ledger of a private segment; audits read it from the journal itself. */
export interface PrivacyRecord extends Stamp {
  readonly type: 'privacy';
}

export type JournalRecord =
  StartedRecord | NumbersRecord | EvaluationRecord | PrivacyRecord | CheckpointRecord | LogRecord | EndingRecord;

/** Why a line can't be used. */
export interface Unreadable {
  readonly type: 'unreadable';
  readonly problem: string;
}

/** The members of a JSON object. */
export type Members = Readonly<Record<string, unknown>>;

const longestName = 200;

function unreadable(problem: string): Unreadable {
  return { type: 'unreadable', problem };
}

/** A finite number, or null for anything else: JSON has no NaN, and 1e999 parses to infinity. */
export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** A whole number that JavaScript holds exactly, or null for anything else. */
export function integer(value: unknown): number | null {
  return Number.isSafeInteger(value) ? (value as number) : null;
}

/** A whole number from 0, or null for anything else. */
export function count(value: unknown): number | null {
  const found = integer(value);
  return found === null || found < 0 ? null : found;
}

/** A text, or null for anything else. */
export function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function isName(name: string): boolean {
  return name.length > 0 && name.length <= longestName;
}

/** The members of `value` that are numbers, or null where one was NaN or infinite. */
export function metricsOf(value: unknown): Metrics | null {
  if (!isRecord(value)) return null;
  const entries = Object.entries(value).filter(
    ([name, member]) => isName(name) && (member === null || typeof member === 'number'),
  );
  return Object.fromEntries(entries.map(([name, member]) => [name, number(member)]));
}

/** Trained numbers as `started` counts them, or null unless all three of ours are there. */
export function countsOf(value: unknown): Counts | null {
  if (!isRecord(value)) return null;
  const [method, head, total] = [count(value.method), count(value.head), count(value.total)];
  if (method === null || head === null || total === null) return null;
  return { method, head, total, frozen: count(value.frozen) };
}

/** Members of a step that are not numbers to draw. */
const notDrawn: ReadonlySet<string> = new Set(['segment', 'seq', 'time', 'type', 'step', 'epoch', 'remainingMs']);

function valuesOf(event: Members): NumbersRecord['values'] {
  const values: [string, number | null][] = [];
  for (const name in event) {
    if (notDrawn.has(name)) continue;
    const value = event[name];
    if (value === null) values.push([name, null]);
    else if (typeof value === 'number' && isName(name)) values.push([name, number(value)]);
  }
  return values;
}

function readStarted(stamp: Stamp, event: Members): StartedRecord | Unreadable {
  const fromStep = count(event.fromStep);
  if (fromStep === null) return unreadable('"fromStep" is not a step');
  const device = isRecord(event.device) ? event.device : {};
  return {
    ...stamp,
    type: 'started',
    fromStep,
    totalSteps: count(event.totalSteps),
    stepsPerEpoch: count(event.stepsPerEpoch),
    trainExamples: count(event.trainExamples),
    processId: integer(event.processId),
    parameters: countsOf(event.parameters),
    provider: text(device.provider),
    threads: count(device.threads),
    deviceReason: text(device.reason),
  };
}

function readEvaluation(stamp: Stamp, event: Members): EvaluationRecord | Unreadable {
  const [split, metrics] = [text(event.split), metricsOf(event.metrics)];
  if (stamp.step === null) return unreadable('"step" is not a step');
  if (split === null) return unreadable('"split" is not a text');
  if (metrics === null) return unreadable('"metrics" is not an object');
  return {
    ...stamp,
    type: 'evaluation',
    split,
    examples: count(event.examples),
    loss: number(event.loss),
    seconds: number(event.seconds),
    best: event.best === true,
    metrics,
  };
}

function readEvent(type: JournalEvent['type'], stamp: Stamp, event: Members): JournalRecord | Unreadable {
  switch (type) {
    case 'started':
      return readStarted(stamp, event);
    case 'step':
    case 'resources':
      if (stamp.step === null) return unreadable('"step" is not a step');
      return { ...stamp, type, values: valuesOf(event), remainingMs: number(event.remainingMs) };
    case 'evaluation':
      return readEvaluation(stamp, event);
    case 'checkpoint': {
      const [kind, path] = [text(event.kind), text(event.path)];
      if (kind === null || path === null) return unreadable('"kind" or "path" is not a text');
      return { ...stamp, type, kind, path };
    }
    case 'log': {
      const message = text(event.message);
      if (message === null) return unreadable('"message" is not a text');
      return { ...stamp, type, level: text(event.level) ?? 'info', message };
    }
    case 'privacy':
    case 'finished':
    case 'stopped':
    case 'failed':
      return { ...stamp, type };
  }
}

const eventTypes: ReadonlySet<string> = new Set<JournalEvent['type']>([
  'started',
  'step',
  'evaluation',
  'privacy',
  'checkpoint',
  'resources',
  'log',
  'finished',
  'stopped',
  'failed',
]);

function isEventType(type: string): type is JournalEvent['type'] {
  return eventTypes.has(type);
}

/** The JSON value of a text, or undefined where it is not JSON. */
export function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

/** The members of a text that is a JSON object, or null for any other text and for none. */
export function membersOf(document: string | null): Members | null {
  const parsed = document === null ? undefined : parse(document);
  return isRecord(parsed) ? parsed : null;
}

/** Reads one line of a journal. Never throws, whatever the line holds. */
export function readJournalLine(line: string): JournalRecord | Unreadable {
  const event = parse(line);
  if (!isRecord(event)) return unreadable('not a JSON object');
  const [segment, seq, time, type] = [count(event.segment), count(event.seq), number(event.time), text(event.type)];
  if (segment === null) return unreadable('"segment" is not a count');
  if (seq === null) return unreadable('"seq" is not a count');
  if (time === null) return unreadable('"time" is not a number');
  if (type === null || !isEventType(type)) return unreadable('"type" is not one that this version knows');
  const stamp = { segment, seq, time, step: count(event.step), epoch: number(event.epoch) };
  return readEvent(type, stamp, event);
}

/** One line of `marks.jsonl`: what user and supervisor say of a run. Unknown types are kept and have no effect. */
export interface Mark {
  readonly type: string;
  readonly time: number | null;
  /** Every member of the line. */
  readonly members: Members;
}

/** Reads one line of `marks.jsonl`. Never throws, whatever the line holds. */
export function readMarkLine(line: string): Mark | Unreadable {
  const members = parse(line);
  if (!isRecord(members)) return unreadable('not a JSON object');
  const type = text(members.type);
  if (type === null || !isName(type) || type === 'unreadable') return unreadable('"type" is not a name');
  return { type, time: number(members.time), members };
}

/** Whether the line was refused. */
export function isUnreadable(record: { readonly type: string }): record is Unreadable {
  return record.type === 'unreadable';
}
