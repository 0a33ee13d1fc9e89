// The activations of lmmath.neurons, each with its slope at x, where it has the value y.
export const ACTIVATIONS = {
  sigmoid: { of: sigmoid, slope: (x, y) => y * (1 - y) },
  tanh: { of: Math.tanh, slope: (x, y) => 1 - y * y },
  relu: { of: (x) => Math.max(0, x), slope: (x) => (x > 0 ? 1 : 0) },
  gelu: { of: (x) => x * normalCdf(x), slope: (x) => normalCdf(x) + x * normalDensity(x) },
};

// 1 / (1 + exp(-x)), with no exponent above 0, so that nothing overflows.
export function sigmoid(x) {
  const decay = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : decay) / (1 + decay);
}

function normalDensity(x) {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

// Phi(x) = 1/2 + density(x) (x + x³/3 + x⁵/(3·5) + ...), whose terms all have the sign of x:
// Marsaglia (2004), "Evaluating the normal distribution".
export function normalCdf(x) {
  if (Math.abs(x) > 8.3) return x > 0 ? 1 : 0; // what is missing is less than the rounding
  let [sum, term] = [x, x];
  for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(sum); odd += 2) {
    term *= (x * x) / odd;
    sum += term;
  }
  return 0.5 + normalDensity(x) * sum;
}
