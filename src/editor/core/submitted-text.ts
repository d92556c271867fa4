import { UserError } from '../../base/errors.ts';
import { t } from './l10n.ts';

/** A document of the editor's, as far as it matters to who submits it. */
export interface EditedDocument {
  readonly fileName: string;
  readonly isUntitled: boolean;
  readonly isDirty: boolean;
  getText(): string;
  /** @returns whether it is saved now */
  save(): PromiseLike<boolean>;
}

/**
 * Saves a document whose configuration is submitted, because runs are made from what its file says.
 * @returns the text of a new one, which has no file yet
 * @throws UserError when it cannot be saved: its file says something else than the user sees
 */
export async function submittedText(document: EditedDocument): Promise<string | undefined> {
  if (document.isUntitled) return document.getText();
  if (document.isDirty && !(await document.save()))
    throw new UserError(t('{0} could not be saved, so nothing was started.', document.fileName));
  return undefined;
}
