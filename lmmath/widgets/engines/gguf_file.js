// The file of a published model, GGUF: what it says of itself, and where each tensor lies in it.
//
// It begins with "GGUF", its version, and two counts. Then come the metadata, name after name with
// a type and a value, then for each tensor its name, shape, type and place, then the numbers.

const MAGIC = 0x46554747; // "GGUF"
export const TYPES = { F32: 0, Q4_1: 3, Q8_0: 8 };
// For each type of tensor, how many numbers and bytes a block has.
const BLOCKS = { [TYPES.F32]: [1, 4], [TYPES.Q4_1]: [32, 20], [TYPES.Q8_0]: [32, 34] };
// For each type of metadata that is a number, its size and how a DataView reads it.
const NUMBERS = {
  0: [1, "getUint8"],
  1: [1, "getInt8"],
  2: [2, "getUint16"],
  3: [2, "getInt16"],
  4: [4, "getUint32"],
  5: [4, "getInt32"],
  6: [4, "getFloat32"],
  7: [1, "getUint8"],
  10: [8, "getBigUint64"],
  11: [8, "getBigInt64"],
  12: [8, "getFloat64"],
};
const [TEXT, LIST] = [8, 9];

// Read the bytes of a whole file, a Uint8Array: {metadata, tensors: name -> {type, shape, offset}}.
// A matrix of shape [d_out, d_in] lies row after row. Offsets count from the beginning of the bytes.
export function parseGGUF(bytes) {
  const reader = new Reader(bytes);
  requireSound(reader.number("getUint32", 4) === MAGIC, "it is no GGUF file");
  const version = reader.number("getUint32", 4);
  requireSound(version === 2 || version === 3, `its version is ${version}, not 2 or 3`);
  const [nTensors, nValues] = [reader.count(), reader.count()];
  const metadata = {};
  for (let i = 0; i < nValues; i += 1) {
    const name = reader.text();
    metadata[name] = reader.value(reader.number("getUint32", 4));
  }
  const listed = Array.from({ length: nTensors }, () => {
    const name = reader.text();
    const shape = Array.from({ length: reader.number("getUint32", 4) }, () => reader.count());
    const type = reader.number("getUint32", 4);
    return { name, shape: shape.reverse(), type, place: reader.count() };
  });
  const step = metadata["general.alignment"] ?? 32;
  const begin = Math.ceil(reader.at / step) * step;
  const tensors = new Map();
  for (const { name, shape, type, place } of listed) {
    requireSound(type in BLOCKS, `${name} is of type ${type}, which is not read here`);
    const [size, nBytes] = BLOCKS[type];
    const count = shape.reduce((product, n) => product * n, 1);
    requireSound(shape.at(-1) % size === 0, `the rows of ${name} are no whole blocks`);
    const [offset, length] = [begin + place, (count / size) * nBytes];
    requireSound(offset + length <= bytes.length, `it ends before ${name} does`);
    tensors.set(name, { type, shape, offset });
  }
  return { metadata, tensors };
}

class Reader {
  #view;
  #bytes;
  #decoder = new TextDecoder();

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  number(read, size) {
    requireSound(this.at + size <= this.#bytes.length, "it ends too early");
    const value = this.#view[read](this.at, true);
    this.at += size;
    return typeof value === "bigint" ? Number(value) : value;
  }

  // A count or a length, which cannot be larger than the file.
  count() {
    const count = this.number("getBigUint64", 8);
    requireSound(count <= this.#bytes.length, `it speaks of ${count} things`);
    return count;
  }

  text() {
    const length = this.count();
    requireSound(this.at + length <= this.#bytes.length, "it ends too early");
    this.at += length;
    return this.#decoder.decode(this.#bytes.subarray(this.at - length, this.at));
  }

  value(type) {
    if (type === TEXT) return this.text();
    if (type !== LIST) {
      requireSound(type in NUMBERS, `its metadata hold a value of the unknown type ${type}`);
      const [size, read] = NUMBERS[type];
      return this.number(read, size);
    }
    const itemType = this.number("getUint32", 4);
    requireSound(itemType !== LIST, "its metadata hold a list of lists");
    return Array.from({ length: this.count() }, () => this.value(itemType));
  }
}

function requireSound(condition, problem) {
  if (!condition) throw new Error(`The model’s file cannot be read: ${problem}.`);
}
