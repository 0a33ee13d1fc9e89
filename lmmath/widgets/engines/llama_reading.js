// All that happens while a model of Llama's family reads a text, as a trace of it has it.
import { softmax } from "./mathematics.js";
import { largest } from "./sampler.js";

const STEP = 4; // tokens between two looks at what else is asked
const [IN_LENS, IN_NEXT, IN_LAST] = [5, 20, 400]; // the most probable tokens that are told
const BINS = 64; // for the logits of all others after the last token

export const MOST_READ = 256; // tokens of which all attention is kept: 9 MB

// Read tokens. Gives {shown, lens(position), angles(stage)}: `shown` can be sent to the page. The lens
// is asked for one position at a time, since it costs as much as a token for each layer.
export async function readText(model, tokenizer, tokens, { edits, pause, tell }) {
  const { n_layers, n_heads, d_model } = model.config;
  const n = tokens.length;
  if (n > MOST_READ) {
    throw new RangeError(`A text that is looked into has at most ${MOST_READ} tokens, got ${n}.`);
  }
  const nWeights = (n * (n + 1)) / 2;
  const attention = new Uint8Array(n_layers * n_heads * nWeights);
  const stages = Array.from({ length: n_layers + 1 }, () => new Float32Array(n * d_model));
  const observe = {
    attention(layer, head, position, weights) {
      const begin = (layer * n_heads + head) * nWeights + (position * (position + 1)) / 2;
      for (let j = 0; j < weights.length; j += 1) attention[begin + j] = Math.round(255 * weights[j]);
    },
    stream(stage, position, x) {
      stages[stage].set(x, position * d_model);
    },
  };
  const reader = model.reader({ edits, observe });
  for (let i = 0; i < n; i += STEP) {
    reader.read(tokens.slice(i, i + STEP));
    tell(Math.min(i + STEP, n));
    await pause();
  }

  const named = (ids, probabilities) =>
    Array.from(ids, (id) => ({ id, text: tokenizer.decode([id]), probability: probabilities[id] }));
  const at = (stage, position) =>
    model.logits(stages[stage].subarray(position * d_model, (position + 1) * d_model));
  const next = [];
  const losses = [];
  let logits;
  for (let position = 0; position < n; position += 1) {
    logits = at(n_layers, position);
    const probabilities = softmax(logits);
    next.push(named(largest(logits, IN_NEXT), probabilities));
    if (position + 1 < n) losses.push(-Math.log(probabilities[tokens[position + 1]]));
    await pause();
  }
  return {
    shown: {
      tokens,
      pieces: tokens.map((token) => tokenizer.decode([token])),
      n_layers,
      n_heads,
      attention,
      next,
      losses,
      last: lastOf(logits, tokenizer),
    },
    // The largest feature of the stream at a stage, and the cosines between its vectors.
    angles: (stage) => anglesOf(stages[stage], d_model),
    // For each stage of the stream, the most probable next tokens as if the last block were passed.
    async lens(position) {
      const read = [];
      for (let stage = 0; stage <= n_layers; stage += 1) {
        const here = at(stage, position);
        read.push(named(largest(here, IN_LENS), softmax(here)));
        await pause();
      }
      return read;
    },
  };
}

// The largest feature of a stream, and the cosines between its vectors, with that feature and without
// it: {feature, size, whole, others}.
function anglesOf(x, d_model) {
  const n = x.length / d_model;
  let at = 0;
  for (let i = 1; i < x.length; i += 1) if (Math.abs(x[i]) > Math.abs(x[at])) at = i;
  const feature = at % d_model;
  const product = (i, j, skipped) => {
    let sum = 0;
    for (let k = 0; k < d_model; k += 1) if (k !== skipped) sum += x[i * d_model + k] * x[j * d_model + k];
    return sum;
  };
  const cosines = (skipped) => {
    const lengths = Array.from({ length: n }, (_, i) => Math.sqrt(product(i, i, skipped)) || 1);
    return lengths.map((length, i) =>
      lengths.map((other, j) => product(i, j, skipped) / (length * other)),
    );
  };
  return { feature, size: Math.abs(x[at]), whole: cosines(), others: cosines(feature) };
}

// The logits after the last token: the largest one by one, of all others how many are how large. So
// their share is known at any temperature.
function lastOf(logits, tokenizer) {
  const ids = largest(logits, IN_LAST);
  const others = Float64Array.from(logits).sort().subarray(0, logits.length - ids.length);
  const tail = [];
  for (let bin = 0; bin < BINS && others.length > 0; bin += 1) {
    const [begin, end] = [bin, bin + 1].map((i) => Math.floor((i * others.length) / BINS));
    const part = others.subarray(begin, end);
    if (part.length > 0) tail.push({ logit: part.reduce((a, b) => a + b) / part.length, count: part.length });
  }
  return { ids, texts: ids.map((id) => tokenizer.decode([id])), logits: ids.map((id) => logits[id]), tail };
}
