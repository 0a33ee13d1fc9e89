// Matrices in one memory, and their product: by WebAssembly where the browser allows it.
import { KERNEL } from "./training_kernel.js";

// Numbers in memory, seen as a matrix: from one row to the next it is `step` numbers, and from one
// column to the next it is `across`.
export class Matrix {
  constructor(numbers, rows, columns, begin = 0, step = columns, across = 1) {
    Object.assign(this, { numbers, rows, columns, begin, step, across });
  }

  get transposed() {
    return new Matrix(this.numbers, this.columns, this.rows, this.begin, this.across, this.step);
  }

  part(row, rows, column, columns) {
    const begin = this.begin + row * this.step + column * this.across;
    return new Matrix(this.numbers, rows, columns, begin, this.step, this.across);
  }
}

const PAGE = 65_536; // bytes, in which a WebAssembly memory is measured

// Memory for matrices, and their product.
export class Workspace {
  #kernel; // the function of the WebAssembly module; undefined where there is none
  #numbers;
  #end = 0;
  #packed; // room for a matrix that was transposed

  constructor(Numbers, { all, largest }, simd) {
    const bytes = (all + largest) * Numbers.BYTES_PER_ELEMENT;
    const fast = simd && Numbers === Float32Array ? startKernel(Math.ceil(bytes / PAGE)) : undefined;
    this.#kernel = fast?.multiply;
    this.#numbers = new Numbers(fast?.memory.buffer ?? new ArrayBuffer(bytes));
    this.#packed = this.#take(largest);
  }

  get hasKernel() {
    return this.#kernel !== undefined;
  }

  take(rows, columns) {
    return new Matrix(this.#take(rows * columns), rows, columns);
  }

  #take(count) {
    this.#end += count;
    return this.#numbers.subarray(this.#end - count, this.#end);
  }

  // C = A B. Each may be a part of a larger matrix, and A and B may be transposed.
  multiply(c, a, b) {
    const right = b.across === 1 ? b : this.#pack(b);
    const rows = this.#kernel ? c.rows - (c.rows % 4) : 0; // the kernel takes four rows of C at a time
    const columns = this.#kernel ? c.columns - (c.columns % 8) : 0; // and eight columns
    if (rows > 0 && columns > 0) {
      const [at, from, down] = [c, a, right].map(({ numbers, begin }) => numbers.byteOffset + 4 * begin);
      const steps = [4 * c.step, 4 * a.step, 4 * a.across, 4 * right.step];
      this.#kernel(at, from, down, rows, columns, a.columns, ...steps);
    }
    multiplyPart(c, a, right, 0, rows, columns, c.columns);
    multiplyPart(c, a, right, rows, c.rows, 0, c.columns);
  }

  // Lay the rows of a transposed matrix one after the other, as a product can read them fast.
  #pack({ numbers, rows, columns, begin, step, across }) {
    const packed = this.#packed;
    for (let i = 0; i < rows; i += 1) {
      for (let j = 0; j < columns; j += 1) packed[i * columns + j] = numbers[begin + i * step + j * across];
    }
    return new Matrix(packed, rows, columns);
  }
}

// A part of C = A B: the rows from `top` to before `bottom`, the columns from `left` to before `right`.
// Four rows and two columns at a time, each number that is read serves several sums.
function multiplyPart(c, a, b, top, bottom, left, right) {
  const [A, B, C, length] = [a.numbers, b.numbers, c.numbers, a.columns];
  const [aStep, aAcross, bStep, cStep] = [a.step, a.across, b.step, c.step];
  let i = top;
  for (; i + 4 <= bottom; i += 4) {
    const row = a.begin + i * aStep;
    let j = left;
    for (; j + 2 <= right; j += 2) {
      let at = row;
      let down = b.begin + j;
      let c00 = 0;
      let c01 = 0;
      let c10 = 0;
      let c11 = 0;
      let c20 = 0;
      let c21 = 0;
      let c30 = 0;
      let c31 = 0;
      for (let k = 0; k < length; k += 1, at += aAcross, down += bStep) {
        const b0 = B[down];
        const b1 = B[down + 1];
        const a0 = A[at];
        const a1 = A[at + aStep];
        const a2 = A[at + 2 * aStep];
        const a3 = A[at + 3 * aStep];
        c00 += a0 * b0;
        c01 += a0 * b1;
        c10 += a1 * b0;
        c11 += a1 * b1;
        c20 += a2 * b0;
        c21 += a2 * b1;
        c30 += a3 * b0;
        c31 += a3 * b1;
      }
      const to = c.begin + i * cStep + j;
      C[to] = c00;
      C[to + 1] = c01;
      C[to + cStep] = c10;
      C[to + cStep + 1] = c11;
      C[to + 2 * cStep] = c20;
      C[to + 2 * cStep + 1] = c21;
      C[to + 3 * cStep] = c30;
      C[to + 3 * cStep + 1] = c31;
    }
    multiplyOneByOne(c, a, b, i, i + 4, j, right);
  }
  multiplyOneByOne(c, a, b, i, bottom, left, right);
}

// The same, number by number.
function multiplyOneByOne(c, a, b, top, bottom, left, right) {
  for (let i = top; i < bottom; i += 1) {
    for (let j = left; j < right; j += 1) {
      let at = a.begin + i * a.step;
      let down = b.begin + j;
      let sum = 0;
      for (let k = 0; k < a.columns; k += 1, at += a.across, down += b.step) {
        sum += a.numbers[at] * b.numbers[down];
      }
      c.numbers[c.begin + i * c.step + j] = sum;
    }
  }
}

function startKernel(pages) {
  try {
    const code = Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
    const kernel = new WebAssembly.Module(code);
    const memory = new WebAssembly.Memory({ initial: pages });
    const { multiply } = new WebAssembly.Instance(kernel, { host: { memory } }).exports;
    return { memory, multiply };
  } catch {
    return undefined; // no SIMD, or a policy that forbids WebAssembly
  }
}
