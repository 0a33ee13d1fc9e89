// Chapter 2: a gradient goes back through time, in two recurrent networks and in an LSTM.
import { sigmoid } from "./engines/activations.js";
import { dot, toNested } from "./engines/mathematics.js";
import { plot } from "./kit/plot.js";
import { element, fill, formatNumber, options, remembered, setTrait, slider, status, watch } from "./kit/shared.js";

const SIGMA = { min: 0.25, max: 8, step: 1.02, scale: "log" };
const BIAS = { min: 0, max: 6, step: 0.1 };
const LENGTHS = { from: 1e-20, to: 1e10 };
const RNN_TRAITS = ["inputs", "weights", "sigma_max", "activation"];
const LSTM_TRAITS = ["inputs", "lstm_weights", "lstm", "forget_bias"];

// Each activation, its slope where its output is h, and the steepest slope that it has anywhere.
const ACTIVATIONS = {
  tanh: { bend: Math.tanh, slope: (h) => 1 - h * h, steepest: 1, label: "tanh" },
  sigmoid: { bend: sigmoid, slope: (h) => h * (1 - h), steepest: 1 / 4, label: "sigmoid" },
  none: { bend: (a) => a, slope: () => 1, steepest: 1, label: "none" },
};

// h_t = φ(x_t + h_{t-1} W + b)
function rnn(inputs, w, b, activation) {
  const { bend } = ACTIVATIONS[activation];
  const columns = transpose(w);
  let h = b.map(() => 0);
  return inputs.map((x) => (h = add(x, times(h, columns), b).map(bend)));
}

function rnnGradientNorms(gradient, states, w, activation) {
  const { slope } = ACTIVATIONS[activation];
  const back = (g, t) => times(g.map((gi, i) => gi * slope(states[t][i])), w);
  return gradientNorms(gradient, states.length, back);
}

// All gates, candidates and cells: (i, f, g, o) = (σ, σ, tanh, σ)(x W_x + h W_h + b), c = f c + i g.
function lstm(inputs, wX, wH, b) {
  const [fromInput, fromOutput] = [transpose(wX), transpose(wH)];
  let h = wH.map(() => 0);
  let c = h;
  return inputs.map((x) => {
    const sums = add(times(x, fromInput), times(h, fromOutput), b);
    const part = (k) => sums.slice(k * h.length, (k + 1) * h.length);
    const [i, f, o] = [0, 1, 3].map((k) => part(k).map(sigmoid));
    const g = part(2).map(Math.tanh);
    const step = { i, f, g, o, before: c };
    c = c.map((_, j) => f[j] * c[j] + i[j] * g[j]);
    step.shown = c.map(Math.tanh);
    h = o.map((oj, j) => oj * step.shown[j]);
    return step;
  });
}

// The gradient of output and cell together, if the loss begins with `gradient` at the last output.
function lstmGradientNorms(gradient, run, wH) {
  const d = gradient.length;
  const back = (both, t) => {
    const { i, f, g, o, before, shown } = run[t];
    const toSums = Array(4 * d);
    const toCell = before.map((c, j) => {
      const fromOutput = both[j];
      const cell = both[d + j] + fromOutput * o[j] * (1 - shown[j] ** 2);
      toSums[j] = cell * g[j] * i[j] * (1 - i[j]);
      toSums[d + j] = cell * c * f[j] * (1 - f[j]);
      toSums[2 * d + j] = cell * i[j] * (1 - g[j] ** 2);
      toSums[3 * d + j] = fromOutput * shown[j] * o[j] * (1 - o[j]);
      return cell * f[j];
    });
    return [...times(toSums, wH), ...toCell];
  };
  return gradientNorms([...gradient, ...gradient.map(() => 0)], run.length, back);
}

// At distance k, the length after k steps back. Only the direction is carried, and the length kept
// as a logarithm, so that no step underflows or overflows.
function gradientNorms(gradient, n, back) {
  let [logLength, direction] = split(gradient);
  const norms = [Math.exp(logLength)];
  for (let t = n - 1; t >= 0; t--) {
    const [growth, next] = split(back(direction, t));
    logLength += growth;
    direction = next;
    norms.push(Math.exp(logLength));
  }
  return norms;
}

function split(vector) {
  const length = Math.hypot(...vector);
  return [Math.log(length), length === 0 ? vector : vector.map((value) => value / length)];
}

function add(...vectors) {
  return vectors[0].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0));
}

// A row times the matrix that has these columns.
function times(row, columns) {
  return columns.map((column) => dot(row, column));
}

function transpose(w) {
  return w[0].map((_, c) => w.map((row) => row[c]));
}

// All that the widget shows, from the traits alone.
export function compute(model) {
  return together(computeRNNs(model), computeLSTM(model));
}

const together = (rnns, cell) => ({ ...rnns, ...cell, norms: { ...rnns.norms, ...cell.norms } });

function computeRNNs(model) {
  const [inputs, weights] = [toNested(model.get("inputs")), toNested(model.get("weights"))];
  const [sigma, activation] = [model.get("sigma_max"), model.get("activation")];
  const d = weights[0].length;
  const [random, orthogonal] = weights.map((direction) => {
    const w = direction.map((row) => row.map((value) => sigma * value));
    const sums = add(...w);
    // A bias that lets sigmoids work around the middle of their range, where they are steepest.
    const b = sums.map((sum) => (activation === "sigmoid" ? -sum / 2 : 0));
    return rnnGradientNorms(ofLengthOne(d), rnn(inputs, w, b, activation), w, activation);
  });
  const distances = Array.from({ length: inputs.length + 1 }, (_, k) => k);
  const growth = ACTIVATIONS[activation].steepest * sigma;
  return { distances, growth, bound: distances.map((k) => growth ** k), norms: { random, orthogonal } };
}

function computeLSTM(model) {
  const [inputs, [wX, wH]] = [toNested(model.get("inputs")), toNested(model.get("lstm_weights"))];
  const d = wH.length;
  const bias = model.get("forget_bias");
  const biases = [0, bias, 0, 0].flatMap((value) => Array(d).fill(value)); // of i, f, g, o
  const alongCell = Array.from({ length: inputs.length + 1 }, (_, k) => sigmoid(bias) ** k);
  if (!model.get("lstm")) return { alongCell };
  const LSTM = lstmGradientNorms(ofLengthOne(d), lstm(inputs, wX, wH, biases), wH);
  return { alongCell, norms: { LSTM } };
}

const ofLengthOne = (d) => Array(d).fill(1 / Math.sqrt(d));

function render({ model, el, signal }) {
  const figure = lengthsPlot(model, signal);
  const activations = Object.entries(ACTIVATIONS).map(([value, { label }]) => ({ value, label }));
  const bias = slider(model, "forget_bias", { label: "Forget bias", ...BIAS }, signal);
  const controls = element(
    "div",
    { className: "lm-controls" },
    slider(model, "sigma_max", { label: "Largest singular value σₘₐₓ of W", ...SIGMA }, signal),
    options(model, "activation", activations, "Activation", signal),
    bias,
  );
  const words = status(signal);
  const beside = element("div", {}, controls, words.element);
  fill(el, signal, element("div", { className: "lm-plots" }, figure.element, beside));
  el.classList.add("lm-recurrence");

  const rnns = remembered(model, RNN_TRAITS, computeRNNs);
  const cell = remembered(model, LSTM_TRAITS, computeLSTM);
  const update = () => {
    const state = together(rnns(), cell());
    bias.hidden = !model.get("lstm");
    figure.draw(state);
    const says = describe(state);
    words.say(says);
    figure.describe(says);
  };
  watch(model, [...new Set([...RNN_TRAITS, ...LSTM_TRAITS])], update, signal);
}

// The curves, and two straight lines whose ends can be taken hold of.
function lengthsPlot(model, signal) {
  const n = () => model.get("inputs").shape[0];
  // Where the end of a line can be, if each step multiplies by a factor from `low` to `high`.
  const ends = (low, high) => ({ min: Math.max(low ** n(), 1e-150), max: Math.min(high ** n(), 1e150) });
  const figure = plot({
    label: "",
    x: { label: "steps back", from: 0, to: n() },
    y: { label: "length of the gradient", ...LENGTHS, scale: "log" },
    height: 260,
  });
  const curves = {
    random: figure.line({ label: "random W" }),
    orthogonal: figure.line({ label: "orthogonal W" }),
    LSTM: figure.line({ label: "LSTM", dash: "9 3 2 3" }),
  };
  const bound = figure.line({ label: "bound (γσₘₐₓ)ᵏ", color: "ink", dash: "4 3" });
  const alongCell = figure.line({ label: "cell alone, fᵏ", color: "green", dash: "1 3" });
  const boundEnd = figure.handle({
    label: "End of the bound, by which σₘₐₓ is set",
    color: "ink",
    y: { ...ends(SIGMA.min / 4, SIGMA.max), step: 1.01 ** n() },
    move({ y }) {
      const { steepest } = ACTIVATIONS[model.get("activation")];
      setTrait(model, "sigma_max", within(SIGMA, y ** (1 / n()) / steepest));
    },
    words: ({ y }) => `σₘₐₓ ${formatNumber(model.get("sigma_max"))}, bound ${formatNumber(y)}`,
  });
  const cellEnd = figure.handle({
    label: "End of the cell’s line, by which the forget bias is set",
    color: "green",
    y: { ...ends(sigmoid(BIAS.min), sigmoid(BIAS.max)), step: 1.5 },
    move: ({ y }) => setTrait(model, "forget_bias", within(BIAS, logit(y ** (1 / n())))),
    words: ({ y }) => `forget bias ${formatNumber(model.get("forget_bias"))}, ${formatNumber(y)} left`,
  });
  watch(model, ["inputs"], () => figure.axes({ x: { to: n() } }), signal);
  return {
    ...figure,
    draw(state) {
      for (const [name, curve] of Object.entries(curves)) {
        curve.show(name in state.norms);
        if (name in state.norms) curve.draw(state.distances, state.norms[name]);
      }
      bound.draw(state.distances, state.bound);
      boundEnd.draw(n(), state.bound.at(-1));
      const shown = "LSTM" in state.norms;
      alongCell.show(shown);
      alongCell.draw(state.distances, state.alongCell);
      cellEnd.draw(n(), shown ? state.alongCell.at(-1) : NaN); // without a place it is hidden
    },
  };
}

const logit = (p) => Math.log(p / (1 - p));

function within({ min, max }, value) {
  return Math.max(min, Math.min(max, Number(value.toPrecision(3))));
}

function describe({ distances, norms, growth, bound, alongCell }) {
  const end = (lengths) => formatNumber(lengths.at(-1), 2);
  const limit = growth < 1 ? "must vanish" : growth > 1 ? "may grow or vanish" : "cannot grow";
  const rnns = `${end(norms.random)} with the random W, ${end(norms.orthogonal)} with the orthogonal W`;
  const cell = norms.LSTM ? `; in the LSTM ${end(norms.LSTM)}, where fᵏ is ${end(alongCell)}` : "";
  return (
    `γσₘₐₓ = ${formatNumber(growth)}: the gradient ${limit}. After ${distances.at(-1)} steps back ` +
    `its length is ${rnns}${cell}; the bound is ${end(bound)}.`
  );
}

export default { render };
