// The file of a published model, GGUF: what it says of itself, and where each tensor lies in it.
//
// It begins with "GGUF", its version, and two counts. Then come the metadata, name after name with
// a type and a value, then for each tensor its name, shape, type and place, then the numbers.

const MAGIC = 0x46554747; // "GGUF"
export const TYPES = { F32: 0, Q4_1: 3, Q8_0: 8 };
// For each type of tensor, how many numbers and bytes a block has.
const BLOCKS = { [TYPES.F32]: [1, 4], [TYPES.Q4_1]: [32, 20], [TYPES.Q8_0]: [32, 34] };
// For each type of metadata that is a number, how a DataView reads it, its size, and what holds several.
const NUMBERS = {
  0: ["getUint8", 1, Uint8Array],
  1: ["getInt8", 1, Int8Array],
  2: ["getUint16", 2, Uint16Array],
  3: ["getInt16", 2, Int16Array],
  4: ["getUint32", 4, Uint32Array],
  5: ["getInt32", 4, Int32Array],
  6: ["getFloat32", 4, Float32Array],
  7: ["getUint8", 1, Uint8Array],
  10: ["getBigUint64", 8, BigUint64Array],
  11: ["getBigInt64", 8, BigInt64Array],
  12: ["getFloat64", 8, Float64Array],
};
const [TEXT, LIST] = [8, 9];
// The least number of bytes that the header has for a tensor, for a value with its name, and for a text.
const [LEAST_TENSOR, LEAST_VALUE, LEAST_TEXT] = [24, 13, 8];
const MOST_AXES = 4;

// Read the bytes of a whole file, a Uint8Array: {metadata, tensors: name -> {name, type, shape, offset}}.
// A matrix of shape [d_out, d_in] lies row after row. Offsets count from the beginning of the bytes.
// Among the metadata a list of texts is an array, a list of numbers a typed array.
export function parseGGUF(bytes) {
  const reader = new Reader(bytes);
  requireSound(reader.number("getUint32", 4) === MAGIC, "it is no GGUF file");
  const version = reader.number("getUint32", 4);
  requireSound(version === 2 || version === 3, `its version is ${version}, not 2 or 3`);
  const [nTensors, nValues] = [reader.count(LEAST_TENSOR), reader.count(LEAST_VALUE)];
  const metadata = Object.create(null); // a name may be any text
  for (let i = 0; i < nValues; i += 1) {
    const name = reader.text();
    metadata[name] = reader.value(reader.number("getUint32", 4));
  }
  const listed = Array.from({ length: nTensors }, () => {
    const name = reader.text();
    const nAxes = reader.number("getUint32", 4);
    requireSound(nAxes > 0 && nAxes <= MOST_AXES, `${name} has ${nAxes} axes`);
    const shape = Array.from({ length: nAxes }, () => reader.number("getBigUint64", 8));
    const type = reader.number("getUint32", 4);
    return { name, shape: shape.reverse(), type, place: reader.number("getBigUint64", 8) };
  });
  const step = metadata["general.alignment"] ?? 32;
  requireSound(Number.isInteger(step) && step > 0, `its alignment is ${step}`);
  const begin = Math.ceil(reader.at / step) * step;
  const tensors = new Map();
  for (const { name, shape, type, place } of listed) {
    requireSound(!tensors.has(name), `two tensors are called ${name}`);
    requireSound(type in BLOCKS, `${name} is of type ${type}, which is not read here`);
    const [size, nBytes] = BLOCKS[type];
    const count = shape.reduce((product, n) => product * n, 1);
    requireSound(count > 0, `${name} holds nothing`);
    requireSound(shape.at(-1) % size === 0, `the rows of ${name} are no whole blocks`);
    const [offset, length] = [begin + place, (count / size) * nBytes];
    requireSound(offset + length <= bytes.length, `it ends before ${name} does`);
    tensors.set(name, { name, type, shape, offset });
  }
  return { metadata, tensors };
}

class Reader {
  #view;
  #bytes;
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  // Step over so many bytes, and give where they begin.
  #take(size) {
    const begin = this.at;
    requireSound(size <= this.#bytes.length - begin, "it ends too early");
    this.at += size;
    return begin;
  }

  number(read, size) {
    const value = this.#view[read](this.#take(size), true);
    return typeof value === "bigint" ? Number(value) : value;
  }

  // How many things follow, for which there must be room.
  count(leastSize) {
    const count = this.number("getBigUint64", 8);
    const left = this.#bytes.length - this.at;
    requireSound(count * leastSize <= left, `it speaks of ${count} things, for which there is no room`);
    return count;
  }

  text() {
    const length = this.count(1);
    const begin = this.#take(length);
    try {
      return this.#decoder.decode(this.#bytes.subarray(begin, this.at));
    } catch {
      throw unsound("it holds a text that is not UTF-8");
    }
  }

  value(type) {
    if (type === TEXT) return this.text();
    if (type !== LIST) return this.number(...this.#kind(type));
    const itemType = this.number("getUint32", 4);
    if (itemType === TEXT) return Array.from({ length: this.count(LEAST_TEXT) }, () => this.text());
    const [, size, Numbers] = this.#kind(itemType);
    const begin = this.#take(size * this.count(size));
    return new Numbers(this.#bytes.slice(begin, this.at).buffer);
  }

  #kind(type) {
    requireSound(type in NUMBERS, `its metadata hold a value of the unknown type ${type}`);
    return NUMBERS[type];
  }
}

function requireSound(condition, problem) {
  if (!condition) throw unsound(problem);
}

function unsound(problem) {
  return new Error(`The model’s file cannot be read: ${problem}.`);
}
