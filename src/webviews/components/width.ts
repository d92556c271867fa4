import type { ReactiveControllerHost } from 'lit';

/** The width of an element's content in whole pixels, 0 before it is measured. The element is drawn again when it changes. */
export function measuredWidth(element: ReactiveControllerHost & Element): () => number {
  let width = 0;
  const observer = new ResizeObserver((entries) => {
    const measured = Math.floor(entries[0]?.contentRect.width ?? 0);
    if (measured === 0) return;
    // Drawn in the next frame: what is drawn now is what was measured.
    requestAnimationFrame(() => {
      if (measured === width) return;
      width = measured;
      element.requestUpdate();
    });
  });
  element.addController({
    hostConnected: () => observer.observe(element),
    hostDisconnected: () => observer.disconnect(),
  });
  return () => width;
}
