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
    const used = new Set();
    const tensor = (name, ...shape) => {
      used.add(name);
      return requireTensor(tensors, name, shape);
    };
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
    const other = [...tensors.keys()].find((name) => !used.has(name));
    if (other !== undefined) throw new Error(`The model’s file holds ${other}, which is not read here.`);
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
    if (length > n_positions) {
      throw new RangeError(`The model sees at most ${n_positions} tokens, got ${length}.`);
    }
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
    const weights = new Float32Array(keys.length); // of one query at a time
    const begin = keys.length - n;
    for (let head = 0; head < n_heads; head += 1) {
      const isOff = this.#edits.heads.has(`${layer}.${head}`);
      const shared = Math.floor((head * n_kv_heads) / n_heads) * d_head; // where its key and value begin
      for (let i = 0; i < n; i += 1) {
        const at = (i * n_heads + head) * d_head;
        const count = begin + i + 1;
        attentionWeights(weights, count, query, at, keys, shared, d_head);
        this.#observe.attention?.(layer, head, begin + i, weights.subarray(0, count));
        if (!isOff) mix(mixed, at, weights, count, values, shared, d_head);
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

// softmax(q K^T / sqrt(d_head)) for the query at an index, into the first `count` weights. Later tokens
// are not among the keys: no mask is needed.
function attentionWeights(weights, count, query, at, { data, width }, shared, d_head) {
  const scale = 1 / Math.sqrt(d_head);
  let largest = -Infinity;
  for (let j = 0; j < count; j += 1) {
    const score = dot(query, at, data, j * width + shared, d_head) * scale;
    if (score > largest) largest = score;
    weights[j] = score;
  }
  let sum = 0;
  for (let j = 0; j < count; j += 1) {
    const weight = Math.exp(weights[j] - largest);
    sum += weight;
    weights[j] = weight;
  }
  for (let j = 0; j < count; j += 1) weights[j] /= sum;
}

// The sum of `count` values, each times its weight, into the part of `mixed` that begins at an index.
// Features come in pairs, so two sums at a time stay out of memory until they are complete.
function mix(mixed, at, weights, count, { data, width }, shared, d_head) {
  for (let i = 0; i < d_head; i += 2) {
    let even = 0;
    let odd = 0;
    for (let j = 0, k = shared + i; j < count; j += 1, k += width) {
      even += weights[j] * data[k];
      odd += weights[j] * data[k + 1];
    }
    mixed[at + i] = even;
    mixed[at + i + 1] = odd;
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
    for (let i = 0; i < size; i += 1) sum += x[begin + i] * x[begin + i];
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
  for (let at = 0; at < x.length; ) {
    for (let i = 0; i < cosine.length; i += 1, at += 2) {
      const even = x[at];
      const odd = x[at + 1];
      x[at] = even * cosine[i] - odd * sine[i];
      x[at + 1] = even * sine[i] + odd * cosine[i];
    }
  }
}

function add(x, y) {
  for (let i = 0; i < x.length; i += 1) x[i] += y[i];
}

// The sizes of a model, from what its file says of it.
function parseConfig(metadata, tensors) {
  const family = metadata["general.architecture"];
  if (family !== "llama") throw new Error(`The model must be of Llama’s family, got ${family}.`);
  for (const name of ["rope.scaling.type", "rope.scaling.factor", "expert_count"]) {
    if (!(`llama.${name}` in metadata)) continue;
    throw new Error(`The model’s file says ${name}, which is not read here.`);
  }
  const positive = (name, otherwise) => {
    const value = metadata[`llama.${name}`] ?? otherwise;
    if (value === undefined) throw new Error(`The model’s file does not say its ${name}.`);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`The model’s ${name} must be a number above 0, got ${value}.`);
  };
  const whole = (name, otherwise) => {
    const value = positive(name, otherwise);
    if (!Number.isInteger(value)) throw new Error(`The model’s ${name} must be an integer, got ${value}.`);
    return value;
  };
  const n_heads = whole("attention.head_count");
  const n_kv_heads = whole("attention.head_count_kv", n_heads);
  if (n_heads % n_kv_heads) throw new Error(`${n_kv_heads} keys cannot be shared by ${n_heads} heads.`);
  const d_model = whole("embedding_length");
  const nTurned = metadata["llama.rope.dimension_count"]; // features of a head that turn
  const d_head = whole("attention.key_length", nTurned ?? d_model / n_heads);
  if (d_head % 2) throw new Error(`The features of a head turn in pairs, got ${d_head}.`);
  if ((nTurned ?? d_head) !== d_head) {
    throw new Error(`All ${d_head} features of a head must turn, got ${nTurned}.`);
  }
  return {
    vocab_size: requireTensor(tensors, "token_embd.weight").shape[0],
    n_positions: whole("context_length"),
    d_model,
    n_layers: whole("block_count"),
    n_heads,
    n_kv_heads,
    d_head,
    d_ff: whole("feed_forward_length"),
    rotary_base: positive("rope.freq_base", 10_000),
    eps: positive("attention.layer_norm_rms_epsilon"),
    tied: !tensors.has("output.weight"),
  };
}

function requireTensor(tensors, name, shape) {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`The model’s file lacks ${name}.`);
  if (shape && String(tensor.shape) !== String(shape)) {
    throw new Error(`${name} must have shape (${shape}), got (${tensor.shape}).`);
  }
  return tensor;
}
