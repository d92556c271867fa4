import { messageOf, UserError } from '../../base/errors.ts';

/** What runtimes say when memory is at its end, of which they throw plain errors: only their words tell. */
const words: readonly RegExp[] = [
  // onnxruntime's own allocators, and C++.
  /failed to allocate memory|available memory of \d+ is smaller/i,
  /bad_alloc|bad allocation/i,
  // CUDA, TensorFlow, and the libraries of CUDA as they are started.
  /out of memory|OOM when allocating/i,
  /CU(BLAS|DNN|SOLVER)_STATUS_\w*ALLOC(ATION)?_FAILED/,
  // Vulkan, Dawn, and Direct3D's E_OUTOFMEMORY by name or number.
  /out_of_((device|host|pool)_)?memory|outofmemory|8007000E/i,
  // What Dawn then lets its caller know: a buffer beyond the device's limits, or one that could not be had, as its log alone tells.
  /(Buffer|Binding) size \(\d+\) .*(exceeds the max buffer size limit|is larger than the maximum)/,
  /\[Invalid Buffer\b.*\] is invalid due to a previous error/,
  // JavaScript.
  /^Array buffer allocation failed$/,
];

/** Whether an error says that memory is at its end: the device's, or this process's. */
export function isOutOfMemory(error: unknown): boolean {
  const message = messageOf(error);
  return words.some((pattern) => pattern.test(message));
}

/** What compiling throws where a model alone is too large. */
export function modelTooLarge(provider: string, cause: unknown): UserError {
  return new UserError(
    `the model does not fit into the memory that ${provider} computes in`,
    `Choose a smaller model, or free memory that other programs hold${provider === 'cpu' ? '' : '; the CPU may have more'}.`,
    { cause },
  );
}
