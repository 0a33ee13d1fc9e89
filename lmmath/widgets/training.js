// Chapter 6: optimizers race down a surface, from a point that the reader moves.
import { contour } from "./kit/contours.js";
import { linspace } from "./engines/mathematics.js";
import { adamwUpdate, sgdUpdate } from "./engines/optimizers.js";
import { plot } from "./kit/plot.js";
import { animate, button, element, fill, formatNumber, heatMap } from "./kit/shared.js";
import { options, setTrait, slider, status, toggle, watch } from "./kit/shared.js";

const N_STEPS = 150;
const STEPS_PER_SECOND = 30;
const PLANE = { x: [-2, 2], y: [-1.2, 1.8] };
const HEIGHT = 257.5; // so that a unit is as long along both axes of the plane
const LEVELS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

export const SURFACES = {
  "long valley": {
    loss: (x, y) => (x * x + 50 * y * y) / 2,
    gradient: (x, y) => [x, 50 * y],
  },
  "curved valley": {
    loss: (x, y) => ((1 - x) ** 2 + 10 * (y - x * x) ** 2) / 8,
    gradient: (x, y) => [(x - 1) / 4 - 5 * x * (y - x * x), (5 * (y - x * x)) / 2],
  },
  "two valleys": {
    loss: (x, y) => (x * x - 1) ** 2 + (x - 1) ** 2 / 5 + 5 * y * y,
    gradient: (x, y) => [4 * x * (x * x - 1) + (2 * (x - 1)) / 5, 10 * y],
  },
};

const sgd = (rate, momentum) => (get) => (theta, gradient, velocity) =>
  sgdUpdate(theta, gradient, velocity, { rate: get(rate), momentum: momentum ? get(momentum) : 0 });

const adamw = (biasCorrection) => (get) => (theta, gradient, state) =>
  adamwUpdate(theta, gradient, state, {
    rate: get("adam_rate"),
    beta1: get("beta1"),
    beta2: get("beta2"),
    weightDecay: get("weight_decay"),
    biasCorrection,
  });

// By the trait that lets it run: its name, its look, and its update.
const RUNNERS = {
  gradient_descent: {
    ...{ name: "gradient descent", sign: "●", color: "blue", dash: "2 3", marker: "circle" },
    update: sgd("gradient_descent_rate"),
  },
  momentum: {
    ...{ name: "momentum", sign: "■", color: "vermilion", dash: "7 4", marker: "square" },
    update: sgd("momentum_rate", "mu"),
  },
  adam: {
    ...{ name: "Adam", sign: "◆", color: "green", dash: "none", marker: "diamond" },
    update: adamw(true),
  },
  adam_uncorrected: {
    ...{ name: "Adam without bias correction", sign: "▲" },
    ...{ color: "purple", dash: "9 3 2 3", marker: "triangle" },
    update: adamw(false),
  },
};

const RATE = { min: 0.001, max: 1, scale: "log" };
const SHARE = { min: 0, max: 0.99, step: 0.01 };
const ADAMS = ["adam", "adam_uncorrected"];
// The numbers to be set: their traits, the optimizers that use them, and their sliders.
const SETTINGS = [
  { trait: "gradient_descent_rate", of: ["gradient_descent"], label: "Gradient descent: η", ...RATE },
  { trait: "momentum_rate", of: ["momentum"], label: "Momentum: η", ...RATE },
  { trait: "mu", of: ["momentum"], label: "Momentum: μ", ...SHARE },
  { trait: "adam_rate", of: ADAMS, label: "Adam: η", ...RATE },
  { trait: "beta1", of: ADAMS, label: "Adam: β₁", ...SHARE },
  { trait: "beta2", of: ADAMS, label: "Adam: β₂", min: 0.9, max: 0.999, step: 0.001 },
  { trait: "weight_decay", of: ADAMS, label: "Adam: weight decay λ", min: 0, max: 1, step: 0.01 },
];

// The path of one runner and the losses on it, before the first step and after each.
export function run(get, runner) {
  const { loss, gradient } = SURFACES[get("surface")];
  const update = RUNNERS[runner].update(get);
  const path = [[get("start_x"), get("start_y")]];
  for (let step = 0, memory; step < N_STEPS; step++) {
    const [moved, kept] = update(path[step], gradient(...path[step]), memory);
    memory = kept;
    path.push(moved);
  }
  return { path, losses: path.map((point) => loss(...point)) };
}

function render({ model, el, signal }) {
  const get = (name) => model.get(name);
  const surfaces = Object.keys(SURFACES).map((value) => ({ value, label: value }));
  const toggles = Object.keys(RUNNERS).map((trait) => runnerToggle(model, trait, signal));
  const attributes = { role: "group", "aria-label": "Optimizers" };
  const [surface, curves] = [surfacePlot(model), lossPlot()];
  const steps = { label: "Step", min: 0, max: N_STEPS, step: 1, whole: true };
  const words = status(signal);
  const first = element("p", { className: "lm-note" });
  const sliders = SETTINGS.map(({ trait, ...scale }) => slider(model, trait, scale, signal));
  fill(
    el,
    signal,
    options(model, "surface", surfaces, "Surface", signal),
    element("div", { className: "lm-controls", attributes }, ...toggles),
    element(
      "div",
      { className: "lm-controls" },
      raceButton(model, signal),
      slider(model, "step", steps, signal),
    ),
    element("div", { className: "lm-plots" }, surface.element, curves.element),
    words.element,
    first,
    element("div", { className: "lm-training-settings" }, ...sliders),
  );
  el.classList.add("lm-training");

  let runs = {}; // of those that take part
  const show = () => {
    const step = Math.round(Math.max(0, Math.min(N_STEPS, get("step")))) || 0;
    surface.draw(runs, step);
    curves.draw(runs, step);
    const says = describe(runs, step);
    words.say(says);
    curves.describe(`Loss by step, on a logarithmic scale. ${says}`);
  };
  const race = () => {
    const there = Object.keys(RUNNERS).filter(get);
    runs = Object.fromEntries(there.map((runner) => [runner, run(get, runner)]));
    sliders.forEach((one, i) => (one.hidden = !SETTINGS[i].of.some(get)));
    first.textContent = ADAMS.some(get) ? firstStep(get) : "";
    show();
  };
  const numbers = ["start_x", "start_y", ...SETTINGS.map(({ trait }) => trait)];
  watch(model, ["surface"], () => surface.paint(), signal);
  watch(model, ["surface", ...Object.keys(RUNNERS), ...numbers], race, signal);
  watch(model, ["step"], show, signal);
}

function runnerToggle(model, trait, signal) {
  const { name, sign, color } = RUNNERS[trait];
  const made = toggle(model, trait, name, signal);
  made.lastChild.before(element("span", { className: `lm-${color}`, ariaHidden: "true" }, sign));
  return made;
}

// The surface from above: darker where the loss is larger, with lines of equal loss.
function surfacePlot(model) {
  const [xs, ys] = [linspace(...PLANE.x, 101), linspace(...PLANE.y, 76)];
  const shades = heatMap("");
  shades.canvas.setAttribute("aria-hidden", true); // the plot above it has the words
  const axis = ([from, to], label) => ({ label, from, to });
  const plane = plot({
    label: "The surface",
    x: axis(PLANE.x, "θ₁"),
    y: axis(PLANE.y, "θ₂"),
    height: HEIGHT,
  });
  const levels = plane.line({ color: "ink", dash: "none" });
  const views = {}; // of the surfaces that were seen
  const racers = tracks(plane);
  const start = plane.handle({
    label: "Start",
    x: {},
    y: {},
    color: "ink",
    move({ x, y }) {
      setTrait(model, "start_x", x);
      setTrait(model, "start_y", y);
    },
  });
  return {
    element: element("div", { className: "lm-training-surface" }, shades.canvas, plane.element),
    paint() {
      const name = model.get("surface");
      const { rows, lines } = (views[name] ??= viewOf(SURFACES[name].loss, xs, ys));
      shades.draw(rows);
      levels.draw(...lines);
    },
    draw(runs, step) {
      racers.draw(runs, (trait) => {
        const columns = [0, 1].map((i) => runs[trait].path.slice(0, step + 1).map((point) => point[i]));
        return { line: columns, here: columns.map((column) => [column[step]]) };
      });
      start.draw(model.get("start_x"), model.get("start_y"));
      const names = Object.keys(runs).map((trait) => RUNNERS[trait].name);
      plane.describe(
        `The ${model.get("surface")} from above, with lines of equal loss, and ${step} steps of ` +
          `${names.join(", ") || "no optimizer"}.`,
      );
    },
  };
}

// What a surface looks like from above: the shades, whose first row is on top, and the lines.
function viewOf(loss, xs, ys) {
  const heights = ys.map((y) => xs.map((x) => loss(x, y)));
  const highest = Math.max(...heights.flat());
  const shade = (height) => (0.4 * Math.log1p(height)) / Math.log1p(highest);
  const rows = heights.map((row) => row.map(shade)).reverse();
  const levels = LEVELS.map((level) => contour(xs, ys, heights, level));
  return { rows, lines: ["xs", "ys"].map((name) => levels.flatMap((line) => line[name])) };
}

function lossPlot() {
  const curves = plot({
    label: "Loss by step",
    x: { label: "step", from: 0, to: N_STEPS },
    y: { label: "loss", from: 1e-6, to: 1e3, scale: "log" },
    height: HEIGHT,
  });
  const now = curves.vertical();
  const racers = tracks(curves);
  const steps = Array.from({ length: N_STEPS + 1 }, (_, i) => i);
  return {
    ...curves,
    draw(runs, step) {
      now.draw(step);
      racers.draw(runs, (trait) => {
        const { losses } = runs[trait];
        return { line: [steps, losses], here: [[step], [losses[step]]] };
      });
    },
  };
}

// For each optimizer a line, and a sign where it is now.
function tracks(figure) {
  const parts = Object.entries(RUNNERS).map(([trait, { color, dash, marker }]) => {
    return { trait, line: figure.line({ color, dash }), sign: figure.points({ color, marker }) };
  });
  return {
    draw(runs, placed) {
      for (const { trait, line, sign } of parts) {
        line.show(trait in runs);
        sign.show(trait in runs);
        if (!(trait in runs)) continue;
        const places = placed(trait);
        line.draw(...places.line);
        sign.draw(...places.here);
      }
    },
  };
}

// From the first step to the last, unless it is pressed again or the step is moved by hand.
function raceButton(model, signal) {
  let stop;
  const ended = () => {
    stop = undefined;
    made.textContent = "Race";
  };
  const made = button("Race", () => {
    if (stop) return stop();
    let reached = 0;
    made.textContent = "Stop";
    setTrait(model, "step", 0);
    stop = animate((seconds) => {
      if (model.get("step") !== Math.floor(reached)) return false;
      reached = Math.min(N_STEPS, reached + STEPS_PER_SECOND * seconds);
      setTrait(model, "step", Math.floor(reached));
      return reached < N_STEPS;
    }, signal, ended);
  });
  return made;
}

// How far each is, the lowest first, and who is lost.
function describe(runs, step) {
  const all = Object.entries(runs).map(([trait, { path, losses }]) => {
    return { name: RUNNERS[trait].name, point: path[step], loss: losses[step] };
  });
  if (all.length === 0) return "Choose an optimizer.";
  const ranked = all.filter(({ loss }) => Number.isFinite(loss)).sort((a, b) => a.loss - b.loss);
  const lost = all.filter(({ loss }) => !Number.isFinite(loss)).map(({ name }) => name);
  const losses = ranked.map(({ name, point, loss }) => {
    return `${name} ${formatNumber(loss, 2)}${isInPlane(point) ? "" : " (outside the picture)"}`;
  });
  const sentences = [];
  const steps = step === 1 ? "1 step" : `${step} steps`;
  if (losses.length > 0) sentences.push(`Loss after ${steps}: ${losses.join(", ")}.`);
  if (lost.length > 0) sentences.push(`Diverged beyond all numbers: ${lost.join(", ")}.`);
  return sentences.join(" ");
}

function isInPlane([x, y]) {
  return x >= PLANE.x[0] && x <= PLANE.x[1] && y >= PLANE.y[0] && y <= PLANE.y[1];
}

// (1 - β₁) / √(1 - β₂) times the rate, if both averages are left as they begin.
export function firstStep(get) {
  const rate = get("adam_rate");
  const factor = (1 - get("beta1")) / Math.sqrt(1 - get("beta2"));
  const apart = get("weight_decay") > 0 ? ", weight decay apart," : "";
  return (
    `Adam’s first step${apart} moves each parameter that has a gradient by the rate, ` +
    `${formatNumber(rate)}. ` +
    `Without bias correction it is (1 − β₁)/√(1 − β₂) = ${formatNumber(factor)} times as long, ` +
    `${formatNumber(factor * rate)}.`
  );
}

export default { render };
