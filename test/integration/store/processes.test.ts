import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { finish, ingest } from '../../../src/store/ingest.ts';
import { connect } from '../../../src/store/sqlite.ts';
import {
  configuration,
  contentOf,
  emptyDatabase,
  evaluation,
  line,
  makeWorkspace,
  segmentOf,
  started,
  step,
  type Workspace,
} from '../../unit/store/workspace.ts';

let workspace: Workspace;
let children: ChildProcess[];

beforeEach(() => {
  workspace = makeWorkspace();
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  workspace.remove();
});

const stopFile = (): string => join(workspace.root, 'stop');

/** Another process that ingests into the same database; resolves when it has opened it. */
async function startIngester(): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('ingest-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, workspace.databasePath, workspace.runsFolder, stopFile()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

function stored(): ReturnType<typeof contentOf> {
  const database = connect(workspace.databasePath, 'wal');
  try {
    return contentOf(database);
  } finally {
    database.close();
  }
}

function expected(): ReturnType<typeof contentOf> {
  const fresh = emptyDatabase();
  try {
    finish(ingest(fresh, workspace.runsFolder));
    return contentOf(fresh);
  } finally {
    fresh.close();
  }
}

/** Three runs' journals: two segments each, the second repeating the end of the first. */
function journals(): Buffer[] {
  return [0, 1, 2].map((run) => {
    const steps = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, at) => step(from + at, run + 1 / (from + at)));
    const first = segmentOf(0, [started(1), ...steps(1, 300), evaluation(300, 0.7)]);
    const second = segmentOf(1, [started(250), ...steps(250, 500), evaluation(500, 0.9)]);
    return Buffer.from([...first, ...second].map(line).join(''));
  });
}

/** Lets the journals grow in pieces of any length, torn lines included, with a breath after each. */
async function grow(seed: number, meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const random = randomStream(seed, 'growth of journals');
  const rests = journals();
  for (const run of rests.keys()) workspace.write(`r${run}`, 'config.json', configuration({ training: { seed: run } }));
  while (rests.some(({ length }) => length > 0)) {
    const run = random.below(rests.length);
    const rest = rests[run] ?? Buffer.alloc(0);
    const length = 1 + random.below(9000);
    workspace.append(`r${run}`, 'journal.jsonl', rest.subarray(0, length).toString('latin1'));
    rests[run] = rest.subarray(length);
    await pause(random.below(4));
    await meanwhile();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

describe('several processes at one database', () => {
  it('two that ingest at once do no harm', async () => {
    const both = await Promise.all([startIngester(), startIngester()]);
    await grow(1);
    writeFileSync(stopFile(), '');
    await Promise.all(both.map(end));
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(stored()).toEqual(expected());
    expect(stored().points?.length).toBe(3 * (551 * 5 + 2 * 3));
  });

  it('one killed at any instant loses and doubles nothing', async () => {
    const random = randomStream(2, 'instants');
    let child = await startIngester();
    let kills = 0;
    await grow(2, async () => {
      if (random.below(8) !== 0) return;
      await pause(random.below(5));
      child.kill('SIGKILL');
      kills++;
      await end(child);
      child = await startIngester();
    });
    writeFileSync(stopFile(), '');
    await end(child);
    expect(kills).toBeGreaterThan(3);
    expect(stored()).toEqual(expected());
  });
});
