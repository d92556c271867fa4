import { every, numberOf, textOf } from './rows.ts';
import type { Database } from './sqlite.ts';

/** Where a log was left off, to go on from there. */
export interface LogPosition {
  readonly segment: number;
  readonly seq: number;
}

export interface LogLine extends LogPosition {
  readonly time: number;
  readonly level: string;
  readonly message: string;
}

export interface LogQuery {
  readonly run: string;
  /** Only what was written after this line. */
  readonly after?: LogPosition;
  /** The newest this many. */
  readonly limit?: number;
}

/** What the trainer logged, oldest first. */
export function logsOf(database: Database, { run, after, limit }: LogQuery): readonly LogLine[] {
  const statement = database.prepare(
    `SELECT segment, seq, time, level, message FROM logs JOIN events USING (run, segment, seq)
     WHERE run = (SELECT key FROM runs WHERE id = ?) AND (segment, seq) > (?, ?)
     ORDER BY segment DESC, seq DESC LIMIT ?`,
  );
  return every(statement, run, after?.segment ?? -1, after?.seq ?? -1, limit ?? -1)
    .map((row) => ({
      segment: numberOf(row, 'segment'),
      seq: numberOf(row, 'seq'),
      time: numberOf(row, 'time'),
      level: textOf(row, 'level'),
      message: textOf(row, 'message'),
    }))
    .reverse();
}
