// What a model did with a text, as lmmath.traces.pack writes it: a gzip file.
//
// In it are the length of a header in 4 bytes, the header in JSON, and arrays, one after the other.
import { float16 } from "./float16.js";

const DTYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float16: Uint16Array, // as bits
  float32: Float32Array,
};
const N_BINS = 64;

// How many tokens are listed at a stage of the lens, after each token, and after the last.
const listed = (vocab_size) => [5, 20, 400].map((k) => Math.min(k, vocab_size));

// Read a trace from the bytes of its file: an ArrayBuffer.
//
// What it gives: {text, tokens, pieces, words: id -> text, vocab_size, n_layers, n_heads, losses,
// lens: {ids, probabilities, ranks}, next: {ids, probabilities},
// last: {ids, logits, tail: {logits, counts}}} with flat typed arrays, and
// attention(layer, head) -> rows of weights, zero above the diagonal;
// largest(stage) -> {feature, size} of the stream;
// cosines(stage, isWhole) -> rows: between its vectors, with all features or without the largest;
// lensAt(stage, position) and nextAt(position) -> [{id, text, probability}], the best first.
export async function parseTrace(bytes) {
  const content = await unzip(bytes);
  requireSound(content.byteLength >= 4, `it has only ${content.byteLength} bytes`);
  const end = 4 + new DataView(content).getUint32(0, true);
  requireSound(end <= content.byteLength, "it ends within its header");
  const header = parseHeader(content.slice(4, end));
  const { text, tokens, pieces, words, vocab_size, n_layers, n_heads } = header;
  const n = tokens.length;
  const [kLens, kNext] = listed(vocab_size);
  const stored = parseArrays(header, content.slice(end));
  const lens = {
    ids: stored.lens_ids,
    probabilities: stored.lens_probabilities,
    ranks: stored.lens_ranks,
  };
  const next = { ids: stored.next_ids, probabilities: stored.next_probabilities };
  const tail = { logits: stored.tail_logits, counts: stored.tail_counts };
  const last = { ids: stored.last_ids, logits: stored.last_logits, tail };
  for (const ids of [tokens, lens.ids, next.ids, last.ids]) {
    requireSound(ids.every((id) => Object.hasOwn(words, id)), "its words are not those of its ids");
  }
  const best = ({ ids, probabilities }, row, k) =>
    Array.from(ids.slice(row * k, (row + 1) * k), (id, i) => (
      { id, text: words[id], probability: probabilities[row * k + i] }
    ));
  return {
    text, tokens, pieces, words, vocab_size, n_layers, n_heads, lens, next, last,
    losses: stored.losses,
    attention: (layer, head) => triangle(stored.attention, layer * n_heads + head, n, 255),
    largest: (stage) => ({ feature: stored.largest_features[stage], size: stored.largest_sizes[stage] }),
    cosines: (stage, isWhole) =>
      symmetric(triangle(stored.cosines, (isWhole ? 0 : n_layers + 1) + stage, n, 127)),
    lensAt: (stage, position) => best(lens, stage * n + position, kLens),
    nextAt: (position) => best(next, position, kNext),
  };
}

async function unzip(bytes) {
  requireSound(bytes instanceof ArrayBuffer, `bytes were expected, got ${bytes}`);
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).arrayBuffer();
  } catch {
    return requireSound(false, "it is no whole gzip file");
  }
}

function parseHeader(bytes) {
  let header = null;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {} // It stays null.
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  requireSound(isObject(header), "its header cannot be read");
  const { format, text, tokens, pieces, words, vocab_size, n_layers, n_heads } = header;
  requireSound(format === "lmmath.trace 1", `its format is ${JSON.stringify(format ?? null)}`);
  const isSize = (size) => Number.isSafeInteger(size) && size > 0;
  requireSound([vocab_size, n_layers, n_heads].every(isSize), "its sizes are no sizes");
  const isList = Array.isArray(tokens) && tokens.length > 0 && tokens.every(Number.isSafeInteger);
  requireSound(isList, "its tokens are no list of integers");
  const areStrings = (list) => Array.isArray(list) && list.every((item) => typeof item === "string");
  const fits = typeof text === "string" && areStrings(pieces) && pieces.length === tokens.length;
  requireSound(fits, "its text and its pieces are not those of its tokens");
  const named = isObject(words) && areStrings(Object.values(words));
  requireSound(named, "its words are not those of its ids");
  return header;
}

// The dtype and the shape of each array, in the order in which they lie in the file.
function layout({ tokens: { length: n }, vocab_size, n_layers, n_heads }) {
  const [lens, next, last] = listed(vocab_size);
  return {
    attention: ["uint8", [n_layers, n_heads, (n * (n + 1)) / 2]],
    lens_ids: ["uint16", [n_layers + 1, n, lens]],
    lens_probabilities: ["float16", [n_layers + 1, n, lens]],
    lens_ranks: ["uint32", [n_layers + 1, n]],
    next_ids: ["uint16", [n, next]],
    next_probabilities: ["float16", [n, next]],
    last_ids: ["uint16", [last]],
    last_logits: ["float16", [last]],
    tail_logits: ["float32", [N_BINS]],
    tail_counts: ["uint32", [N_BINS]],
    losses: ["float32", [n - 1]],
    largest_features: ["uint16", [n_layers + 1]],
    largest_sizes: ["float32", [n_layers + 1]],
    cosines: ["int8", [2, n_layers + 1, (n * (n + 1)) / 2]],
  };
}

function parseArrays(header, body) {
  const expected = layout(header);
  const sameNames = String(Object.keys(header.arrays ?? {})) === String(Object.keys(expected));
  requireSound(sameNames, "its list of arrays does not fit its sizes");
  const arrays = {};
  let begin = 0;
  for (const [name, [dtype, shape]] of Object.entries(expected)) {
    const came = header.arrays[name];
    const same = came?.dtype === dtype && String(came.shape) === String(shape) && came.offset === begin;
    requireSound(same, "its list of arrays does not fit its sizes");
    const end = begin + DTYPES[dtype].BYTES_PER_ELEMENT * shape.reduce((product, k) => product * k, 1);
    if (end <= body.byteLength) {
      const array = new DTYPES[dtype](body.slice(begin, end));
      arrays[name] = dtype === "float16" ? Float32Array.from(array, float16) : array;
    }
    begin = end;
  }
  const came = body.byteLength;
  requireSound(begin === came, `its header speaks of ${begin} bytes of numbers, it has ${came}`);
  return arrays;
}

// One of the lower triangles that the file has, row by row, as a matrix; `one` stands for 1.
export function triangle(stored, which, n, one) {
  let at = (which * n * (n + 1)) / 2;
  return Array.from({ length: n }, (_, i) => {
    const row = new Float32Array(n);
    for (let j = 0; j <= i; j += 1) row[j] = stored[at++] / one;
    return row;
  });
}

function symmetric(rows) {
  return rows.map((row, i) => row.map((value, j) => (j <= i ? value : rows[j][i])));
}

function requireSound(condition, problem) {
  if (!condition) throw new Error(`The trace cannot be read: ${problem}.`);
}
