import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireFree, stored, writeFolder, type ExportOptions } from './export-folder.ts';
import type { PeftAdapter } from './peft-adapter.ts';
import { writeSafetensors } from './safetensors.ts';

/**
 * Writes an adapter as Hugging Face PEFT reads it.
 * @param base what the encoder that it belongs to is called: a folder or an id on the hub
 * @throws UserError as {@link requireFree} does
 */
export async function exportAdapter(
  folder: string,
  { config, tensors }: PeftAdapter,
  base: { readonly id: string; readonly revision?: string | undefined },
  { precision, overwrite = false }: ExportOptions,
): Promise<void> {
  await requireFree(folder, { overwrite });
  const written = [...tensors].map(([name, tensor]) => [name, stored(name, tensor, precision)] as const);
  const whole = { ...config, base_model_name_or_path: base.id, revision: base.revision ?? null };
  await writeFolder(folder, { last: 'adapter_config.json', others: ['adapter_model.bin'] }, async (staged) => {
    await writeFile(join(staged, 'adapter_config.json'), `${JSON.stringify(whole, undefined, 2)}\n`);
    await writeSafetensors(join(staged, 'adapter_model.safetensors'), new Map(written), { format: 'pt' });
  });
}
