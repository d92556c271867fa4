import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import { leaseFile, readLease, type Lease } from '../../src/runs/lease.ts';
import { processExists, signalGroup } from '../../src/runs/process-identity.ts';
import { runFolder, workspaceAt } from '../../src/runs/run-folder.ts';

function endAtOnce({ holder }: Lease): void {
  signalGroup(holder, 'kill');
  // A short wait that gives nobody the time to look.
  for (const end = Date.now() + 10_000; processExists(holder.processId) && Date.now() < end;) continue;
}

/** As if the machine had lost its power and come back: the supervisor and the run's trainer are gone, and their leases name another boot. */
export function restartMachine(folder: string, run: string): void {
  const workspace = workspaceAt(folder);
  const files = [join(workspace.peft, 'supervisor.json'), leaseFile(runFolder(workspace, run))];
  for (const file of files) {
    const lease = readLease(file);
    if (lease !== undefined) endAtOnce(lease);
  }
  for (const file of files) {
    const lease = readLease(file);
    if (lease === undefined) throw new Error(`${file} is not there: nobody was at work`);
    const text = JSON.stringify({ ...lease, holder: { ...lease.holder, bootId: 'the-boot-before-this-one' } });
    writeFileSync(file, text);
    if (readFileSync(file, 'utf8') !== text) throw new Error(`${file} was written by somebody else`);
  }
}
