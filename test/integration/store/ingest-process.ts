import { existsSync } from 'node:fs';
import { openStore } from '../../../src/store/store.ts';

/** Ingests again and again until the file `stop` exists, then once more. Arguments: database, folder of runs, stop. */
const [path = '', runsFolder = '', stop = ''] = process.argv.slice(2);
const store = await openStore({ path, journalMode: 'wal', runsFolder, onNotice: (message) => console.log(message) });
console.log('ready');
for (let last = false; !last;) {
  last = existsSync(stop);
  await store.ingest();
}
await store.close();
