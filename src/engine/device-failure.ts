import { UserError } from '../base/errors.ts';
import { OutOfMemoryError } from './backends/backend.ts';
import { DivergedError } from './training-step.ts';

/** Whether an error may come of the device, rather than of what the user or the data ask for. */
export function isOfDevice(error: unknown): boolean {
  if (error instanceof UserError) return error.cause instanceof OutOfMemoryError;
  return !(error instanceof DivergedError);
}
