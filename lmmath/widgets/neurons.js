// Chapter 1: move the lines of neurons by hand, or let gradient descent find their places.
import { descent } from "./kit/descent.js";
import { toNested } from "./engines/mathematics.js";
import { drawParams, hiddenOf, network, neuronsOf, outputBias, paramsOf, resized } from "./engines/mlp.js";
import { inHand, MOST_NEURONS, neuronPlane } from "./kit/neuron_plane.js";
import { plot } from "./kit/plot.js";
import { randomNumbers } from "./engines/random.js";
import { button, choice, element, fill, options, setTrait, slider, status, watch } from "./kit/shared.js";

const ACTIVATIONS = ["tanh", "sigmoid", "relu", "gelu"];
const SEED = 1;

// What the model holds, of the points those that are shown.
function stateOf(model) {
  const [points, targets] = ["points", "targets"].map((name) => toNested(model.get(name)));
  const data = Math.min(model.get("data"), points.length - 1);
  const [params, activation] = [model.get("params"), model.get("activation")];
  return { params, activation, points: points[data], targets: targets[data] };
}

function render({ model, el, signal }) {
  const random = randomNumbers(SEED);
  const words = status(signal);
  const plane = neuronPlane(model);
  const errors = errorPlot();
  const formulas = element("div", { className: "lm-formulas" });
  const write = (params) => setTrait(model, "params", params);
  const training = descent(() => stateOf(model), write, signal);

  const hidden = part(model, hiddenOf, (params, count) => resized(params, count, random));
  const layer = layerControls(model, signal);
  const train = button("Train", () => {
    if (training.running()) return training.pause();
    train.textContent = "Pause";
    training.start(() => (train.textContent = "Train"));
  });
  const start = () => write(drawParams(hidden.get(), random));

  const counter = { label: "Hidden neurons", min: 0, max: MOST_NEURONS, step: 1 };
  const buttons = [train, button("One step", training.step), button("New start", start)];
  const column = element(
    "div",
    { className: "lm-column" },
    slider(hidden, "hidden", counter, signal),
    element("div", { className: "lm-controls" }, ...buttons),
    errors.element,
  );
  fill(
    el,
    signal,
    choice(model, "data", "data_names", "Points", signal),
    element("div", { className: "lm-plots" }, plane.element, column),
    words.element,
    layer,
    formulas,
  );
  el.classList.add("lm-neurons");

  function update() {
    const state = stateOf(model);
    const outputs = state.points.map(network(state.params, state.activation));
    const error = meanSquaredError(outputs, state.targets);
    const record = training.follow(state.params, error);
    plane.draw(state, outputs);
    errors.draw(record.errors);
    layer.hidden = hidden.get() === 0;
    formulas.replaceChildren(...formulasOf(state).map((formula) => element("p", {}, formula)));
    if (!layer.hidden) formulas.children[inHand(model)].classList.add("lm-in-hand");
    const says = describe(hidden.get(), record.steps, state, outputs, error);
    words.say(says);
    plane.describe(`The plane of two inputs. ${says}`);
  }

  const others = ["activation", "data", "points", "targets"];
  for (const name of others) watch(model, [name], training.forget, signal);
  watch(model, ["params", "neuron", ...others], update, signal);
}

// The controls of what only a hidden layer has: its activation, and the weights behind it, which
// have no place in the plane.
function layerControls(model, signal) {
  const out = part(
    model,
    (params) => neuronsOf(params)[inHand(model)].out,
    (params, value) => {
      const neurons = neuronsOf(params);
      neurons[inHand(model)].out = value;
      return paramsOf(neurons, outputBias(params));
    },
  );
  const bias = part(model, outputBias, (params, value) => paramsOf(neuronsOf(params), value));
  const scale = { min: -10, max: 10, step: 0.1, format: (value) => signed(value) };
  const weight = slider(out, "out", { label: "", ...scale }, signal);
  const name = () => (weight.firstChild.textContent = `Weight of ${hiddenName(inHand(model))} in y`);
  watch(model, ["neuron", "params"], name, signal);
  const sliders = [weight, slider(bias, "bias", { label: "Bias of y", ...scale }, signal)];
  const all = ACTIVATIONS.map((value) => ({ value, label: value }));
  return element(
    "div",
    { className: "lm-column" },
    options(model, "activation", all, "Activation", signal),
    element("div", { className: "lm-plots" }, ...sliders),
  );
}

// A number that is a part of the params, like a trait of its own: for the controls of the kit.
function part(model, read, write) {
  const events = ["change:params", "change:neuron"];
  return {
    get: () => read(model.get("params")),
    set: (name, value) => model.set("params", write(model.get("params"), value)),
    save_changes: () => model.save_changes(),
    on: (event, react) => events.forEach((one) => model.on(one, react)),
    off: (event, react) => events.forEach((one) => model.off(one, react)),
  };
}

function errorPlot() {
  const figure = plot({
    label: "The mean squared error, step by step",
    x: { label: "steps", from: 0, to: 100 },
    y: { label: "mean squared error", from: 0, to: 0.5 },
    height: 200,
  });
  const curve = figure.line({ color: "blue", dash: "none" });
  const now = figure.points({ color: "blue", marker: "circle" });
  const guess = figure.horizontal();
  return {
    element: figure.element,
    draw(errors) {
      const [steps, values] = [0, 1].map((i) => errors.map((pair) => pair[i]));
      const last = 100 * 2 ** Math.ceil(Math.log2(Math.max(1, steps.at(-1) / 100)));
      const most = Math.max(...values) > 0.5 ? 1 : 0.5;
      figure.axes({ x: { to: last }, y: { to: most } });
      curve.draw(steps, values);
      now.draw(steps.slice(-1), values.slice(-1));
      guess.draw(0.25, "always ½");
    },
  };
}

function meanSquaredError(outputs, targets) {
  return outputs.reduce((sum, y, i) => sum + (y - targets[i]) ** 2, 0) / outputs.length;
}

function describe(hidden, steps, { targets }, outputs, error) {
  const who = hidden === 0 ? "A single neuron" : `${hidden} hidden neuron${hidden > 1 ? "s" : ""}`;
  const when = steps === 0 ? "" : `, after ${steps} step${steps > 1 ? "s" : ""}`;
  const right = outputs.filter((y, i) => y > 0.5 === (targets[i] === 1)).length;
  return `${who}${when}: ${right} of ${targets.length} points right, error ${error.toFixed(3)}.`;
}

// The formula of each neuron with its numbers; the last is that of the output.
function formulasOf({ params, activation }) {
  const neurons = neuronsOf(params);
  const sums = neurons.map(({ w, b }) => sumOf([[w[0], " x₁"], [w[1], " x₂"], [b, ""]]));
  const bias = outputBias(params);
  if (bias === undefined) return [`y = sigmoid(${sums[0]})`];
  const output = sumOf([...neurons.map(({ out }, j) => [out, ` ${hiddenName(j)}`]), [bias, ""]]);
  return [...sums.map((sum, j) => `${hiddenName(j)} = ${activation}(${sum})`), `y = sigmoid(${output})`];
}

function hiddenName(j) {
  return `h${"₁₂₃₄₅₆₇₈"[j]}`;
}

function sumOf(terms) {
  const written = terms.map(([factor, name]) => signed(factor) + name);
  return written.join(" + ").replaceAll("+ −", "− ");
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}

export default { render };
