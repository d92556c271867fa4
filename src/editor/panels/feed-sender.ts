import { makeFeed, type Feed } from '../../webviews/feed.ts';
import type { HostMessage } from '../../webviews/protocol.ts';

/** A feed, and what of it the page of a panel has been sent. */
export interface SharedFeed extends Pick<Feed, 'set' | 'remove' | 'replace'> {
  /** Sends what the page has not been sent; nothing while nobody listens. */
  readonly send: () => void;
  /** Takes the page's word on what it has: nothing where it was just made, or what it names where that is of this feed. */
  readonly hear: (
    message: { readonly type: 'ready' } | { readonly type: 'pull'; readonly feed: string; readonly since: number },
  ) => void;
}

/** @param id a text that no other feed of the same panel has had */
export function shareFeed(id: string, post: (message: HostMessage) => void): SharedFeed {
  const { revision, since, set, remove, replace } = makeFeed(id);
  let listens = false;
  let sent = 0;

  function send(): void {
    if (!listens || revision() === sent) return;
    const changes = since(sent);
    sent = changes.revision;
    post({
      type: 'changes',
      ...changes,
      changed: changes.changed.map(([key, value]) => [key, value]),
      removed: [...changes.removed],
    });
  }

  return {
    set,
    remove,
    replace,
    send,
    hear(message) {
      // A page that has just been made has nothing, whatever an earlier one was sent.
      if (message.type === 'ready') listens = true;
      sent = message.type === 'pull' && message.feed === id ? Math.min(message.since, revision()) : 0;
      send();
    },
  };
}
