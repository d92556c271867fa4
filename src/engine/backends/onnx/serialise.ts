import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema, type ModelProto, type TensorProto } from './onnx_pb.ts';

/** Below this, copying costs less than the pieces. */
const LARGE_BYTES = 1 << 16;

function header(field: number, byteLength: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(byteLength).finish();
}

function total(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** A model of nothing but one initialiser, in pieces, its data not copied. */
function initialiserPieces(tensor: TensorProto): readonly Uint8Array[] {
  const { name, dims, dataType, rawData } = tensor;
  const described = toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dims, dataType }));
  const inTensor = [described, header(TensorProtoSchema.field.rawData.number, rawData.byteLength), rawData];
  const inGraph = [header(GraphProtoSchema.field.initializer.number, total(inTensor)), ...inTensor];
  return [header(ModelProtoSchema.field.graph.number, total(inGraph)), ...inGraph];
}

/**
 * The bytes of a model. Large initialisers are appended as further parts of the model, which a reader merges (that is how protobuf
 * defines repeated occurrences of a message): the library alone would copy them at every level of nesting.
 */
export function serialiseModel(model: ModelProto): Uint8Array {
  const initialisers = model.graph?.initializer ?? [];
  const isLarge = (tensor: TensorProto): boolean => tensor.rawData.byteLength >= LARGE_BYTES;
  const small =
    model.graph === undefined
      ? model
      : { ...model, graph: { ...model.graph, initializer: initialisers.filter((tensor) => !isLarge(tensor)) } };
  const pieces = [toBinary(ModelProtoSchema, small), ...initialisers.filter(isLarge).flatMap(initialiserPieces)];
  const bytes = new Uint8Array(total(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
