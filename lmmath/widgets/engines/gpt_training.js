// Training a GPT in the browser: the formulas of lmmath.transformer and lmmath.training, backward too.
//
//   const learner = new Learner({ config, tokens, seed: 0 });
//   const { step, loss } = learner.step(0.001); // an update with this learning rate
//   learner.gpt(); // the model as it is now, to read and write with
//   const saved = learner.state(); // Learner.from(saved, tokens) goes on as if it had never stopped
//
// Each layer is a function, and after it comes its backward: from dy, the gradient of the loss with
// respect to the layer's output y, it computes dx, and the gradients of the layer's parameters.
// Numbers are stored as the parameters are: in Float32Arrays for training, in Float64Arrays where a
// comparison needs more digits.
import { GPT } from "./gpt.js";
import { gptShapes } from "./gpt_file.js";
import { randomNumbers } from "./random.js";

// The parameters of a GPT that has learned nothing yet. Matrices are normal with standard deviation
// 0.02. The two that write to the residual stream have 0.02 / √(2 n_layers), so that the sum of what
// all layers write does not grow with their number. Biases are 0 and gains 1.
export function initParams(config, random) {
  const sizes = requireConfig(config);
  return mapped(gptShapes(sizes), (shape, name) => {
    const values = new Float32Array(product(shape));
    if (shape.length === 1) return values.fill(name.endsWith(".weight") ? 1 : 0);
    const scale = name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(2 * sizes.n_layers) : 0.02;
    for (let i = 0; i < values.length; i += 1) values[i] = scale * normal(random);
    return values;
  });
}

// A number from the standard normal distribution, by the method of Box and Muller.
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

// The mean cross-entropy of the targets, in nats per token, and its gradient: {loss, gradients}.
// `inputs` and `targets` are arrays of texts of the same length, each an array of token ids. With
// `simd` false, plain JavaScript does what WebAssembly would.
export function lossAndGradients(params, config, inputs, targets, { simd = true } = {}) {
  const sizes = requireConfig(config);
  const Numbers = requireParams(params, gptShapes(sizes));
  const length = requireTexts({ inputs, targets }, sizes);
  const trainer = new Trainer(sizes, { batchSize: inputs.length, length, Numbers, simd });
  fill(trainer.params, params);
  const flat = (texts) => Int32Array.from(texts.flatMap((text) => Array.from(text)));
  const loss = trainer.lossAndGradients(flat(inputs), flat(targets));
  return { loss, gradients: copies(trainer.gradients) };
}

// All numbers of a model in training, and the memory in which each step does its work.
export class Trainer {
  #config;
  #workspace;
  #matrices;

  constructor(config, { batchSize, length, Numbers = Float32Array, simd = true }) {
    this.#config = { ...config, length };
    const sizes = { ...config, batchSize, length };
    this.#workspace = new Workspace(Numbers, memoryOf(sizes), simd);
    this.#matrices = layOut(sizes, (rows, columns) => this.#workspace.take(rows, columns));
    this.params = mapped(this.#matrices.params, ({ numbers }) => numbers);
    this.gradients = mapped(this.#matrices.gradients, ({ numbers }) => numbers);
  }

  get hasKernel() {
    return this.#workspace.hasKernel;
  }

  // Gives the loss, and leaves its gradient in `gradients`. The texts come one after the other.
  lossAndGradients(inputs, targets) {
    this.#forward(inputs);
    const loss = crossEntropy(this.#matrices.logits, targets); // which become their own gradient
    this.#backward(inputs);
    return loss;
  }

  // logits = LayerNorm(x) E^T, with x the residual stream after the last block.
  #forward(inputs) {
    const { params, layers, final, logits } = this.#matrices;
    const { length, eps } = this.#config;
    const embedding = params["wte.weight"];
    embed(layers[0].before, inputs, embedding, params["wpe.weight"], length);
    layers.forEach((layer, i) => {
      block(this.#workspace, (layers[i + 1] ?? final).before, layer, eps);
    });
    layerNorm(final.norm, final.before, eps);
    this.#workspace.multiply(logits, final.norm.y, embedding.transposed);
  }

  // The embedding E has two gradients, one as the matrix of the output and one as that of the input.
  #backward(inputs) {
    const { params, gradients, layers, final, logits: dLogits, flow } = this.#matrices;
    const dEmbedding = gradients["wte.weight"];
    this.#workspace.multiply(dEmbedding, dLogits.transposed, final.norm.y);
    this.#workspace.multiply(flow.dNorm, dLogits, params["wte.weight"]);
    flow.dStream.numbers.fill(0);
    layerNormBackward(flow.dStream, flow.dNorm, final.norm);
    for (let i = layers.length - 1; i >= 0; i -= 1) blockBackward(this.#workspace, flow, layers[i]);
    embedBackward(dEmbedding, gradients["wpe.weight"], flow.dStream, inputs, this.#config.length);
  }
}

// The matrices of a training. `take` makes one of so many rows and columns.
function layOut(sizes, take) {
  const { d_model: d, d_ff, n_layers, n_heads, vocab_size, batchSize, length } = sizes;
  const n = batchSize * length;
  const forEachParameter = () =>
    mapped(gptShapes(sizes), (shape) => take(shape.length > 1 ? shape[0] : 1, shape.at(-1)));
  const [params, gradients] = [forEachParameter(), forEachParameter()];
  const learned = (name) => ({
    w: params[`${name}.weight`],
    b: params[`${name}.bias`],
    dw: gradients[`${name}.weight`],
    db: gradients[`${name}.bias`],
  });
  const norm = (name) => ({ ...learned(name), y: take(n, d), normal: take(n, d), inverse: take(n, 1) });
  const flow = {
    dStream: take(n, d),
    dNorm: take(n, d),
    dMixed: take(n, d),
    dTogether: take(n, 3 * d),
    dWeights: take(length, length),
    dHidden: take(n, d_ff),
  };
  const layers = Array.from({ length: n_layers }, (_, i) => {
    const layer = {
      before: take(n, d),
      norm1: norm(`h.${i}.ln_1`),
      attention: learned(`h.${i}.attn.c_attn`),
      together: take(n, 3 * d), // queries, keys and values
      weights: take(batchSize * n_heads * length, length),
      mixed: take(n, d),
      attentionOut: learned(`h.${i}.attn.c_proj`),
      between: take(n, d),
      norm2: norm(`h.${i}.ln_2`),
      feed: learned(`h.${i}.mlp.c_fc`),
      hidden: take(n, d_ff),
      gate: take(n, d_ff),
      active: take(n, d_ff),
      feedOut: learned(`h.${i}.mlp.c_proj`),
    };
    return { ...layer, heads: headsOf(layer, flow, sizes) };
  });
  const final = { before: take(n, d), norm: norm("ln_f") };
  return { params, gradients, flow, layers, final, logits: take(n, vocab_size) };
}

// The part of each head of each text in the matrices of a layer.
function headsOf(layer, flow, { d_model: d, n_heads, batchSize, length }) {
  const size = d / n_heads;
  return Array.from({ length: batchSize * n_heads }, (_, i) => {
    const [row, column] = [Math.floor(i / n_heads) * length, (i % n_heads) * size];
    const part = (matrix, begin = 0) => matrix.part(row, length, begin + column, size);
    return {
      query: part(layer.together),
      key: part(layer.together, d),
      value: part(layer.together, 2 * d),
      weights: layer.weights.part(i * length, length, 0, length),
      mixed: part(layer.mixed),
      dQuery: part(flow.dTogether),
      dKey: part(flow.dTogether, d),
      dValue: part(flow.dTogether, 2 * d),
      dWeights: flow.dWeights,
      dMixed: part(flow.dMixed),
    };
  });
}

// The layers

// y = x + Attention(LayerNorm(x)), z = y + FFN(LayerNorm(y)); x is `before`, and y is `between`.
function block(workspace, z, layer, eps) {
  const { before, norm1, mixed, between, norm2, active } = layer;
  layerNorm(norm1, before, eps);
  dense(workspace, layer.together, norm1.y, layer.attention);
  for (const head of layer.heads) attend(workspace, head);
  dense(workspace, between, mixed, layer.attentionOut);
  add(between, before);
  layerNorm(norm2, between, eps);
  dense(workspace, layer.hidden, norm2.y, layer.feed);
  gelu(active, layer.gate, layer.hidden);
  dense(workspace, z, active, layer.feedOut);
  add(z, between);
}

// dStream is first dz, then dy, then dx. A sum hands its gradient on to both summands: one stays in the
// stream, and to it is added what comes back through the other.
function blockBackward(workspace, flow, layer) {
  const { dStream, dNorm, dMixed, dTogether, dHidden } = flow;
  denseBackward(workspace, dHidden, dStream, layer.active, layer.feedOut);
  geluBackward(dHidden, layer.gate, layer.hidden);
  denseBackward(workspace, dNorm, dHidden, layer.norm2.y, layer.feed);
  layerNormBackward(dStream, dNorm, layer.norm2);
  denseBackward(workspace, dMixed, dStream, layer.mixed, layer.attentionOut);
  for (const head of layer.heads) attendBackward(workspace, head);
  denseBackward(workspace, dNorm, dTogether, layer.norm1.y, layer.attention);
  layerNormBackward(dStream, dNorm, layer.norm1);
}

// x = E_t + P_i for the token t at position i.
function embed(x, tokens, embedding, positions, length) {
  const [X, E, P] = [x.numbers, embedding.numbers, positions.numbers];
  const d = x.columns;
  for (let row = 0; row < x.rows; row += 1) {
    const [to, from, position] = [row * d, tokens[row] * d, (row % length) * d];
    for (let j = 0; j < d; j += 1) X[to + j] = E[from + j] + P[position + j];
  }
}

// dE_t += dx, dP_i = the sum of dx over all texts.
function embedBackward(dEmbedding, dPositions, dx, tokens, length) {
  const [dX, dE, dP] = [dx.numbers, dEmbedding.numbers, dPositions.numbers];
  const d = dx.columns;
  dP.fill(0);
  for (let row = 0; row < dx.rows; row += 1) {
    const [from, to, position] = [row * d, tokens[row] * d, (row % length) * d];
    for (let j = 0; j < d; j += 1) {
      dE[to + j] += dX[from + j];
      dP[position + j] += dX[from + j];
    }
  }
}

// y = x W + b
function dense(workspace, y, x, { w, b }) {
  workspace.multiply(y, x, w);
  const [Y, B] = [y.numbers, b.numbers];
  for (let i = 0; i < Y.length; i += B.length) {
    for (let j = 0; j < B.length; j += 1) Y[i + j] += B[j];
  }
}

// dx = dy W^T, dW = x^T dy, db = the sum of the rows of dy.
function denseBackward(workspace, dx, dy, x, { w, dw, db }) {
  workspace.multiply(dx, dy, w.transposed);
  workspace.multiply(dw, x.transposed, dy);
  const [dY, dB] = [dy.numbers, db.numbers];
  dB.fill(0);
  for (let i = 0; i < dY.length; i += dB.length) {
    for (let j = 0; j < dB.length; j += 1) dB[j] += dY[i + j];
  }
}

// y = g n + b, where n = (x - mean) r is `normal`, and r = 1 / sqrt(variance + eps) is `inverse`.
function layerNorm({ y, normal, inverse, w, b }, x, eps) {
  const [X, Y, N, R] = [x.numbers, y.numbers, normal.numbers, inverse.numbers];
  const [G, B] = [w.numbers, b.numbers];
  const d = x.columns;
  for (let row = 0; row < x.rows; row += 1) {
    const at = row * d;
    let mean = 0;
    for (let j = 0; j < d; j += 1) mean += X[at + j];
    mean /= d;
    let variance = 0;
    for (let j = 0; j < d; j += 1) {
      const difference = X[at + j] - mean;
      variance += difference * difference;
    }
    const r = 1 / Math.sqrt(variance / d + eps);
    R[row] = r;
    for (let j = 0; j < d; j += 1) {
      const n = (X[at + j] - mean) * r;
      N[at + j] = n;
      Y[at + j] = G[j] * n + B[j];
    }
  }
}

// dx += r (h - mean(h) - n mean(h n)), where h = g dy; dg = the sum of dy n, db = the sum of dy.
function layerNormBackward(dx, dy, { normal, inverse, w, dw, db }) {
  const [dX, dY, N, R] = [dx.numbers, dy.numbers, normal.numbers, inverse.numbers];
  const [G, dG, dB] = [w.numbers, dw.numbers, db.numbers];
  const d = dx.columns;
  dG.fill(0);
  dB.fill(0);
  for (let row = 0; row < dx.rows; row += 1) {
    const at = row * d;
    const r = R[row];
    let meanH = 0;
    let meanHN = 0;
    for (let j = 0; j < d; j += 1) {
      const dyj = dY[at + j];
      const n = N[at + j];
      dG[j] += dyj * n;
      dB[j] += dyj;
      meanH += G[j] * dyj;
      meanHN += G[j] * dyj * n;
    }
    meanH /= d;
    meanHN /= d;
    for (let j = 0; j < d; j += 1) dX[at + j] += r * (G[j] * dY[at + j] - meanH - N[at + j] * meanHN);
  }
}

// A = softmax(Q K^T / sqrt(d_head)), without the keys that come after the query; O = A V.
function attend(workspace, { query, key, value, weights, mixed }) {
  workspace.multiply(weights, query, key.transposed);
  const [A, n, scale] = [weights.numbers, weights.columns, 1 / Math.sqrt(query.columns)];
  for (let i = 0; i < n; i += 1) {
    const at = weights.begin + i * n;
    let largest = -Infinity;
    for (let j = 0; j <= i; j += 1) if (A[at + j] > largest) largest = A[at + j];
    let total = 0;
    for (let j = 0; j <= i; j += 1) {
      const exponential = Math.exp(scale * (A[at + j] - largest));
      A[at + j] = exponential;
      total += exponential;
    }
    const factor = 1 / total;
    for (let j = 0; j <= i; j += 1) A[at + j] *= factor;
    for (let j = i + 1; j < n; j += 1) A[at + j] = 0;
  }
  workspace.multiply(mixed, weights, value);
}

// dV = A^T dO, dA = dO V^T. Of the scores: dS_ij = A_ij (dA_ij - sum_k A_ik dA_ik).
// dQ = dS K / sqrt(d_head), dK = dS^T Q / sqrt(d_head).
function attendBackward(workspace, head) {
  const { query, key, value, weights, dQuery, dKey, dValue, dWeights, dMixed } = head;
  workspace.multiply(dValue, weights.transposed, dMixed);
  workspace.multiply(dWeights, dMixed, value.transposed);
  const [A, dA] = [weights.numbers, dWeights.numbers];
  const [n, scale] = [weights.columns, 1 / Math.sqrt(query.columns)];
  for (let i = 0; i < n; i += 1) {
    const [at, to] = [weights.begin + i * n, i * n];
    let mean = 0;
    for (let j = 0; j <= i; j += 1) mean += A[at + j] * dA[to + j];
    for (let j = 0; j <= i; j += 1) dA[to + j] = scale * A[at + j] * (dA[to + j] - mean);
    for (let j = i + 1; j < n; j += 1) dA[to + j] = 0;
  }
  workspace.multiply(dQuery, dWeights, key);
  workspace.multiply(dKey, dWeights.transposed, query);
}

const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBE = 0.044715;

// y = x s(u), where s is the sigmoid and u = 2 sqrt(2 / π) (x + 0.044715 x³). That is GPT-2's
// y = x (1 + tanh(u / 2)) / 2, as 1 + tanh(u / 2) = 2 s(u). The `gate` is s(u).
function gelu(y, gate, x) {
  const [X, Y, S] = [x.numbers, y.numbers, gate.numbers];
  for (let i = 0; i < X.length; i += 1) {
    const xi = X[i];
    const s = 1 / (1 + Math.exp(-GELU_SLOPE * (xi + GELU_CUBE * xi * xi * xi)));
    S[i] = s;
    Y[i] = xi * s;
  }
}

// dx = dy (s + x s (1 - s) u'), where dy is, and dx will be.
function geluBackward(dy, gate, x) {
  const [X, S, dY] = [x.numbers, gate.numbers, dy.numbers];
  for (let i = 0; i < X.length; i += 1) {
    const xi = X[i];
    const s = S[i];
    dY[i] *= s + xi * s * (1 - s) * GELU_SLOPE * (1 + 3 * GELU_CUBE * xi * xi);
  }
}

// The mean of -log softmax(x)_c over all rows x of the logits, with c the row's target.
// Leaves the gradient in the place of the logits: (softmax(x)_i - [i = c]) / rows.
function crossEntropy(logits, targets) {
  const [X, d] = [logits.numbers, logits.columns];
  let loss = 0;
  for (let row = 0; row < logits.rows; row += 1) {
    const at = row * d;
    let largest = -Infinity;
    for (let j = 0; j < d; j += 1) if (X[at + j] > largest) largest = X[at + j];
    const ofTarget = X[at + targets[row]] - largest;
    let total = 0;
    for (let j = 0; j < d; j += 1) {
      const exponential = Math.exp(X[at + j] - largest);
      X[at + j] = exponential;
      total += exponential;
    }
    loss += Math.log(total) - ofTarget;
    const factor = 1 / (total * logits.rows);
    for (let j = 0; j < d; j += 1) X[at + j] *= factor;
    X[at + targets[row]] -= 1 / logits.rows;
  }
  return loss / logits.rows;
}

// x += y
function add(x, y) {
  const [X, Y] = [x.numbers, y.numbers];
  for (let i = 0; i < X.length; i += 1) X[i] += Y[i];
}

// The updates

// Shorten all gradients together, in place, so that their length is at most `maxNorm`:
// g *= min(1, maxNorm / ‖g‖). Gives the length that they had.
export function clipByGlobalNorm(gradients, maxNorm) {
  requirePositive({ maxNorm });
  let squares = 0;
  for (const gradient of Object.values(gradients)) {
    for (let i = 0; i < gradient.length; i += 1) squares += gradient[i] * gradient[i];
  }
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm)) {
    const wrong = Object.keys(gradients).filter((name) => !gradients[name].every(Number.isFinite));
    throw new Error(`The gradients must have a finite norm, got ${norm}: see ${wrong.join(", ")}.`);
  }
  if (norm <= maxNorm) return norm;
  const factor = maxNorm / norm;
  for (const gradient of Object.values(gradients)) {
    for (let i = 0; i < gradient.length; i += 1) gradient[i] *= factor;
  }
  return norm;
}

// What AdamW remembers, before the first step.
export function adamwInit(params) {
  const zeros = () => mapped(params, (values) => new values.constructor(values.length));
  return { step: 0, m: zeros(), v: zeros() };
}

// Change the parameters θ and the state in place:
//   m = β1 m + (1 - β1) g,  v = β2 v + (1 - β2) g²,
//   θ -= η (m̂ / (sqrt(v̂) + ε) + λ θ),  with m̂ = m / (1 - β1^t) and v̂ = v / (1 - β2^t).
// Only parameters whose names `decayed` holds have λ > 0; all do if it is not given.
export function adamw(params, gradients, state, options) {
  const { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, decayed } = options;
  requirePositive({ learningRate, eps });
  const [beta1, beta2] = betas;
  state.step += 1;
  const [total1, total2] = [1 - beta1 ** state.step, 1 - beta2 ** state.step];
  for (const [name, theta] of Object.entries(params)) {
    const [G, M, V] = [gradients[name], state.m[name], state.v[name]];
    const decay = !decayed || decayed.has(name) ? weightDecay : 0;
    for (let i = 0; i < theta.length; i += 1) {
      const g = G[i];
      const m = beta1 * M[i] + (1 - beta1) * g;
      const v = beta2 * V[i] + (1 - beta2) * g * g;
      M[i] = m;
      V[i] = v;
      theta[i] -= learningRate * (m / total1 / (Math.sqrt(v / total2) + eps) + decay * theta[i]);
    }
  }
}

// A model that learns a text: an array of token ids, from which each step draws `batchSize` windows.
// The settings and their defaults are those of lmmath.training.TrainingConfig, but for a smaller batch.
// `params` are the first parameters, drawn with the seed if they are not given.
export class Learner {
  #config;
  #settings;
  #tokens;
  #trainer;
  #optimizer;
  #matrices; // the names of the parameters that decay
  #inputs;
  #targets;

  constructor({
    config,
    tokens,
    params,
    seed = 0,
    batchSize = 8,
    betas = [0.9, 0.95],
    weightDecay = 0.1,
    maxNorm = 1,
    simd = true,
  }) {
    this.#config = requireConfig(config);
    requireCount({ seed });
    requireSizes({ batchSize });
    requireBetas(betas);
    requireNotNegative({ weightDecay });
    requirePositive({ maxNorm });
    const { n_positions: length } = this.#config;
    const shapes = gptShapes(this.#config);
    this.#tokens = requireTokens(tokens, this.#config);
    this.#settings = { seed, batchSize, betas: [...betas], weightDecay, maxNorm };
    const first = params ?? initParams(this.#config, randomNumbers(seed));
    const Numbers = requireParams(first, shapes);
    this.#trainer = new Trainer(this.#config, { batchSize, length, Numbers, simd });
    fill(this.#trainer.params, first);
    this.#optimizer = adamwInit(this.#trainer.params);
    this.#matrices = new Set(Object.keys(shapes).filter((name) => shapes[name].length > 1));
    this.#inputs = new Int32Array(batchSize * length);
    this.#targets = new Int32Array(batchSize * length);
  }

  // Go on from what `state` gave, with the same text.
  static from(state, tokens, { simd = true } = {}) {
    const { config, settings, params, m, v, step } = state;
    requireCount({ step });
    const learner = new Learner({ config, tokens, params, ...settings, simd });
    const shapes = gptShapes(learner.#config);
    requireParams(m, shapes, "m");
    requireParams(v, shapes, "v");
    fill(learner.#optimizer.m, m);
    fill(learner.#optimizer.v, v);
    learner.#optimizer.step = step;
    return learner;
  }

  get steps() {
    return this.#optimizer.step;
  }

  // Whether products are computed by WebAssembly, some six times as fast as without.
  get hasKernel() {
    return this.#trainer.hasKernel;
  }

  // Make an update. Gives its number, and the loss before it in nats per token. If there is an error,
  // nothing has changed.
  step(learningRate) {
    requirePositive({ learningRate });
    const { betas, weightDecay, maxNorm } = this.#settings;
    const { params, gradients } = this.#trainer;
    this.#draw();
    const loss = this.#trainer.lossAndGradients(this.#inputs, this.#targets);
    if (!Number.isFinite(loss)) {
      throw new Error(`The loss must be finite, got ${loss} at step ${this.steps + 1}.`);
    }
    clipByGlobalNorm(gradients, maxNorm);
    const options = { learningRate, betas, weightDecay, decayed: this.#matrices };
    adamw(params, gradients, this.#optimizer, options);
    return { step: this.steps, loss };
  }

  // A copy of all that goes on from here; it can be stored, or sent from a worker to its page.
  state() {
    const { step, m, v } = this.#optimizer;
    return {
      config: { ...this.#config },
      settings: structuredClone(this.#settings),
      step,
      params: copies(this.#trainer.params),
      m: copies(m),
      v: copies(v),
    };
  }

  // The model as it is now. What is learned later does not change it.
  gpt() {
    return new GPT({ ...this.#config }, copies(this.#trainer.params));
  }

  // Windows of the text, with equal odds. They depend on the seed and the step alone: so nothing needs
  // to be remembered of those before.
  #draw() {
    const { n_positions: length } = this.#config;
    const { seed, batchSize } = this.#settings;
    const random = randomNumbers((seed + Math.imul(this.steps + 1, 0x9e3779b1)) | 0);
    for (let i = 0; i < batchSize; i += 1) {
      const begin = Math.floor(random() * (this.#tokens.length - length));
      this.#inputs.set(this.#tokens.subarray(begin, begin + length), i * length);
      this.#targets.set(this.#tokens.subarray(begin + 1, begin + 1 + length), i * length);
    }
  }
}

// The file

// What lmmath.checkpoints.save_model writes, with 32 bits for each number: an ArrayBuffer.
export function toFile(config, params) {
  const sizes = requireConfig(config);
  const shapes = gptShapes(sizes);
  requireParams(params, shapes);
  const names = Object.keys(shapes).sort();
  const tensors = names.map((name) => littleEndian(params[name]));
  const metadata = { config: JSON.stringify(sizes), format: "lmmath.model 1" };
  const checksum = hex(checksumOf(metadata, names, tensors));
  const header = { __metadata__: { checksum, ...metadata } };
  let end = 0;
  names.forEach((name, i) => {
    const data_offsets = [end, (end += tensors[i].length)];
    header[name] = { dtype: "F32", shape: shapes[name], data_offsets };
  });
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json + " ".repeat(-json.length & 7)); // a multiple of 8 bytes
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  names.forEach((name, i) => file.set(tensors[i], 8 + text.length + header[name].data_offsets[0]));
  return file.buffer;
}

function littleEndian(values) {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}

// Of the metadata, as Python's json.dumps would write it, and of each tensor's name and bytes.
function checksumOf({ config, format }, names, tensors) {
  const bytes = (text) => new TextEncoder().encode(text);
  const quoted = `{"config": ${JSON.stringify(config)}, "format": ${JSON.stringify(format)}}`;
  const parts = names.flatMap((name, i) => [bytes(name), tensors[i]]);
  return [bytes(quoted), ...parts].reduce((total, part) => crc32(part, total), 0);
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

// zlib's: the remainder of the bits, as a polynomial over the integers modulo 2.
function crc32(bytes, before) {
  let rest = ~before;
  for (let i = 0; i < bytes.length; i += 1) rest = CRC_TABLE[(rest ^ bytes[i]) & 255] ^ (rest >>> 8);
  return ~rest;
}

function hex(number) {
  return (number >>> 0).toString(16).padStart(8, "0");
}

// Matrices

// Numbers in memory, seen as a matrix: from one row to the next it is `step` numbers, and from one
// column to the next it is `across`.
class Matrix {
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
class Workspace {
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

// How many numbers all matrices of a training have, and how many the largest.
function memoryOf(sizes) {
  let [all, largest] = [0, 0];
  layOut(sizes, (rows, columns) => {
    all += rows * columns;
    largest = Math.max(largest, rows * columns);
    return new Matrix([], rows, columns);
  });
  return { all, largest };
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

// C = A B in WebAssembly, where an instruction computes with four numbers at a time. Places and steps
// are in bytes. It takes $rows, a multiple of 4, and $columns, a multiple of 8, with sums of $length
// products. Of four rows of C, $low0 to $low3 hold four columns, and $high0 to $high3 the next four.
//
//   (module
//     (import "host" "memory" (memory 1))
//     (func (export "multiply") (param $c i32) (param $a i32) (param $b i32)
//         (param $rows i32) (param $columns i32) (param $length i32)
//         (param $c_step i32) (param $a_step i32) (param $a_across i32) (param $b_step i32)
//       (local $row i32) (local $column i32) (local $left i32) (local $at i32) (local $down i32)
//       (local $x v128) (local $low v128) (local $high v128) (local $zero v128)
//       (local $low0 v128) (local $low1 v128) (local $low2 v128) (local $low3 v128)
//       (local $high0 v128) (local $high1 v128) (local $high2 v128) (local $high3 v128)
//       (loop $columns_of_c
//         (local.set $row (i32.const 0))
//         (loop $rows_of_c
//           (local.set $at (i32.add (local.get $a) (i32.mul (local.get $row) (local.get $a_step))))
//           (local.set $down (i32.add (local.get $b) (i32.shl (local.get $column) (i32.const 2))))
//           (local.set $low0 (local.get $zero)) (local.set $high0 (local.get $zero))
//           (local.set $low1 (local.get $zero)) (local.set $high1 (local.get $zero))
//           (local.set $low2 (local.get $zero)) (local.set $high2 (local.get $zero))
//           (local.set $low3 (local.get $zero)) (local.set $high3 (local.get $zero))
//           (local.set $left (local.get $length))
//           (loop $sum
//             (local.set $low (v128.load (local.get $down)))
//             (local.set $high (v128.load offset=16 (local.get $down)))
//             (local.set $x (v128.load32_splat (local.get $at)))
//             (local.set $low0 (f32x4.add (local.get $low0) (f32x4.mul (local.get $x) (local.get $low))))
//             (local.set $high0 (f32x4.add (local.get $high0) (f32x4.mul (local.get $x) (local.get $high))))
//             (local.set $x (v128.load32_splat (i32.add (local.get $at) (local.get $a_step))))
//             (local.set $low1 (f32x4.add (local.get $low1) (f32x4.mul (local.get $x) (local.get $low))))
//             (local.set $high1 (f32x4.add (local.get $high1) (f32x4.mul (local.get $x) (local.get $high))))
//             (local.set $x (v128.load32_splat
//               (i32.add (local.get $at) (i32.mul (local.get $a_step) (i32.const 2)))))
//             (local.set $low2 (f32x4.add (local.get $low2) (f32x4.mul (local.get $x) (local.get $low))))
//             (local.set $high2 (f32x4.add (local.get $high2) (f32x4.mul (local.get $x) (local.get $high))))
//             (local.set $x (v128.load32_splat
//               (i32.add (local.get $at) (i32.mul (local.get $a_step) (i32.const 3)))))
//             (local.set $low3 (f32x4.add (local.get $low3) (f32x4.mul (local.get $x) (local.get $low))))
//             (local.set $high3 (f32x4.add (local.get $high3) (f32x4.mul (local.get $x) (local.get $high))))
//             (local.set $at (i32.add (local.get $at) (local.get $a_across)))
//             (local.set $down (i32.add (local.get $down) (local.get $b_step)))
//             (br_if $sum (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
//           (local.set $at (i32.add (local.get $c) (i32.add
//             (i32.mul (local.get $row) (local.get $c_step)) (i32.shl (local.get $column) (i32.const 2)))))
//           (v128.store (local.get $at) (local.get $low0))
//           (v128.store offset=16 (local.get $at) (local.get $high0))
//           (local.set $at (i32.add (local.get $at) (local.get $c_step)))
//           (v128.store (local.get $at) (local.get $low1))
//           (v128.store offset=16 (local.get $at) (local.get $high1))
//           (local.set $at (i32.add (local.get $at) (local.get $c_step)))
//           (v128.store (local.get $at) (local.get $low2))
//           (v128.store offset=16 (local.get $at) (local.get $high2))
//           (local.set $at (i32.add (local.get $at) (local.get $c_step)))
//           (v128.store (local.get $at) (local.get $low3))
//           (v128.store offset=16 (local.get $at) (local.get $high3))
//           (br_if $rows_of_c
//             (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 4))) (local.get $rows))))
//         (br_if $columns_of_c (i32.lt_u
//           (local.tee $column (i32.add (local.get $column) (i32.const 8))) (local.get $columns))))))
//
// What that assembles to, in base64:
const KERNEL =
  "AGFzbQEAAAABDgFgCn9/f39/f39/f38AAhABBGhvc3QGbWVtb3J5AgABAwIBAAcMAQhtdWx0aXBseQAACpEDAY4DAgV/DHsDQEEAIQoDQCABIAogB2xqIQ0gAiALQQJ0aiEOIBIhEyASIRcgEiEUIBIhGCASIRUgEiEZIBIhFiASIRogBSEMA0AgDv0ABAAhECAO/QAEECERIA39CQIAIQ8gEyAPIBD95gH95AEhEyAXIA8gEf3mAf3kASEXIA0gB2r9CQIAIQ8gFCAPIBD95gH95AEhFCAYIA8gEf3mAf3kASEYIA0gB0ECbGr9CQIAIQ8gFSAPIBD95gH95AEhFSAZIA8gEf3mAf3kASEZIA0gB0EDbGr9CQIAIQ8gFiAPIBD95gH95AEhFiAaIA8gEf3mAf3kASEaIA0gCGohDSAOIAlqIQ4gDEEBayIMDQALIAAgCiAGbCALQQJ0amohDSANIBP9CwQAIA0gF/0LBBAgDSAGaiENIA0gFP0LBAAgDSAY/QsEECANIAZqIQ0gDSAV/QsEACANIBn9CwQQIA0gBmohDSANIBb9CwQAIA0gGv0LBBAgCkEEaiIKIANJDQALIAtBCGoiCyAESQ0ACwsA1QEEbmFtZQKqAQEAGwABYwEBYQIBYgMEcm93cwQHY29sdW1ucwUGbGVuZ3RoBgZjX3N0ZXAHBmFfc3RlcAgIYV9hY3Jvc3MJBmJfc3RlcAoDcm93CwZjb2x1bW4MBGxlZnQNAmF0DgRkb3duDwF4EANsb3cRBGhpZ2gSBHplcm8TBGxvdzAUBGxvdzEVBGxvdzIWBGxvdzMXBWhpZ2gwGAVoaWdoMRkFaGlnaDIaBWhpZ2gzAyEBAAMADGNvbHVtbnNfb2ZfYwEJcm93c19vZl9jAgNzdW0=";

// Helpers and checks

function mapped(named, change) {
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [name, change(value, name)]));
}

function copies(named) {
  return mapped(named, (values) => values.slice());
}

function fill(named, values) {
  for (const name of Object.keys(named)) named[name].set(values[name]);
}

function product(shape) {
  return shape.reduce((total, size) => total * size, 1);
}

function requireConfig(config) {
  const { vocab_size, n_positions, d_model, n_layers, n_heads } = config ?? {};
  requireSizes({ vocab_size, n_positions, d_model, n_layers, n_heads });
  const { d_ff = 4 * d_model, eps = 1e-5 } = config;
  requireSizes({ d_ff });
  requirePositive({ eps });
  require(d_model % n_heads === 0, `n_heads must divide d_model = ${d_model}, got ${n_heads}`);
  return { vocab_size, n_positions, d_model, n_layers, n_heads, d_ff, eps };
}

// Gives the kind of array that they all are.
function requireParams(params, shapes, label = "params") {
  const kinds = [Float32Array, Float64Array];
  const Numbers = kinds.find((kind) => params?.["wte.weight"] instanceof kind);
  for (const [name, shape] of Object.entries(shapes)) {
    const values = params?.[name];
    const came = values?.constructor?.name ?? String(values);
    const kind = Numbers?.name ?? "Float32Array";
    require(Numbers && values instanceof Numbers, `${label}["${name}"] must be a ${kind}, got ${came}`);
    const size = product(shape);
    const counts = `${size} numbers, got ${values.length}`;
    require(values.length === size, `${label}["${name}"] must have ${counts}`);
    const wrong = values.find((value) => !Number.isFinite(value));
    require(wrong === undefined, `${label}["${name}"] must hold finite numbers, got ${wrong}`);
  }
  const unknown = Object.keys(params).filter((name) => !Object.hasOwn(shapes, name));
  require(unknown.length === 0, `${label} must have the names of a GPT's parameters, got ${unknown}`);
  return Numbers;
}

// Gives the length that they all have.
function requireTexts({ inputs, targets }, { vocab_size, n_positions }) {
  require(inputs?.length > 0, `inputs must hold at least one text, got ${inputs?.length ?? inputs}`);
  const { length } = inputs;
  require(targets?.length === length, `targets must be ${length} texts, got ${targets?.length ?? targets}`);
  const n = inputs[0].length;
  require(n > 0 && n <= n_positions, `inputs must have from 1 to ${n_positions} tokens, got ${n}`);
  for (const [name, texts] of Object.entries({ inputs, targets })) {
    for (const text of texts) {
      require(text.length === n, `${name} must have ${n} tokens in each text, got ${text.length}`);
      requireIds(name, text, vocab_size);
    }
  }
  return n;
}

function requireTokens(tokens, { vocab_size, n_positions }) {
  const came = tokens?.length ?? tokens;
  require(came > n_positions, `tokens must be at least ${n_positions + 1} ids, got ${came}`);
  requireIds("tokens", tokens, vocab_size);
  return Int32Array.from(tokens);
}

function requireIds(name, ids, vocab_size) {
  for (let i = 0; i < ids.length; i += 1) {
    const good = Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < vocab_size;
    require(good, `${name} must be integers from 0 to ${vocab_size - 1}, got ${ids[i]}`);
  }
}

function requireSizes(sizes) {
  for (const [name, size] of Object.entries(sizes)) {
    const good = Number.isSafeInteger(size) && size >= 1;
    require(good, `${name} must be an integer of at least 1, got ${size}`);
  }
}

function requireCount(counts) {
  for (const [name, count] of Object.entries(counts)) {
    const good = Number.isSafeInteger(count) && count >= 0;
    require(good, `${name} must be an integer of at least 0, got ${count}`);
  }
}

function requireBetas(betas) {
  const good = Array.isArray(betas) && betas.length === 2 && betas.every((b) => b >= 0 && b < 1);
  require(good, `betas must be two numbers from 0 to below 1, got ${betas}`);
}

function requirePositive(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    const good = Number.isFinite(number) && number > 0;
    require(good, `${name} must be a finite number above 0, got ${number}`);
  }
}

function requireNotNegative(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    const good = Number.isFinite(number) && number >= 0;
    require(good, `${name} must be a finite number of at least 0, got ${number}`);
  }
}

function require(condition, problem) {
  if (!condition) throw new RangeError(`${problem}.`);
}
