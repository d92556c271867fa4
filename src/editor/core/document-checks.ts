/**
 * What is found in the documents that are open, told a moment after they change. It also depends on what a document speaks of, such as
 * folders, of which no version tells.
 */

/** A document of the editor's, as far as its checks go. */
export interface CheckedDocument {
  readonly uri: { toString(): string };
  /** Grows with each change, and begins anew when the document is opened again. */
  readonly version: number;
  readonly isClosed: boolean;
}

export interface DocumentChecks<Document, Found> {
  /** What is found in it as it is now; asked for once for each version, and again where it was refused. */
  of(document: Document): Promise<Found>;
  /** Checks it a moment after the last call. */
  soon(document: Document): void;
  /** As {@link soon}, and whether or not its text has changed: what it speaks of may have. */
  again(document: Document): void;
  /** Forgets a document that was closed. */
  close(document: Document): void;
  dispose(): void;
}

export interface DocumentChecksOptions<Document, Found> {
  readonly afterMs: number;
  readonly inspect: (document: Document) => Promise<Found>;
  /** Of the document as it is now. */
  readonly onFound: (document: Document, found: Found) => void;
  readonly onProblem: (problem: unknown) => void;
}

/**
 * Checks of documents that wait until one has been left alone for `afterMs`; what is found of a version that is no longer shown is
 * dropped.
 */
export function documentChecks<Document extends CheckedDocument, Found>({
  afterMs,
  inspect,
  onFound,
  onProblem,
}: DocumentChecksOptions<Document, Found>): DocumentChecks<Document, Found> {
  const inspected = new Map<string, { readonly version: number; readonly inspection: Promise<Found> }>();
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const keyOf = ({ uri }: Document): string => uri.toString();

  function of(document: Document): Promise<Found> {
    const key = keyOf(document);
    const known = inspected.get(key);
    if (known?.version === document.version) return known.inspection;
    const inspection = inspect(document);
    inspected.set(key, { version: document.version, inspection });
    inspection.catch(() => {
      if (inspected.get(key)?.inspection === inspection) inspected.delete(key);
    });
    return inspection;
  }

  async function check(document: Document): Promise<void> {
    try {
      const { version } = document;
      const inspection = of(document);
      const found = await inspection;
      // The text has changed since, or it is to be looked at again: another check follows.
      const isLatest = inspected.get(keyOf(document))?.inspection === inspection && document.version === version;
      if (isLatest && !document.isClosed) onFound(document, found);
    } catch (problem) {
      onProblem(problem);
    }
  }

  function stopTimer(key: string): void {
    clearTimeout(timers.get(key));
    timers.delete(key);
  }

  function soon(document: Document): void {
    const key = keyOf(document);
    stopTimer(key);
    timers.set(
      key,
      setTimeout(() => {
        timers.delete(key);
        void check(document);
      }, afterMs),
    );
  }

  return {
    of,
    soon,
    again(document) {
      inspected.delete(keyOf(document));
      soon(document);
    },
    close(document) {
      inspected.delete(keyOf(document));
      stopTimer(keyOf(document));
    },
    dispose: () => timers.forEach((timer) => clearTimeout(timer)),
  };
}
