// The mathematics that widgets compute with: the same formulas as lmmath's, on plain arrays.
// A matrix is an array of rows.

// softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m), with m the largest x_j.
export function softmax(scores) {
  const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = exponentials.reduce((sum, e) => sum + e, 0);
  return exponentials.map((e) => e / total);
}

// H = -sum_i p_i log p_i, in nats.
export function entropy(probabilities) {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i]; // several times as fast as reduce
  return sum;
}

// Row i of the result is row i of `x` times the matrix `w`.
export function multiply(x, w) {
  const columns = w[0].map((_, c) => w.map((row) => row[c]));
  return x.map((row) => columns.map((column) => dot(row, column)));
}

// The weights of one query over its keys. The keys at `allowed` and after get weight zero.
export function attentionRow(query, keys, { scale, allowed = keys.length }) {
  const scores = keys.slice(0, allowed).map((key) => dot(query, key) * scale);
  return [...softmax(scores), ...Array(keys.length - allowed).fill(0)];
}

// softmax(Q K^T scale), row by row; `causal` lets a row see only itself and earlier keys.
export function attentionWeights(queries, keys, { scale, causal }) {
  return queries.map((query, i) =>
    attentionRow(query, keys, { scale, allowed: causal ? i + 1 : keys.length }),
  );
}

// An array trait, {shape, data}, as nested arrays of numbers.
export function toNested({ shape, data }) {
  const numbers = new Float64Array(
    data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
  );
  return shape.length > 1 ? nest(numbers, shape) : [...numbers];
}

function nest(numbers, [length, ...rest]) {
  if (rest.length === 0) return [...numbers];
  const size = numbers.length / length;
  return Array.from({ length }, (_, i) => nest(numbers.subarray(i * size, (i + 1) * size), rest));
}

// `count` numbers from `from` to `to`, both included: with equal steps, or with equal factors.
export function linspace(from, to, count) {
  const step = (to - from) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? to : from + i * step));
}

export function geomspace(from, to, count) {
  const logs = linspace(Math.log(from), Math.log(to), count);
  return logs.map((log, i) => (i === 0 ? from : i === count - 1 ? to : Math.exp(log)));
}
