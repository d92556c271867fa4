import type { LitElement } from 'lit';

/** The elements around one in its own tree, the nearest first. */
function around(element: Element): readonly HTMLElement[] {
  const found: HTMLElement[] = [];
  for (let each = element.parentElement; each !== null; each = each.parentElement)
    if (each instanceof HTMLElement) found.push(each);
  return found;
}

/**
 * Keeps the place of the keyboard in an element: when what has the focus goes (a run has ended, and with it its button to stop it),
 * the nearest part around it takes the focus. That is no button, so that a key pressed twice starts nothing.
 */
export function keepFocus(element: LitElement): void {
  let had: Element | null = null;
  let parts: readonly HTMLElement[] = [];
  element.addController({
    hostUpdate() {
      had = element.shadowRoot?.activeElement ?? null;
      parts = had === null ? [] : around(had);
    },
    hostUpdated() {
      if (had === null || had.isConnected) return;
      // An element may take the focus to where it belongs by itself.
      const isLost = document.activeElement === document.body || document.activeElement === null;
      const part = isLost ? parts.find((each) => each.isConnected) : undefined;
      if (part === undefined) return;
      if (!part.hasAttribute('tabindex')) part.tabIndex = -1;
      part.focus({ preventScroll: true });
    },
  });
}
