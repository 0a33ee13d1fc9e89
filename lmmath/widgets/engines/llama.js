// A model of Llama's family in the browser: the formulas of lmmath.transformer.llama.
//
//   const model = new Llama(file); // the bytes of a GGUF file, on a Workbench
//   const reader = model.reader();
//   reader.read(tokens);
//   const logits = reader.logits(); // one for each token that may come next
//
// Vectors are Float32Arrays; of several, one lies after the other. Matrices stay as the file has them.
import { parseGGUF } from "./gguf_file.js";
import { dot, MOST_VECTORS } from "./quantized.js";

export class Llama {
  // A workbench whose file is complete.
  constructor(workbench) {
    const { metadata, tensors } = parseGGUF(workbench.file);
    this.metadata = metadata;
    this.config = parseConfig(metadata, tensors);
    const tensor = (name, ...shape) => requireTensor(tensors, name, shape);
    const matrix = (name, ...shape) => workbench.matrix(tensor(name, ...shape));
    const vector = (name, ...shape) => workbench.vector(tensor(name, ...shape));
    const { vocab_size, d_model: d, n_layers, n_heads, n_kv_heads, d_head, d_ff } = this.config;
    this.embedding = matrix("token_embd.weight", vocab_size, d);
    this.unembedding = this.config.tied ? this.embedding : matrix("output.weight", vocab_size, d);
    this.lastNorm = vector("output_norm.weight", d);
    this.blocks = Array.from({ length: n_layers }, (_, i) => ({
      attentionNorm: vector(`blk.${i}.attn_norm.weight`, d),
      query: matrix(`blk.${i}.attn_q.weight`, n_heads * d_head, d),
      key: matrix(`blk.${i}.attn_k.weight`, n_kv_heads * d_head, d),
      value: matrix(`blk.${i}.attn_v.weight`, n_kv_heads * d_head, d),
      output: matrix(`blk.${i}.attn_output.weight`, d, n_heads * d_head),
      feedForwardNorm: vector(`blk.${i}.ffn_norm.weight`, d),
      gate: matrix(`blk.${i}.ffn_gate.weight`, d_ff, d),
      up: matrix(`blk.${i}.ffn_up.weight`, d_ff, d),
      down: matrix(`blk.${i}.ffn_down.weight`, d, d_ff),
    }));
  }

  // Whoever reads a text with this model has a reader, which remembers the text.
  reader(options) {
    return new LlamaReader(this, options);
  }

  // RMSNorm(x) E^T for one vector of the residual stream. After the last block these are the model's
  // logits. Earlier they are what it would say if it stopped there: the logit lens.
  logits(x) {
    return this.unembedding.times(rmsNorm(x, this.lastNorm, this.config.eps));
  }
}

// What a reader may be asked to do otherwise: heads that write nothing, as "layer.head", and features
// of the residual stream that are set to zero, as {stage, feature, position}. Stage 0 is before the
// first block, stage i after block i. Without a position, the feature is zero at all of them.
export const INTACT = { heads: new Set(), zeros: [] };

class LlamaReader {
  #model;
  #edits;
  #observe;
  #past; // for each layer the keys and the values of all positions so far
  #last; // the residual stream of the last position, after the last block
  tokens = [];

  // `observe.attention(layer, head, position, weights)` and `observe.stream(stage, position, x)` are
  // told what happens; what they are given is used again afterwards.
  constructor(model, { edits = INTACT, observe = {} } = {}) {
    this.#model = model;
    this.#edits = edits;
    this.#observe = observe;
    const { n_layers, n_kv_heads, d_head } = model.config;
    const width = n_kv_heads * d_head;
    this.#past = Array.from({ length: n_layers }, () => ({ keys: new Rows(width), values: new Rows(width) }));
  }

  // Read more tokens of the text.
  read(tokens) {
    const { vocab_size, n_positions } = this.#model.config;
    const length = this.tokens.length + tokens.length;
    if (length > n_positions) throw new RangeError(`The model sees at most ${n_positions} tokens, got ${length}.`);
    for (const token of tokens) {
      if (Number.isInteger(token) && token >= 0 && token < vocab_size) continue;
      throw new RangeError(`A token must be an integer from 0 to ${vocab_size - 1}, got ${token}.`);
    }
    for (let i = 0; i < tokens.length; i += MOST_VECTORS) this.#readSome(tokens.slice(i, i + MOST_VECTORS));
  }

  // The logits of the token after the last.
  logits() {
    if (!this.#last) throw new RangeError("No token was read.");
    return this.#model.logits(this.#last);
  }

  #readSome(tokens) {
    const { config, embedding, blocks } = this.#model;
    const { d_model } = config;
    const n = tokens.length;
    const begin = this.tokens.length;
    const x = new Float32Array(n * d_model);
    tokens.forEach((token, i) => x.set(embedding.row(token), i * d_model));
    this.#passStage(0, begin, x);
    const turns = tokens.map((_, i) => rotation(begin + i, config));
    blocks.forEach((block, layer) => {
      this.#attend(x, n, block, layer, turns);
      think(x, n, block, config);
      this.#passStage(layer + 1, begin, x);
    });
    this.tokens.push(...tokens);
    this.#last = x.slice(-d_model);
  }

  // x + Concat(head_1, ..., head_H) W_o, where several heads share a key and a value.
  #attend(x, n, block, layer, turns) {
    const { n_heads, n_kv_heads, d_head, eps } = this.#model.config;
    const normal = rmsNorm(x, block.attentionNorm, eps);
    const query = block.query.times(normal, n);
    const key = block.key.times(normal, n);
    turns.forEach((turn, i) => {
      rotate(query.subarray(i * n_heads * d_head, (i + 1) * n_heads * d_head), turn);
      rotate(key.subarray(i * n_kv_heads * d_head, (i + 1) * n_kv_heads * d_head), turn);
    });
    const { keys, values } = this.#past[layer];
    keys.append(key);
    values.append(block.value.times(normal, n));
    const mixed = new Float32Array(n * n_heads * d_head);
    const begin = keys.length - n;
    for (let head = 0; head < n_heads; head += 1) {
      const isOff = this.#edits.heads.has(`${layer}.${head}`);
      const shared = Math.floor((head * n_kv_heads) / n_heads) * d_head; // where its key and value begin
      for (let i = 0; i < n; i += 1) {
        const at = (i * n_heads + head) * d_head;
        const weights = attentionWeights(query.subarray(at, at + d_head), keys, shared, begin + i + 1);
        this.#observe.attention?.(layer, head, begin + i, weights);
        if (!isOff) mix(mixed, at, weights, values, shared, d_head);
      }
    }
    add(x, block.output.times(mixed, n));
  }

  #passStage(stage, begin, x) {
    const { d_model } = this.#model.config;
    const n = x.length / d_model;
    for (const { stage: where, feature, position } of this.#edits.zeros) {
      if (where !== stage) continue;
      for (let i = 0; i < n; i += 1) {
        if (position === undefined || position === begin + i) x[i * d_model + feature] = 0;
      }
    }
    for (let i = 0; this.#observe.stream && i < n; i += 1) {
      this.#observe.stream(stage, begin + i, x.subarray(i * d_model, (i + 1) * d_model));
    }
  }
}

// Vectors of one width, one after the other, with room for more.
class Rows {
  #width;
  data = new Float32Array(0);
  length = 0;

  constructor(width) {
    this.#width = width;
  }

  get width() {
    return this.#width;
  }

  append(vectors) {
    const end = (this.length * this.#width) + vectors.length;
    if (end > this.data.length) {
      const larger = new Float32Array(Math.max(end, 2 * this.data.length));
      larger.set(this.data);
      this.data = larger;
    }
    this.data.set(vectors, this.length * this.#width);
    this.length = end / this.#width;
  }
}

// softmax(q K^T / sqrt(d_head)) for one query. Later tokens are not among the keys: no mask is needed.
function attentionWeights(query, keys, shared, count) {
  const { data, width } = keys;
  const weights = new Float32Array(count);
  const scale = 1 / Math.sqrt(query.length);
  let largest = -Infinity;
  for (let j = 0; j < count; j += 1) {
    weights[j] = dot(query, data, j * width + shared) * scale;
    if (weights[j] > largest) largest = weights[j];
  }
  let sum = 0;
  for (let j = 0; j < count; j += 1) sum += weights[j] = Math.exp(weights[j] - largest);
  for (let j = 0; j < count; j += 1) weights[j] /= sum;
  return weights;
}

// The sum of the values, each times its weight, into the part of `mixed` that begins at an index.
function mix(mixed, at, weights, values, shared, size) {
  const { data, width } = values;
  for (let j = 0; j < weights.length; j += 1) {
    const weight = weights[j];
    const begin = j * width + shared;
    for (let i = 0; i < size; i += 1) mixed[at + i] += weight * data[begin + i];
  }
}

// x + (SiLU(x W_gate) * (x W_up)) W_down, of the normalized x.
function think(x, n, { feedForwardNorm, gate, up, down }, { eps }) {
  const normal = rmsNorm(x, feedForwardNorm, eps);
  const hidden = gate.times(normal, n);
  const let_through = up.times(normal, n);
  for (let i = 0; i < hidden.length; i += 1) hidden[i] = silu(hidden[i]) * let_through[i];
  add(x, down.times(hidden, n));
}

function silu(z) {
  return z / (1 + Math.exp(-z));
}

// g x / sqrt(mean of x^2 + eps), for each vector of as many numbers as g has.
export function rmsNorm(x, g, eps) {
  const size = g.length;
  const y = new Float32Array(x.length);
  for (let begin = 0; begin < x.length; begin += size) {
    let sum = 0;
    for (let i = 0; i < size; i += 1) sum += x[begin + i] ** 2;
    const scale = 1 / Math.sqrt(sum / size + eps);
    for (let i = 0; i < size; i += 1) y[begin + i] = g[i] * x[begin + i] * scale;
  }
  return y;
}

// The cosine and the sine of the angle by which each pair of features turns at a position.
function rotation(position, { d_head, rotary_base }) {
  const angles = Array.from({ length: d_head / 2 }, (_, i) => position * rotary_base ** ((-2 * i) / d_head));
  return { cosine: angles.map(Math.cos), sine: angles.map(Math.sin) };
}

// Turn each pair of neighbouring features, head after head.
function rotate(x, { cosine, sine }) {
  const nPairs = cosine.length;
  for (let i = 0; 2 * i < x.length; i += 1) {
    const [c, s] = [cosine[i % nPairs], sine[i % nPairs]];
    const [even, odd] = [x[2 * i], x[2 * i + 1]];
    x[2 * i] = even * c - odd * s;
    x[2 * i + 1] = even * s + odd * c;
  }
}

function add(x, y) {
  for (let i = 0; i < x.length; i += 1) x[i] += y[i];
}

// The sizes of a model, from what its file says of it.
function parseConfig(metadata, tensors) {
  const family = metadata["general.architecture"];
  if (family !== "llama") throw new Error(`The model must be of Llama’s family, got ${family}.`);
  const said = (name) => {
    const value = metadata[`llama.${name}`];
    if (typeof value !== "number" || !(value > 0)) throw new Error(`The model’s file does not say its ${name}.`);
    return value;
  };
  const n_heads = said("attention.head_count");
  const d_model = said("embedding_length");
  return {
    vocab_size: metadata["tokenizer.ggml.tokens"].length,
    n_positions: said("context_length"),
    d_model,
    n_layers: said("block_count"),
    n_heads,
    n_kv_heads: said("attention.head_count_kv"),
    d_head: d_model / n_heads,
    d_ff: said("feed_forward_length"),
    rotary_base: said("rope.freq_base"),
    eps: said("attention.layer_norm_rms_epsilon"),
    tied: !tensors.has("output.weight"),
  };
}

function requireTensor(tensors, name, shape) {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`The model’s file lacks ${name}.`);
  if (String(tensor.shape) !== String(shape)) {
    throw new Error(`${name} must have shape (${shape}), got (${tensor.shape}).`);
  }
  return tensor;
}
