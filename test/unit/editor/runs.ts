import type { RunSummary } from '../../../src/store/summaries.ts';

/** A run that finished, with what the test cares about. */
export function aRun(id: string, changes: Partial<RunSummary> = {}): RunSummary {
  return {
    id,
    state: 'finished',
    name: null,
    model: 'someone/model',
    task: 'sst2',
    method: 'lora',
    seed: 0,
    tags: [],
    note: '',
    starred: false,
    parameters: { method: 1024, head: 66, total: 1090, frozen: 43_936 },
    score: 0.75,
    bestStep: 40,
    lastScore: 0.75,
    epsilon: null,
    step: 40,
    totalSteps: 40,
    epoch: 1,
    loss: 0.5,
    examplesPerSecond: 100,
    remainingMs: null,
    peakBytes: 1e9,
    trainSeconds: 12,
    provider: 'cpu',
    host: 'here',
    segments: 1,
    diagnostics: 0,
    createdAt: 1,
    startedAt: 2,
    updatedAt: 3,
    endedAt: 3,
    failure: null,
    sweep: null,
    label: {},
    ...changes,
  };
}

/** Text that means something to HTML, Markdown, icons, links and terminals. */
export const hostile =
  '<img src=x onerror=alert(1)> [x](command:workbench.action.quit) $(bug) `code` **bold** | \u202eesrever\u202c \u0007 https://a.example a@b.example ![i](http://x.example/i.png)';
