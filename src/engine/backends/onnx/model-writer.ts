import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Dim, Shape } from '../../graph/dims.ts';
import type { DType } from '../../graph/value.ts';
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  type AttributeProtoSchema,
  type ModelProto,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './onnx_pb.ts';

/** The name of a tensor in the model. */
export type Tensor = string;

/** Integers are bigint, so that a number is always a float attribute. */
export type Attribute = bigint | number | string | readonly bigint[];
export type Attributes = Readonly<Record<string, Attribute>>;

export type StoredDType = DType | 'float16' | 'bfloat16' | 'int8' | 'uint8';

/** Where an initialiser's bytes are: in the model, or in a file beside it. */
export type InitialiserData =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'external'; readonly location: string; readonly offset: number; readonly byteLength: number };

/** Builds an ONNX graph; equal nodes and equal initialisers are written once. */
export interface ModelWriter {
  /** A graph input. @throws Error if the name is taken */
  input(name: string, dtype: DType, shape: Shape): Tensor;
  /** A stored tensor. @throws Error if the name is taken */
  initialiser(name: string, dtype: StoredDType, shape: readonly number[], data: InitialiserData): Tensor;
  constant(dtype: DType, shape: readonly number[], data: readonly number[]): Tensor;
  /** @param type an operator of ONNX, or of the runtime's own with its domain before it: `com.microsoft.MatMulIntegerToFloat` */
  node(type: string, inputs: readonly Tensor[], attributes?: Attributes): Tensor;
  /** A node with several outputs; of those after the first, what nobody reads is left out of the model. */
  nodes(type: string, inputs: readonly Tensor[], attributes: Attributes, outputs: number): readonly Tensor[];
  /** Gives a tensor a name as an output of the graph and returns the name, altered if an input or initialiser has it. */
  output(name: string, tensor: Tensor, dtype: DType, shape: Shape): string;
  /** The model, with only what its outputs need; all inputs are kept. */
  finish(): ModelProto;
}

/** The newest operator set with all of whose operators the runtime's providers agree, and the format that goes with it. */
const OPSET_VERSION = 21n;
const IR_VERSION = 10n;

/** Operators that the runtime has beside ONNX's. */
const RUNTIME_DOMAIN = 'com.microsoft';

const elementTypes: Readonly<Record<StoredDType, number>> = {
  float32: TensorProto_DataType.FLOAT,
  int32: TensorProto_DataType.INT32,
  int64: TensorProto_DataType.INT64,
  bool: TensorProto_DataType.BOOL,
  float16: TensorProto_DataType.FLOAT16,
  bfloat16: TensorProto_DataType.BFLOAT16,
  int8: TensorProto_DataType.INT8,
  uint8: TensorProto_DataType.UINT8,
};

/** ONNX's number for an element type, as the attribute of Cast wants it. */
export function elementType(dtype: StoredDType): bigint {
  return BigInt(elementTypes[dtype]);
}

interface NodeRecord {
  readonly type: string;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

function elementBytes(dtype: DType, data: readonly number[]): Uint8Array {
  switch (dtype) {
    case 'float32':
      return new Uint8Array(Float32Array.from(data).buffer);
    case 'int32':
      return new Uint8Array(Int32Array.from(data).buffer);
    case 'int64':
      return new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
    case 'bool':
      return Uint8Array.from(data, (element) => (element === 0 ? 0 : 1));
  }
}

/** Gives tensors their names as outputs, where an Identity would only copy what a node has computed. */
function nameOutputs(records: readonly NodeRecord[], outputs: ReadonlySet<Tensor>): readonly NodeRecord[] {
  const computed = new Set(records.flatMap((record) => record.outputs));
  const names = new Map<Tensor, Tensor>();
  const rest = records.filter((record) => {
    const [[from = ''], [to = '']] = [record.inputs, record.outputs];
    const isName = record.type === 'Identity' && outputs.has(to) && computed.has(from) && !names.has(from);
    if (isName) names.set(from, to);
    return !isName;
  });
  const named = (tensor: Tensor): Tensor => names.get(tensor) ?? tensor;
  return rest.map((record) => ({ ...record, inputs: record.inputs.map(named), outputs: record.outputs.map(named) }));
}

/**
 * Puts the nodes that nobody reads at the end, the last of them first. The runtime takes these nodes from the last to the first, and
 * computes before each what it needs: so the gradients of the upper layers come before those of the lower ones, and what they read is
 * given free before the backward half goes on. The other way round all of it would stay until the end.
 */
function lastOutputsFirst(records: readonly NodeRecord[]): readonly NodeRecord[] {
  const read = new Set(records.flatMap((record) => record.inputs));
  const isRead = (record: NodeRecord): boolean => record.outputs.some((tensor) => read.has(tensor));
  return [...records.filter(isRead), ...records.filter((record) => !isRead(record)).reverse()];
}

function attributeMessage(name: string, attribute: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  switch (typeof attribute) {
    case 'bigint':
      return { name, type: AttributeProto_AttributeType.INT, i: attribute };
    case 'number':
      return { name, type: AttributeProto_AttributeType.FLOAT, f: attribute };
    case 'string':
      return { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(attribute) };
    default:
      return { name, type: AttributeProto_AttributeType.INTS, ints: [...attribute] };
  }
}

function valueInfo(name: string, dtype: DType, shape: Shape): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size: Dim) => ({
    value:
      typeof size === 'number'
        ? ({ case: 'dimValue', value: BigInt(size) } as const)
        : ({ case: 'dimParam', value: size.text } as const),
  }));
  return { name, type: { value: { case: 'tensorType', value: { elemType: elementTypes[dtype], shape: { dim } } } } };
}

function tensorMessage(
  name: string,
  dtype: StoredDType,
  shape: readonly number[],
  data: InitialiserData,
): MessageInitShape<typeof TensorProtoSchema> {
  const common = { name, dataType: elementTypes[dtype], dims: shape.map(BigInt) };
  if (data.kind === 'inline') return { ...common, rawData: data.bytes };
  return {
    ...common,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: data.location },
      { key: 'offset', value: String(data.offset) },
      { key: 'length', value: String(data.byteLength) },
    ],
  };
}

function nodeMessage(
  record: NodeRecord,
  index: number,
  read: ReadonlySet<Tensor>,
): MessageInitShape<typeof NodeProtoSchema> {
  const outputs = record.outputs.map((output, at) => (at === 0 || read.has(output) ? output : ''));
  while (outputs.at(-1) === '') outputs.pop();
  const own = record.type.startsWith(`${RUNTIME_DOMAIN}.`);
  const opType = own ? record.type.slice(RUNTIME_DOMAIN.length + 1) : record.type;
  return {
    name: `${opType}_${index}`,
    opType,
    domain: own ? RUNTIME_DOMAIN : '',
    input: [...record.inputs],
    output: outputs,
    attribute: Object.entries(record.attributes).map(([name, attribute]) => attributeMessage(name, attribute)),
  };
}

/**
 * Collects inputs, weights, nodes and outputs and writes them as one ONNX model. Nodes that compute the same from the same are written
 * once.
 */
export function createModelWriter(): ModelWriter {
  const inputs: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
  const outputs: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
  const initialisers = new Map<Tensor, MessageInitShape<typeof TensorProtoSchema>>();
  const records: NodeRecord[] = [];
  const known = new Map<string, readonly Tensor[]>();
  const taken = new Set<Tensor>();
  let counter = 0;

  const take = (name: Tensor): Tensor => {
    if (taken.has(name)) throw new Error(`the graph has two tensors named ${name}`);
    taken.add(name);
    return name;
  };
  const fresh = (): Tensor => take(`#${counter++}`);
  const nodes = (type: string, from: readonly Tensor[], attributes: Attributes, count: number): readonly Tensor[] => {
    const key = `${type}(${from.join('\0')})${Object.entries(attributes)
      .map(([name, value]) => `${name}=${typeof value}:${String(value)}`)
      .join('\0')}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const record = { type, inputs: from, attributes, outputs: Array.from({ length: count }, fresh) };
    records.push(record);
    known.set(key, record.outputs);
    return record.outputs;
  };
  const node = (type: string, from: readonly Tensor[], attributes: Attributes = {}): Tensor => {
    const [result] = nodes(type, from, attributes, 1);
    if (result === undefined) throw new Error(`${type} has no output`);
    return result;
  };

  return {
    node,
    nodes,
    input(name, dtype, shape) {
      inputs.push(valueInfo(take(name), dtype, shape));
      return name;
    },
    initialiser(name, dtype, shape, data) {
      initialisers.set(take(name), tensorMessage(name, dtype, shape, data));
      return name;
    },
    constant(dtype, shape, data) {
      const key = `constant ${dtype}[${shape.join()}] ${data.map((element) => (Object.is(element, -0) ? '-0' : element)).join()}`;
      const before = known.get(key)?.[0];
      if (before !== undefined) return before;
      const name = fresh();
      initialisers.set(name, tensorMessage(name, dtype, shape, { kind: 'inline', bytes: elementBytes(dtype, data) }));
      known.set(key, [name]);
      return name;
    },
    output(name, tensor, dtype, shape) {
      let given = name;
      while (taken.has(given)) given = `${given}'`;
      // Through Identity, for the tensor may be an input or have a second name; elsewhere it goes when the model is finished.
      records.push({ type: 'Identity', inputs: [tensor], attributes: {}, outputs: [take(given)] });
      outputs.push(valueInfo(given, dtype, shape));
      return given;
    },
    finish() {
      const asked = new Set<Tensor>(outputs.flatMap(({ name }) => (name === undefined ? [] : [name])));
      const read = new Set<Tensor>(asked);
      const kept: NodeRecord[] = [];
      for (const record of records.toReversed()) {
        if (!record.outputs.some((tensor) => read.has(tensor))) continue;
        for (const tensor of record.inputs) read.add(tensor);
        kept.push(record);
      }
      const ordered = lastOutputsFirst(nameOutputs(kept.reverse(), asked));
      const readNames = new Set([...asked, ...ordered.flatMap((record) => record.inputs)]);
      return create(ModelProtoSchema, {
        irVersion: IR_VERSION,
        opsetImport: [
          { domain: '', version: OPSET_VERSION },
          { domain: RUNTIME_DOMAIN, version: 1n },
        ],
        producerName: 'peft-lab',
        graph: {
          name: 'graph',
          node: ordered.map((record, index) => nodeMessage(record, index, readNames)),
          input: inputs,
          output: outputs,
          initializer: [...initialisers].filter(([name]) => read.has(name)).map(([, tensor]) => tensor),
        },
      });
    },
  };
}
