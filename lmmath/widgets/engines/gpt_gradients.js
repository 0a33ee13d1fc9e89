// The loss of a GPT and its gradient: the formulas of lmmath.transformer forward, and then backward.
//
// Each layer is a function, and after it comes its backward: from dy, the gradient of the loss with
// respect to the layer's output y, it computes dx, and the gradients of the layer's parameters.
// Numbers are stored as the parameters are: in Float32Arrays for training, in Float64Arrays where a
// comparison needs more digits.
import { requireConfig, requireParams, requireTexts } from "./gpt_checks.js";
import { gptShapes } from "./gpt_file.js";
import { Matrix, Workspace } from "./matrices.js";
import { copies, fill, mapped } from "./named.js";

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
