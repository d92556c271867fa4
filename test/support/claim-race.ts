import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { claimLease } from '../../src/runs/lease.ts';

/** `claim-race.ts FOLDER NAME...`: claims all these leases as fast as it can once `go` appears, and prints the names of those it got. */
const [folder = '', ...files] = process.argv.slice(2);
process.stdout.write('ready\n');
while (!existsSync(join(folder, 'go'))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
for (const name of files)
  if (claimLease(join(folder, name), { role: 'trainer' }).kind === 'held') process.stdout.write(`${name}\n`);
process.stdout.write('done\n');
// Whoever ends early is dead, and the others may rightly have what it held.
process.stdin.resume();
