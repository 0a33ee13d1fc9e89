// Products with matrices that stay as they are in the model's file, four or eight bits a number.
//
//   const workbench = new Workbench(fileSize); // memory for the file and for what is computed
//   workbench.file.set(bytes);
//   const matrix = workbench.matrix({ type, shape: [d_out, d_in], offset });
//   matrix.times(x, n); // n vectors of d_in numbers, one after the other -> n vectors of d_out
//
// The work is done by the WebAssembly kernel of kernel.wat. Where a browser lacks its instructions
// for several numbers at a time (SIMD), plain JavaScript does the same, some ten times as slowly.
import { float16 } from "./float16.js";
import { TYPES } from "./gguf_file.js";
import { KERNEL } from "./kernel.js";

export const MOST_VECTORS = 32; // that a product takes at a time
const PAGE = 65_536; // bytes, in which a WebAssembly memory is measured
const GROUP = 32; // numbers that share a scale

export class Workbench {
  #kernel; // the functions of kernel.wat; undefined where there is no SIMD
  #memory;
  #mostNumbersOut; // of a product with all its vectors
  #places; // where in memory the vectors lie: {half, x, k, s, sums, out}

  // Memory for a file of so many bytes, and for vectors of at most so many numbers in and out.
  constructor(fileSize, { mostIn = 1536, mostOut = 49_152, simd = true } = {}) {
    this.#mostNumbersOut = Math.max(mostOut, MOST_VECTORS * mostIn);
    const sizes = {
      half: 4 * 65_536,
      x: 4 * MOST_VECTORS * mostIn,
      k: 2 * MOST_VECTORS * mostIn,
      s: (4 * MOST_VECTORS * mostIn) / GROUP,
      sums: (4 * MOST_VECTORS * mostIn) / GROUP,
      out: 4 * this.#mostNumbersOut,
    };
    let end = 0;
    const take = (size) => {
      const begin = end;
      end += Math.ceil(size / 16) * 16;
      return begin;
    };
    this.#places = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, take(size)]));
    const fileBegin = take(fileSize);
    this.limits = { mostIn, mostOut };
    this.#memory = newMemory(end);
    this.file = new Uint8Array(this.#memory.buffer, fileBegin, fileSize);
    const half = this.#floats("half", 65_536);
    for (let bits = 0; bits < 65_536; bits += 1) half[bits] = float16(bits);
    if (simd) this.#kernel = startKernel(this.#memory);
  }

  get hasKernel() {
    return this.#kernel !== undefined;
  }

  // A tensor of one axis: a copy of its numbers.
  vector({ name, type, shape, offset }) {
    if (type !== TYPES.F32) throw new Error(`${name} must have numbers of 32 bits, got type ${type}.`);
    const bytes = this.file.slice(offset, offset + 4 * shape[0]); // a file does not lie as floats must
    return new Float32Array(bytes.buffer);
  }

  // A matrix, ready for products. (Vectors of more numbers than the workbench has room for are refused.)
  matrix({ name, type, shape, offset }) {
    const [nRows, nColumns] = shape;
    const { mostIn, mostOut } = this.limits;
    if (!(type in UNPACK)) throw new Error(`${name} must have numbers of 4 or 8 bits, got type ${type}.`);
    if (nColumns > mostIn || nRows > mostOut) {
      throw new Error(`${name} must be at most (${mostOut},${mostIn}) here, got (${shape}).`);
    }
    const multiply = this.#kernel ? this.#multiplyFast : this.#multiplyPlainly;
    return {
      shape,
      times: (x, n = 1) => {
        this.#requireRoom(nRows, nColumns, x, n);
        return multiply.call(this, { type, nRows, nBlocks: nColumns / GROUP, offset }, x, n);
      },
      row: (i) => this.#row({ type, nBlocks: nColumns / GROUP, offset }, i),
    };
  }

  // What does not fit would be written over the file, which lies behind.
  #requireRoom(nRows, nColumns, x, n) {
    if (x.length === n * nColumns && n <= MOST_VECTORS && n * nRows <= this.#mostNumbersOut) return;
    const vectors = `${n} vectors of ${x.length / n}`;
    throw new RangeError(`The product of a matrix (${nRows},${nColumns}) with ${vectors} has no room.`);
  }

  #multiplyFast({ type, nRows, nBlocks, offset }, x, n) {
    const { half, x: at, k, s, sums, out } = this.#places;
    this.#floats("x", x.length).set(x);
    this.#kernel.round(at, n * nBlocks, k, s, sums);
    const w = this.file.byteOffset + offset;
    if (type === TYPES.Q4_1) this.#kernel.multiply_q4_1(w, nRows, nBlocks, n, k, s, sums, half, out);
    else this.#kernel.multiply_q8_0(w, nRows, nBlocks, n, k, s, half, out);
    return this.#floats("out", n * nRows).slice();
  }

  // Each row of the matrix is unpacked once, for all vectors.
  #multiplyPlainly({ type, nRows, nBlocks, offset }, x, n) {
    const half = this.#floats("half", 65_536);
    const [unpack, size] = UNPACK[type];
    const row = new Float32Array(nBlocks * GROUP);
    const y = new Float32Array(n * nRows);
    for (let i = 0; i < nRows; i += 1) {
      unpack(this.file, offset + i * nBlocks * size, half, row);
      for (let v = 0; v < n; v += 1) y[v * nRows + i] = dot(row, 0, x, v * row.length, row.length);
    }
    return y;
  }

  #row({ type, nBlocks, offset }, i) {
    const [unpack, size] = UNPACK[type];
    const row = new Float32Array(nBlocks * GROUP);
    unpack(this.file, offset + i * nBlocks * size, this.#floats("half", 65_536), row);
    return row;
  }

  #floats(place, length) {
    return new Float32Array(this.#memory.buffer, this.#places[place], length);
  }
}

// How a row is unpacked from the bytes of a file, and how many bytes a block has.
const UNPACK = { [TYPES.Q4_1]: [unpackQ4, 20], [TYPES.Q8_0]: [unpackQ8, 34] };

function unpackQ4(bytes, at, half, row) {
  for (let begin = 0; begin < row.length; begin += GROUP, at += 20) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)];
    const least = half[bytes[at + 2] | (bytes[at + 3] << 8)];
    for (let j = 0; j < 16; j += 1) {
      const two = bytes[at + 4 + j];
      row[begin + j] = scale * (two & 15) + least;
      row[begin + 16 + j] = scale * (two >> 4) + least;
    }
  }
}

function unpackQ8(bytes, at, half, row) {
  for (let begin = 0; begin < row.length; begin += GROUP, at += 34) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)];
    for (let j = 0; j < GROUP; j += 1) row[begin + j] = scale * ((bytes[at + 2 + j] << 24) >> 24);
  }
}

// The dot product of `size` numbers of x from index i on with those of y from index j on. Four sums at a
// time do not wait for each other.
export function dot(x, i, y, j, size) {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const end = i + size;
  for (; i + 3 < end; i += 4, j += 4) {
    a += x[i] * y[j];
    b += x[i + 1] * y[j + 1];
    c += x[i + 2] * y[j + 2];
    d += x[i + 3] * y[j + 3];
  }
  for (; i < end; i += 1, j += 1) a += x[i] * y[j];
  return a + b + (c + d);
}

// Memory that WebAssembly can share; without WebAssembly, an ordinary buffer.
function newMemory(nBytes) {
  try {
    if (!globalThis.WebAssembly) return { buffer: new ArrayBuffer(nBytes) };
    return new WebAssembly.Memory({ initial: Math.ceil(nBytes / PAGE) });
  } catch (cause) {
    const size = Math.round(nBytes / 2 ** 20);
    throw new Error(`This device cannot give the ${size} MB that the model needs.`, { cause });
  }
}

function startKernel(memory) {
  try {
    const code = Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
    return new WebAssembly.Instance(new WebAssembly.Module(code), { host: { memory } }).exports;
  } catch {
    return undefined; // no SIMD, or a policy that forbids WebAssembly
  }
}
