import * as z from 'zod/mini';
import { view } from './compare/messages.ts';
import { planInputs } from './plan/messages.ts';

/**
 * What host and webview say to each other. Both panels share the envelope: the host sends changes of its feed (feed.ts) and
 * answers to questions, the webview says that it listens, pulls what it missed, asks, and asks for commands. Each side checks
 * what it hears: a webview shows texts that come from files, and a host of another version may talk to a restored panel.
 */

const revision = z.int().check(z.nonnegative());
const name = z.string().check(z.minLength(1), z.maxLength(200));

/** The form of a run's id; nothing else may ever become part of a path. */
export const runId = z.string().check(z.regex(/^\d{8}-\d{9}-[0-9a-hjkmnp-tv-z]{6}$/));

// Host to webview

const changes = z.object({
  type: z.literal('changes'),
  feed: name,
  from: revision,
  revision,
  changed: z.array(z.tuple([z.string(), z.unknown()])),
  removed: z.array(z.string()),
});

const answer = z.object({ type: z.literal('answer'), id: revision, value: z.unknown() });

const refused = z.object({ type: z.literal('refused'), id: revision, message: z.string() });

export const hostMessage = z.discriminatedUnion('type', [changes, answer, refused]);

export type HostMessage = z.infer<typeof hostMessage>;

// Webview to host

/** The webview listens; it has nothing yet. */
const ready = z.strictObject({ type: z.literal('ready') });

const pull = z.strictObject({ type: z.literal('pull'), feed: name, since: revision });

/** A defect in the webview, for the host's log. */
const problem = z.strictObject({ type: z.literal('problem'), message: z.string().check(z.maxLength(10_000)) });

/** What the page of every panel says. */
export type CommonMessage = z.infer<typeof ready> | z.infer<typeof pull> | z.infer<typeof problem>;

const step = z.int().check(z.nonnegative());

const curveQuery = z.strictObject({
  metric: name,
  fromStep: z.optional(step),
  toStep: z.optional(step),
  points: z.int().check(z.minimum(4), z.maximum(10_000)),
  /** The weight of the past in the moving average. */
  smoothing: z.optional(z.number().check(z.minimum(0), z.lt(1))),
});

const question = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('curves'), queries: z.array(curveQuery).check(z.maxLength(200)) }),
  z.strictObject({
    kind: z.literal('log'),
    after: z.optional(z.strictObject({ segment: revision, seq: revision })),
    limit: z.int().check(z.minimum(1), z.maximum(5000)),
  }),
  z.strictObject({ kind: z.literal('privacy') }),
  z.strictObject({ kind: z.literal('localCurves'), points: z.int().check(z.minimum(4), z.maximum(10_000)) }),
  z.strictObject({ kind: z.literal('audit') }),
]);

export type Question = z.infer<typeof question>;

const ask = z.strictObject({ type: z.literal('ask'), id: revision, question });

/** What a panel can ask the editor to do, all of it by name. */
export const runCommands = ['stop', 'resume', 'clone', 'logs', 'reveal', 'configuration'] as const;

const runCommand = z.strictObject({ type: z.literal('command'), command: z.enum(runCommands) });

/** One of the files that the host listed, by its path below the run's folder. */
const revealFile = z.strictObject({ type: z.literal('revealFile'), path: z.string().check(z.maxLength(1000)) });

export const runPanelMessage = z.discriminatedUnion('type', [ready, pull, ask, problem, runCommand, revealFile]);

export type RunCommand = (typeof runCommands)[number];

const openRun = z.strictObject({ type: z.literal('openRun'), run: runId });

const exportComparison = z.strictObject({ type: z.literal('export') });

/** How the panel looks at the comparison, for an export that shows the same. */
const viewed = z.strictObject({ type: z.literal('view'), view });

export const comparePanelMessage = z.discriminatedUnion('type', [
  ready,
  pull,
  problem,
  openRun,
  viewed,
  exportComparison,
]);

const planned = z.strictObject({ type: z.literal('plan'), inputs: planInputs });

/** The last plan, as the member of a configuration on the clipboard, or as a whole configuration in a new file. */
const copyPlan = z.strictObject({ type: z.literal('copyPlan') });
const openPlan = z.strictObject({ type: z.literal('openPlan') });

/** What the planner was opened with while it was open is shown, and kept by the page. */
const tookAsked = z.strictObject({ type: z.literal('tookAsked'), count: revision });

export const planPanelMessage = z.discriminatedUnion('type', [
  ready,
  pull,
  problem,
  planned,
  copyPlan,
  openPlan,
  tookAsked,
]);

// What a page is made with

/** Written into the page as JSON, so that it can show texts before the first message. */
export const pageSetup = z.object({
  strings: z.record(z.string(), z.string()),
  /** BCP 47. */
  locale: z.string(),
  /** What the editor keeps of the panel over a restart: which one it is. */
  identity: z.record(z.string(), z.unknown()),
});

export type PageSetup = z.infer<typeof pageSetup>;
