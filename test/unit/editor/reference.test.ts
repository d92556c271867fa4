import { expect, test } from 'vitest';
import { editorReference } from '../../../scripts/editor-reference.ts';

test('the reference page of the editor is what the manifest says', async () => {
  await expect(editorReference()).toMatchFileSnapshot('../../../docs/reference/editor.md');
});
