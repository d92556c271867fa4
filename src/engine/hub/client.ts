/** Asks the hub: a `fetch` that keeps the token to itself, and the ways in which the hub does not answer as typed errors. */
import { UserError } from '../../base/errors.ts';
import { systemErrorCode } from '../text-files.ts';

/** The hub answered, but not with what was asked. */
export class HubRefusal extends Error {
  override readonly name = 'HubRefusal';
  readonly status: number;
  /** What the hub says of it: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo. */
  readonly reason: string | undefined;
  /** It is the token that is refused, whatever was asked for. */
  readonly badToken: boolean;

  constructor(status: number, reason: string | undefined, badToken = false) {
    super(`status ${status}`);
    this.status = status;
    this.reason = reason;
    this.badToken = badToken;
  }

  /** The hub itself is unwell or busy, which says nothing of what was asked for. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

/** No answer came. */
export class HubUnreachable extends Error {
  override readonly name = 'HubUnreachable';
}

const answerWithin = 30_000;

export type Fetch = typeof globalThis.fetch;

/**
 * `fetch` for one hub: sends the token to that hub and nobody else, gives up when no answer comes, and throws typed errors (which
 * hold neither token nor headers).
 */
export function hubFetch(endpoint: URL, token: string | undefined, signal: AbortSignal | undefined): Fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    if (token !== undefined && url.origin === endpoint.origin) headers.set('Authorization', `Bearer ${token}`);
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), answerWithin);
    let response: Response;
    try {
      const signals = signal === undefined ? [patience.signal] : [patience.signal, signal];
      response = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (thrown) {
      signal?.throwIfAborted();
      if (patience.signal.aborted) throw new HubUnreachable(`no answer within ${answerWithin / 1000} s`);
      const cause = thrown instanceof Error ? thrown.cause : undefined;
      throw new HubUnreachable(systemErrorCode(cause) ?? systemErrorCode(thrown) ?? 'the connection failed');
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    const badToken =
      response.status === 401 &&
      headers.has('Authorization') &&
      /invalid credentials|token.*expired/iu.test(response.headers.get('X-Error-Message') ?? '');
    throw new HubRefusal(response.status, response.headers.get('X-Error-Code') ?? undefined, badToken);
  };
}

/** What answers there is no hub. */
export function malformedAnswer(endpoint: URL, cause?: unknown): UserError {
  return new UserError(
    `${endpoint.origin} does not answer as a Hugging Face hub does`,
    'Check HF_ENDPOINT; a proxy, or the login page of a network, may have answered in its place.',
    { cause },
  );
}

/** What the hub's library makes of an answer; it throws whatever comes to pass where the answer is cut off, or a page and no data. */
export async function answerOf<T>(endpoint: URL, signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof HubRefusal || thrown instanceof HubUnreachable) throw thrown;
    signal?.throwIfAborted();
    const code = thrown instanceof Error ? systemErrorCode(thrown.cause) : undefined;
    if (code !== undefined) throw new HubUnreachable(code);
    throw malformedAnswer(endpoint, thrown);
  }
}
