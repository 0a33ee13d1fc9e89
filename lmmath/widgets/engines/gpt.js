// A GPT in the browser: the formulas of lmmath.transformer, one token at a time.
//
//   const reader = gpt.reader();
//   const logits = reader.read(token); // one for each token that may come next
//   reader.trace()[0].attention[2]; // whom that token attends to: first layer, third head
//
// Weights are Float32Arrays, as they are in training. What is computed from them are doubles.
import { softmax } from "./mathematics.js";

const MOST_MILLISECONDS = 6; // of work before the page gets its turn: less than half a frame

export class GPT {
  #blocks;

  // The parameters: Float32Arrays by the names of GPT-2's checkpoints. A matrix is row after row.
  constructor(config, params) {
    this.config = config;
    this.params = params;
    this.#blocks = Array.from({ length: config.n_layers }, (_, i) => subset(params, `h.${i}.`));
  }

  // Whoever reads a text with this model has a reader, which remembers the text.
  reader() {
    return new Reader(this);
  }

  // The end of a text, as much as the model can see at once.
  window(tokens) {
    return tokens.slice(-this.config.n_positions);
  }

  // The residual stream of a token before the first block: E_t + P_i.
  embed(token, position) {
    const { d_model } = this.config;
    const row = (table, i) => table.subarray(i * d_model, (i + 1) * d_model);
    return add(row(this.params["wte.weight"], token), row(this.params["wpe.weight"], position));
  }

  // All blocks for one token, whose keys and values join those of the tokens before it.
  // Gives a list of what `block` gives.
  pass(x, past) {
    return this.#blocks.map((params, i) => {
      const layer = block(x, params, past[i], this.config);
      x = layer.after;
      return layer;
    });
  }

  // LayerNorm(x) E^T. After the last block these are the model's logits. Earlier they are what it
  // would say if it stopped there: the logit lens.
  logits(x) {
    const { d_model, vocab_size, eps } = this.config;
    const normal = layerNorm(x, this.params["ln_f.weight"], this.params["ln_f.bias"], eps);
    const embedding = this.params["wte.weight"];
    const logits = new Float64Array(vocab_size);
    for (let token = 0; token < vocab_size; token += 1) {
      logits[token] = dot(normal, embedding, token * d_model);
    }
    return logits;
  }
}

// Reads a text token by token and keeps the keys and values, which later tokens do not change.
// So a new token costs one token's work, and so does a text that differs from the last in its end.
export class Reader {
  #gpt;
  #tokens = [];
  #layers = []; // for each token, what `pass` gave
  #past; // for each block, {keys, values}, one of each for each token
  #turn = 0; // grows whenever the reader is told to do something else

  constructor(gpt) {
    this.#gpt = gpt;
    this.#past = Array.from({ length: gpt.config.n_layers }, () => ({ keys: [], values: [] }));
  }

  get tokens() {
    return [...this.#tokens];
  }

  // Read one more token, and give the logits of the next.
  read(token) {
    this.#requireText([...this.#tokens, token]);
    this.#turn += 1;
    this.#append(token);
    return this.logits();
  }

  // Forget all but the first `length` tokens.
  rewind(length = 0) {
    this.#turn += 1;
    this.#tokens.length = this.#layers.length = Math.min(length, this.#tokens.length);
    for (const { keys, values } of this.#past) keys.length = values.length = this.#tokens.length;
  }

  // Make these tokens the text, and give the logits of the next (null if there are none). What the
  // old text and the new have in common at their beginnings is not read again. The page stays
  // responsive. If the signal says so, or the reader is told to do something else, this ends in an
  // AbortError.
  async readAll(tokens, { signal } = {}) {
    signal?.throwIfAborted();
    const text = [...tokens]; // the caller's may change meanwhile
    this.#requireText(text);
    this.rewind(commonLength(text, this.#tokens));
    const turn = this.#turn;
    const pause = pacer();
    while (this.#tokens.length < text.length) {
      await pause();
      signal?.throwIfAborted();
      if (turn !== this.#turn) throw new DOMException("The reader reads another text.", "AbortError");
      this.#append(text[this.#tokens.length]);
    }
    return text.length > 0 ? this.logits() : null;
  }

  // The logits of the token after a position, by default after the last.
  logits(position = this.#tokens.length - 1) {
    return this.#gpt.logits(this.trace(position).at(-1).after);
  }

  // What happened at a position, by default the last: for each layer {before, query, key, value,
  // attention, between, after}. The residual stream is `before` the layer, `between` attention and
  // feed-forward network, and `after` both. `query`, `key` and `value` hold those of all heads, one
  // after the other; `attention`, for each head, the weights of the tokens up to this one.
  trace(position = this.#tokens.length - 1) {
    const layers = this.#layers[position];
    if (!layers) throw new RangeError(`No token was read at position ${position}.`);
    return layers;
  }

  #append(token) {
    const x = this.#gpt.embed(token, this.#tokens.length);
    this.#layers.push(this.#gpt.pass(x, this.#past));
    this.#tokens.push(token);
  }

  #requireText(tokens) {
    const { vocab_size, n_positions } = this.#gpt.config;
    if (tokens.length > n_positions) {
      throw new RangeError(`The model sees at most ${n_positions} tokens, got ${tokens.length}.`);
    }
    for (const token of tokens) {
      if (Number.isInteger(token) && token >= 0 && token < vocab_size) continue;
      throw new RangeError(`A token must be an integer from 0 to ${vocab_size - 1}, got ${token}.`);
    }
  }
}

// y = x + Attention(LayerNorm(x)), z = y + FFN(LayerNorm(y)), for one token: x is `before`, y is
// `between`, z is `after`, and `attention` holds the weights of each head.
function block(x, params, past, { n_heads, eps }) {
  const normal = layerNorm(x, params["ln_1.weight"], params["ln_1.bias"], eps);
  const together = dense(normal, params["attn.c_attn.weight"], params["attn.c_attn.bias"]);
  const [query, key, value] = split(together, 3);
  past.keys.push(key);
  past.values.push(value);
  const attention = split(query, n_heads).map((q, head) => attend(q, past.keys, head));
  const mixed = mix(attention, past.values);
  const between = add(x, dense(mixed, params["attn.c_proj.weight"], params["attn.c_proj.bias"]));
  const normalBetween = layerNorm(between, params["ln_2.weight"], params["ln_2.bias"], eps);
  const thought = feedForward(normalBetween, params);
  return { before: x, query, key, value, attention, between, after: add(between, thought) };
}

// softmax(q K^T / sqrt(d_head)) for one query. Later tokens are not there yet: no mask is needed.
function attend(query, keys, head) {
  const size = query.length;
  const scores = keys.map((key) => dot(query, key, head * size) / Math.sqrt(size));
  return softmax(scores);
}

// The weighted sum of the values, each head for its own part of the vector.
function mix(attention, values) {
  const mixed = new Float64Array(values[0].length);
  const size = mixed.length / attention.length;
  attention.forEach((weights, head) => {
    for (let position = 0; position < values.length; position += 1) {
      const value = values[position];
      const weight = weights[position];
      for (let i = head * size; i < (head + 1) * size; i += 1) mixed[i] += weight * value[i];
    }
  });
  return mixed;
}

function feedForward(x, params) {
  const hidden = dense(x, params["mlp.c_fc.weight"], params["mlp.c_fc.bias"]).map(gelu);
  return dense(hidden, params["mlp.c_proj.weight"], params["mlp.c_proj.bias"]);
}

// x W + b, where W is (d_in, d_out).
export function dense(x, w, b) {
  const y = new Float64Array(b);
  let k = 0; // walks through W in the order in which it lies in memory
  for (let i = 0; i < x.length; i += 1) {
    const xi = x[i];
    for (let j = 0; j < y.length; j += 1, k += 1) y[j] += xi * w[k];
  }
  return y;
}

// The dot product of x with the part of y that begins at an index.
function dot(x, y, begin) {
  let sum = 0;
  for (let i = 0; i < x.length; i += 1) sum += x[i] * y[begin + i];
  return sum;
}

// g (x - mean) / sqrt(variance + eps) + b
export function layerNorm(x, g, b, eps) {
  let mean = 0;
  for (let i = 0; i < x.length; i += 1) mean += x[i] / x.length;
  let variance = 0;
  for (let i = 0; i < x.length; i += 1) variance += (x[i] - mean) ** 2 / x.length;
  const y = new Float64Array(x.length);
  const deviation = Math.sqrt(variance + eps);
  for (let i = 0; i < x.length; i += 1) y[i] = (g[i] * (x[i] - mean)) / deviation + b[i];
  return y;
}

// x times the probability that a normal number is smaller, in the approximation of GPT-2.
export function gelu(x) {
  return x * (0.5 + 0.5 * Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

function add(a, b) {
  const sum = new Float64Array(a.length);
  for (let i = 0; i < a.length; i += 1) sum[i] = a[i] + b[i];
  return sum;
}

function split(x, parts) {
  const size = x.length / parts;
  return Array.from({ length: parts }, (_, i) => x.subarray(i * size, (i + 1) * size));
}

function subset(params, prefix) {
  const within = Object.entries(params).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(within.map(([name, values]) => [name.slice(prefix.length), values]));
}

function commonLength(a, b) {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i += 1;
  return i;
}

// Call and await before each step of a long work: lets the page do what waits, typing for one,
// whenever the next step, if it takes as long as the last, would end too late.
export function pacer() {
  let begin = performance.now();
  let last = begin;
  return async () => {
    let now = performance.now();
    if (now - begin + (now - last) > MOST_MILLISECONDS) {
      await new Promise((resolve) => setTimeout(resolve));
      begin = now = performance.now();
    }
    last = now;
  };
}
