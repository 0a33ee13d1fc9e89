// A network of two inputs and one output, sigmoid(mlp(params, x, activation)) in lmmath, and how
// it learns. `params` has the names and shapes of lmmath's, as nested arrays. Without a hidden
// layer there are only "0.weight" and "0.bias", and the sigmoid is the one activation.
import { ACTIVATIONS, sigmoid } from "./activations.js";

const STEEPNESS = 4; // of a neuron that is drawn: enough to tell one side of its line from the other
// The weight in the output of a neuron that moves into a hidden layer. A larger one could saturate
// the output, where nothing is learned.
const SAY = 0.5;

// The neurons that see the inputs: {w: [w1, w2], b}. One in a hidden layer also has `out`, its
// weight in the output.
export function neuronsOf(params) {
  const [[w1, w2], out] = [params["0.weight"], params["1.weight"]];
  return params["0.bias"].map((b, j) => ({ w: [w1[j], w2[j]], b, out: out?.[j][0] }));
}

// The bias of the output, if there is a hidden layer before it.
export function outputBias(params) {
  return params["1.bias"]?.[0];
}

export function hiddenOf(params) {
  return outputBias(params) === undefined ? 0 : params["0.bias"].length;
}

export function paramsOf(neurons, bias) {
  const first = {
    "0.weight": [0, 1].map((i) => neurons.map(({ w }) => w[i])),
    "0.bias": neurons.map(({ b }) => b),
  };
  if (bias === undefined) return first;
  return { ...first, "1.weight": neurons.map(({ out }) => [out]), "1.bias": [bias] };
}

const sumOf = ({ w, b }, [x1, x2]) => w[0] * x1 + w[1] * x2 + b;

// The output, as a function of the input.
export function network(params, activation) {
  const [neurons, bias] = [neuronsOf(params), outputBias(params)];
  if (bias === undefined) return (x) => sigmoid(sumOf(neurons[0], x));
  const { of } = ACTIVATIONS[activation];
  return (x) => {
    let z = bias;
    for (const neuron of neurons) z += neuron.out * of(sumOf(neuron, x));
    return sigmoid(z);
  };
}

// The mean squared error, and its gradient under the names of `params`.
export function learn(params, activation, points, targets) {
  const [neurons, bias] = [neuronsOf(params), outputBias(params)];
  const hidden = bias !== undefined;
  const { of, slope } = ACTIVATIONS[activation];
  const slopes = neurons.map(() => ({ w: [0, 0], b: 0, out: 0 }));
  let [error, biasSlope] = [0, 0];
  points.forEach((x, i) => {
    const sums = neurons.map((neuron) => sumOf(neuron, x));
    const values = hidden ? sums.map(of) : sums;
    const z = hidden ? neurons.reduce((sum, { out }, j) => sum + out * values[j], bias) : sums[0];
    const y = sigmoid(z);
    const miss = y - targets[i];
    error += miss ** 2 / points.length;
    const dz = (2 * miss * y * (1 - y)) / points.length;
    slopes.forEach((total, j) => {
      const ds = hidden ? dz * neurons[j].out * slope(sums[j], values[j]) : dz;
      total.w[0] += ds * x[0];
      total.w[1] += ds * x[1];
      total.b += ds;
      total.out += dz * values[j];
    });
    biasSlope += dz;
  });
  return { error, gradient: paramsOf(slopes, hidden ? biasSlope : undefined) };
}

// A step of gradient descent.
export function descend(params, gradient, rate) {
  const moved = (value, slope) =>
    Array.isArray(value) ? value.map((one, i) => moved(one, slope[i])) : value - rate * slope;
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, moved(value, gradient[name])]),
  );
}

// A neuron whose line runs in any direction through the middle of the unit square, where the
// points are, and whose weight in the output has the variance 2 / (number of neurons).
function drawNeuron(random, count) {
  const angle = 2 * Math.PI * random();
  const w = [STEEPNESS * Math.cos(angle), STEEPNESS * Math.sin(angle)];
  const through = [0.2 + 0.6 * random(), 0.2 + 0.6 * random()];
  const out = Math.sqrt(6 / count) * (2 * random() - 1);
  return { w, b: -sumOf({ w, b: 0 }, through), out };
}

// Params to begin with, for so many hidden neurons; for 0, of a single neuron.
export function drawParams(hidden, random) {
  const count = Math.max(1, hidden);
  const neurons = Array.from({ length: count }, () => drawNeuron(random, count));
  return paramsOf(neurons, hidden > 0 ? 0 : undefined);
}

// Params for another number of hidden neurons. Those that stay keep their numbers.
export function resized(params, hidden, random) {
  const drawn = neuronsOf(drawParams(hidden, random));
  const kept = neuronsOf(params).slice(0, drawn.length);
  for (const neuron of kept) neuron.out ??= SAY;
  const bias = hidden > 0 ? (outputBias(params) ?? 0) : undefined;
  return paramsOf([...kept, ...drawn.slice(kept.length)], bias);
}
