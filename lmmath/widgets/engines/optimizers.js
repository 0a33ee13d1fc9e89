// The updates of lmmath.training.optimizers, on plain arrays of numbers.

// u_t = μ u_{t-1} + g_t;  θ_t = θ_{t-1} - η u_t. At μ = 0 this is gradient descent.
export function sgdUpdate(theta, gradient, velocity, { rate, momentum = 0 }) {
  const carried = gradient.map((g, i) => momentum * (velocity?.[i] ?? 0) + g);
  return [theta.map((value, i) => value - rate * carried[i]), carried];
}

// Averages of the gradient and of its square, each divided by how much of it is gradients yet:
// θ_t = θ_{t-1} - η (m̂_t / (√v̂_t + ε) + λ θ_{t-1}). Without the corrections, m and v as they are.
export function adamwUpdate(theta, gradient, state, options) {
  const { rate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, biasCorrection = true } = options;
  const step = (state?.step ?? 0) + 1;
  const [total1, total2] = biasCorrection ? [1 - beta1 ** step, 1 - beta2 ** step] : [1, 1];
  const m = gradient.map((g, i) => beta1 * (state?.m[i] ?? 0) + (1 - beta1) * g);
  const v = gradient.map((g, i) => beta2 * (state?.v[i] ?? 0) + (1 - beta2) * (g * g));
  const moved = theta.map((value, i) => {
    const change = m[i] / total1 / (Math.sqrt(v[i] / total2) + eps) + weightDecay * value;
    return value - rate * change;
  });
  return [moved, { step, m, v }];
}
