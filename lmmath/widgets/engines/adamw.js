// AdamW, and the clipping before it, on parameters by their names: the updates of lmmath.training, in
// place, as a model in training has too many numbers to copy at each step.
import { requirePositive } from "./gpt_checks.js";
import { mapped } from "./named.js";

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
