/** What the pages of panels and reports look like where the reader's system decides on all colours. */

const colours: Readonly<Record<string, string>> = {
  foreground: 'CanvasText',
  descriptionForeground: 'CanvasText',
  'editor-background': 'Canvas',
  'editorWidget-background': 'Canvas',
  'editorWidget-border': 'CanvasText',
  'editor-selectionBackground': 'Highlight',
  'input-placeholderForeground': 'GrayText',
  focusBorder: 'Highlight',
  'panelTitle-activeBorder': 'Highlight',
  'progressBar-background': 'Highlight',
  'charts-blue': 'LinkText',
  'charts-green': 'CanvasText',
  'charts-purple': 'VisitedText',
  'charts-red': 'Highlight',
  'charts-yellow': 'GrayText',
};

/**
 * A browser replaces only the colours of text, boxes and borders. What is drawn (SVG, canvas) would keep a theme's colours on the
 * reader's own background, so the theme's variables stand for those of the system.
 */
export const forcedColours = `@media (forced-colors: active) { body { ${Object.entries(colours)
  .map(([name, colour]) => `--vscode-${name}: ${colour};`)
  .join(' ')} } }`;
