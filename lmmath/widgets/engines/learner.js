// A GPT that learns a text in the browser, as lmmath.training has it learn.
//
//   const learner = new Learner({ config, tokens, seed: 0 });
//   const { step, loss } = learner.step(0.001); // an update with this learning rate
//   learner.gpt(); // the model as it is now, to read and write with
//   const saved = learner.state(); // Learner.from(saved, tokens) goes on as if it had never stopped
import { adamw, adamwInit, clipByGlobalNorm } from "./adamw.js";
import { GPT } from "./gpt.js";
import {
  requireBetas,
  requireConfig,
  requireCount,
  requireNotNegative,
  requireParams,
  requirePositive,
  requireSizes,
  requireTokens,
} from "./gpt_checks.js";
import { gptShapes } from "./gpt_file.js";
import { Trainer } from "./gpt_gradients.js";
import { copies, fill, mapped, product } from "./named.js";
import { randomNumbers } from "./random.js";

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

  get config() {
    return { ...this.#config };
  }

  get batchSize() {
    return this.#settings.batchSize;
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
