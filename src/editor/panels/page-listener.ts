import type * as z from 'zod/mini';
import type { CommonMessage } from '../../webviews/protocol.ts';
import type { SharedFeed } from './feed-sender.ts';

export interface PageListenerOptions<Own extends { readonly type: string }> {
  /** The page's name, for the log. */
  readonly page: string;
  /** What the page may say. */
  readonly schema: z.ZodMiniType<CommonMessage | Own>;
  readonly feed: Pick<SharedFeed, 'hear'>;
  readonly onProblem: (message: string) => void;
  /** The page has just been made. */
  readonly onReady?: () => void;
  /** The page says what no other does. */
  readonly onMessage: (message: Own) => void;
}

function isCommon(message: { readonly type: string }): message is CommonMessage {
  return message.type === 'ready' || message.type === 'pull' || message.type === 'problem';
}

/** Takes whatever a page posts: checks it, answers what every page says, and leaves the rest to the page's own session. */
export function pageListener<Own extends { readonly type: string }>({
  page,
  schema,
  feed,
  onProblem,
  onReady,
  onMessage,
}: PageListenerOptions<Own>): (message: unknown) => void {
  return (message) => {
    const parsed = schema.safeParse(message);
    if (!parsed.success) {
      onProblem(`${page} sent a message that is none of its own`);
      return;
    }
    const { data } = parsed;
    if (!isCommon(data)) {
      onMessage(data);
      return;
    }
    if (data.type === 'problem') {
      onProblem(data.message);
      return;
    }
    // First of all: what it is sent makes it ask.
    if (data.type === 'ready') onReady?.();
    feed.hear(data);
  };
}
