import * as z from 'zod/mini';
import { makeConnection, type Connection } from './connection.ts';
import { formatsOf, type Formats } from './format.ts';
import { pageSetup } from './protocol.ts';
import { stringsOf, type Strings } from './strings.ts';

/** The page's ends: what it was made with, and the editor around it. */

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

export interface Page {
  readonly strings: Strings;
  readonly formats: Formats;
  readonly identity: Readonly<Record<string, unknown>>;
}

/** What the host has written into the page. */
export function readPage(): Page {
  const text = document.getElementById('setup')?.textContent ?? '{}';
  const parsed = pageSetup.parse(JSON.parse(text));
  return { strings: stringsOf(parsed.strings), formats: formatsOf(parsed.locale), identity: parsed.identity };
}

export interface Host {
  readonly connection: Connection;
  readonly post: (message: unknown) => void;
  /** How the user has arranged the panel, kept over a restart; anything that does not fit is the default. */
  readonly layout: <T>(schema: z.ZodMiniType<T>, fallback: T) => T;
  readonly keepLayout: (layout: unknown) => void;
}

const state = z.object({ layout: z.unknown() });

/** Connects the page with the editor. It must be called once. */
export function connectHost(page: Page, onValues: (keys: readonly string[]) => void): Host {
  const api = acquireVsCodeApi();
  const post = (message: unknown): void => api.postMessage(message);
  const connection = makeConnection({ post, onValues });
  window.addEventListener('message', (event) => connection.receive(event.data));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') connection.catchUp();
  });
  const report = (problem: unknown): void => {
    const text = problem instanceof Error ? (problem.stack ?? problem.message) : String(problem);
    post({ type: 'problem', message: text.slice(0, 10_000) });
  };
  window.addEventListener('error', (event) => report(event.error ?? event.message));
  window.addEventListener('unhandledrejection', (event) => report(event.reason));
  return {
    connection,
    post,
    layout(schema, fallback) {
      const kept = state.safeParse(api.getState());
      const parsed = schema.safeParse(kept.success ? kept.data.layout : undefined);
      return parsed.success ? parsed.data : fallback;
    },
    keepLayout: (layout) => api.setState({ identity: page.identity, layout }),
  };
}
