/** The colours of the theme for canvases, which know no CSS variables, and word of its changes. */

/** The value of a CSS variable on the page; of the fallback where the theme has none. */
export function themeColour(name: string, fallback = '--vscode-foreground'): string {
  const style = getComputedStyle(document.body);
  const value = style.getPropertyValue(name).trim();
  return value === '' ? style.getPropertyValue(fallback).trim() || 'currentColor' : value;
}

/** Calls back when the editor changes its theme, or the system begins or ends to decide on colours. @returns a function that ends it */
export function onThemeChange(callback: () => void): () => void {
  // The editor sets its variables on the root element and its kind as classes of the body.
  const observer = new MutationObserver(callback);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'style'] });
  const forced = matchMedia('(forced-colors: active)');
  forced.addEventListener('change', callback);
  return () => {
    observer.disconnect();
    forced.removeEventListener('change', callback);
  };
}
