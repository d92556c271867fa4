import { expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { submittedText, type EditedDocument } from '../../../src/editor/core/submitted-text.ts';

function documentOf(changes: Partial<EditedDocument>): {
  readonly document: EditedDocument;
  readonly saves: unknown[];
} {
  const saves: unknown[] = [];
  const document: EditedDocument = {
    fileName: '/project/a.peft.json',
    isUntitled: false,
    isDirty: true,
    getText: () => '{}',
    save: () => {
      saves.push(true);
      return Promise.resolve(true);
    },
    ...changes,
  };
  return { document, saves };
}

it('saves what was changed, and takes a new document as the editor has it', async () => {
  const dirty = documentOf({});
  expect([await submittedText(dirty.document), dirty.saves.length]).toEqual([undefined, 1]);
  const clean = documentOf({ isDirty: false });
  expect([await submittedText(clean.document), clean.saves.length]).toEqual([undefined, 0]);
  const fresh = documentOf({ isUntitled: true });
  expect([await submittedText(fresh.document), fresh.saves.length]).toEqual(['{}', 0]);
});

it('submits nothing of a file that cannot be saved', async () => {
  const { document } = documentOf({ save: () => Promise.resolve(false) });
  const refused = submittedText(document);
  await expect(refused).rejects.toBeInstanceOf(UserError);
  await expect(refused).rejects.toThrow('/project/a.peft.json could not be saved');
});
