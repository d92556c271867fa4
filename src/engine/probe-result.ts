import { z } from 'zod';

/** What a device that works was measured at, as it is printed and kept; see `ProbeResult`. */
export const measuredDevice = z.object({
  kind: z.literal('works'),
  rate: z.number(),
  cpuRate: z.number(),
  secondsPerOperation: z.number(),
});

/** What the program that tries a device prints. */
export const printedProbe = z.discriminatedUnion('kind', [
  measuredDevice,
  z.object({ kind: z.literal('fails'), reason: z.string() }),
]);
