import { expect, test } from 'vitest';
import { isOutOfMemory } from '../../../../src/engine/backends/out-of-memory.ts';

test('memory that is at its end is known by what runtimes, libraries and drivers say of it', () => {
  const said = [
    'Failed to allocate memory for requested buffer of size 1610612736',
    'Available memory of 1048576 is smaller than requested bytes of 1610612736',
    'Exception during loading: std::bad_alloc',
    'Exception during initialization: bad allocation',
    'BFC Arena ran out of memory trying to allocate 25165824',
    'CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; file=cuda_call.cc ; line=129 ; expr=cudaMalloc(&p, size);',
    'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);',
    'CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0',
    'vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY',
    'vkCreateBuffer failed with VK_ERROR_OUT_OF_HOST_MEMORY',
    'D3D12 create committed resource failed with E_OUTOFMEMORY (0x8007000E)',
    'WebGPU validation failed. Buffer size (1280000000) exceeds the max buffer size limit (1073741824).\n - While calling [Device].CreateBuffer([BufferDescriptor]).\n',
    'WebGPU validation failed. Binding size (805306368) of [Buffer (unlabeled)] is larger than the maximum storage buffer binding size (134217728).',
    'WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a previous error.\n - While validating entries[2] against { binding: 2 }.',
    'OOM when allocating tensor with shape[16,128,3072] and type float',
    'Array buffer allocation failed',
  ];
  expect(said.filter((message) => !isOutOfMemory(new Error(message)))).toEqual([]);
  const others = [
    'vkCreateDevice failed with VK_ERROR_INITIALIZATION_FAILED',
    'CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED',
    'Shape mismatch attempting to re-use buffer. {16,128} != {32,128}',
    'Invalid typed array length: -1',
    'WebGPU validation failed. [Invalid ShaderModule (unlabeled)] is invalid due to a previous error.',
  ];
  expect(others.filter((message) => isOutOfMemory(new Error(message)))).toEqual([]);
});
