import { existsSync } from 'node:fs';
import { readMachine } from '../../src/engine/graphics/machine.ts';
import { webgpuOutlook } from '../../src/engine/graphics/outlook.ts';

/** Chromium's Vulkan driver that computes on the CPU, as Debian packages it. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** `packages` of Debian bring what is missing. */
export type WebgpuWay =
  | { readonly environment: Readonly<Record<string, string>> }
  | { readonly missing: string; readonly packages: readonly string[] };

/** How WebGPU runs on this machine: on its GPU or the driver that `VK_DRIVER_FILES` names, else through a driver that computes on the CPU; or what is missing for either. */
export function findWebgpu(): WebgpuWay {
  const facts = readMachine();
  const outlook = webgpuOutlook(facts);
  if (outlook.state === 'likely') return { environment: {} };
  if (outlook.obstacle === 'not in the runtime') return { missing: outlook.message, packages: [] };
  // Whoever names a driver wants that one.
  if (process.env['VK_DRIVER_FILES'] !== undefined) return { environment: {} };
  const hasLoader = facts.vulkan?.loader === true;
  const packages = [...(hasLoader ? [] : ['libvulkan1']), ...(existsSync(swiftShader) ? [] : ['chromium'])];
  if (!hasLoader) return { missing: "Vulkan's loader is missing: apt-get install libvulkan1", packages };
  if (existsSync(swiftShader)) return { environment: { VK_DRIVER_FILES: swiftShader } };
  if (outlook.obstacle === 'only software') return { environment: {} };
  return { missing: 'there is no Vulkan driver: apt-get install chromium, or mesa-vulkan-drivers', packages };
}
