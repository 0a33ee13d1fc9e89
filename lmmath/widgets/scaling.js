// Chapter 7: split a budget between parameters and data, by one law or another.
import { geomspace, toNested } from "./engines/mathematics.js";
import { plot } from "./kit/plot.js";
import { element, fill, formatNumber, options, setTrait, slider, status, watch } from "./kit/shared.js";

const FABLE = "Fable"; // the name of the law that is fitted to the book's own runs
// What is drawn: parameters and tokens from and to, losses from and to, and those of the curves.
const PLANES = {
  published: {
    budget: "flops",
    ...{ n: [1e8, 1e13], d: [1e9, 1e14], loss: [1.2, 3.6] },
    levels: [1.4, 1.6, 1.8, 1.9, 2, 2.2, 2.5, 3],
  },
  fable: {
    budget: "fable_flops",
    ...{ n: [2e3, 2e6], d: [5e3, 5e6], loss: [0.4, 2.8] },
    levels: [0.6, 0.65, 0.7, 0.8, 1, 1.4, 2],
  },
};

// Each law depends on one sum, A / N^alpha + B / D^beta: Hoffmann's adds a floor to it, and
// Kaplan's is a power of it. What makes the sum least makes the loss least.
export function asSum(law) {
  if ("E" in law) {
    return { ...law, loss: (sum) => law.E + sum, sum: (loss) => loss - law.E };
  }
  const alpha = law.alpha_n / law.alpha_d;
  const terms = { A: law.n_c ** alpha, B: law.d_c, alpha, beta: 1 };
  return { ...terms, loss: (sum) => sum ** law.alpha_d, sum: (loss) => loss ** (1 / law.alpha_d) };
}

export function lossOf(law, n, d) {
  const { A, B, alpha, beta, loss } = asSum(law);
  return loss(A / n ** alpha + B / d ** beta);
}

// The numbers of parameters and tokens with 6ND = flops at which the loss is least.
export function bestSplit(law, flops) {
  const { A, B, alpha, beta } = asSum(law);
  const g = ((alpha * A) / (beta * B)) ** (1 / (alpha + beta));
  return [g * (flops / 6) ** (beta / (alpha + beta)), (flops / 6) ** (alpha / (alpha + beta)) / g];
}

// Numbers of parameters and of tokens with the same loss, and those among them that cost least,
// which are a best split.
export function equalLoss(law, loss) {
  const { A, B, alpha, beta, sum } = asSum(law);
  const whole = sum(loss);
  const at = (odds) => {
    const share = odds / (1 + odds); // of the sum: the model's part
    return [(A / (whole * share)) ** (1 / alpha), ((B * (1 + odds)) / whole) ** (1 / beta)];
  };
  const possible = whole > 0; // no model gets below the floor
  const pairs = possible ? geomspace(1e-6, 1e6, 121).map(at) : [];
  const curve = [pairs.map(([n]) => n), pairs.map(([, d]) => d)];
  return { curve, cheapest: possible ? at(beta / alpha) : [NaN, NaN] };
}

// All that the traits say: the split of the budget, the best split, and the losses of both.
export function compute(model) {
  const name = model.get("law");
  const plane = name === FABLE ? PLANES.fable : PLANES.published;
  const law = model.get("laws")[name];
  const flops = model.get(plane.budget);
  const n = Math.sqrt(flops / 6 / model.get("tokens_per_param"));
  const d = flops / 6 / n;
  const best = bestSplit(law, flops);
  return { name, plane, law, flops, n, d, loss: lossOf(law, n, d), best, bestLoss: lossOf(law, ...best) };
}

// The run that is nearest to a split, by the factors between them.
export function nearestRun(runs, n, d) {
  const distance = ([n2, d2]) => Math.hypot(Math.log(n2 / n), Math.log(d2 / d));
  return runs.reduce((near, run) => (distance(run) < distance(near) ? run : near));
}

function render({ model, el, signal }) {
  const [plane, valley] = [planePlot(model), valleyPlot()];
  const words = status(signal);
  const note = element(
    "p",
    { className: "lm-note" },
    "Each run read its text twice or more, a short text many times, so it cost more than 6ND.",
  );
  const plots = element("div", { className: "lm-plots" }, plane.element, valley.element);
  plots.style.alignItems = "end"; // level, whatever the height of their legends
  const operations = { label: "Budget 6ND", unit: " operations", scale: "log", step: 10 ** 0.05 };
  const budgets = {
    flops: slider(model, "flops", { ...operations, min: 1e20, max: 1e26 }, signal),
    fable_flops: slider(model, "fable_flops", { ...operations, min: 1e9, max: 1e13 }, signal),
  };
  const laws = Object.keys(model.get("laws")).map((value) => {
    return { value, label: value === FABLE ? "the book’s runs on Fable" : value };
  });
  fill(
    el,
    signal,
    options(model, "law", laws, "Law of", signal),
    element("div", { className: "lm-controls" }, ...Object.values(budgets)),
    words.element,
    plots,
    note,
  );
  const update = () => {
    const state = compute(model);
    for (const [name, control] of Object.entries(budgets)) control.hidden = name !== state.plane.budget;
    plane.draw(state);
    valley.draw(state, model.get("floor"));
    note.hidden = state.name !== FABLE;
    words.say(describe(state) + (note.hidden ? "" : compare(state, model)));
  };
  const moved = ["law", "flops", "fable_flops", "tokens_per_param"];
  watch(model, [...moved, "laws", "runs", "floor"], update, signal);
}

const range = ([from, to]) => ({ from, to, scale: "log" });

// Models and budgets: parameters across, tokens up.
function planePlot(model) {
  const { n, d } = PLANES.published;
  const figure = plot({
    label: "Parameters and tokens",
    x: { label: "parameters N", ...range(n) },
    y: { label: "tokens D", ...range(d) },
    height: 300,
  });
  const contours = figure.line({ label: "equal loss", color: "ink", dash: "1 3" });
  const levels = figure.captions();
  const bestLine = figure.line({ label: "best splits", color: "green", dash: "7 4" });
  const budget = figure.line({ label: "your budget", color: "blue", dash: "none" });
  const markers = ["circle", "square", "triangle", "diamond"];
  const models = Object.entries(model.get("models")).map(([label, split], i) => {
    const point = figure.points({ label, color: "ink", marker: markers[i % markers.length] });
    point.draw(...split.map((size) => [size]));
    return point;
  });
  const runs = figure.points({ label: "runs", color: "ink", marker: "circle" });
  const best = figure.points({ color: "green", marker: "diamond" });
  let shown; // the state that is drawn
  const knob = figure.handle({
    label: "Split of the budget",
    x: { step: 10 ** 0.05 },
    words: () => `${amount(shown.n)} parameters, ${amount(shown.d)} tokens, loss ${shown.loss.toFixed(3)}`,
    move: ({ x }) => {
      const { plane, flops } = shown;
      const [least, most] = plane.d.map((size) => flops / 6 / size).reverse();
      const inside = Math.max(least, Math.min(most, x)); // where the line of the budget is in the plot
      setTrait(model, "tokens_per_param", flops / 6 / inside ** 2);
    },
  });

  function draw(state) {
    shown = state;
    const { plane, law, flops, name } = state;
    figure.axes({ x: range(plane.n), y: range(plane.d) });
    const curves = plane.levels.map((level) => equalLoss(law, level));
    const joined = (i) => curves.flatMap(({ curve }) => [...curve[i], NaN]);
    contours.draw(joined(0), joined(1));
    levels.draw(
      curves.map(({ cheapest }) => cheapest[0]),
      curves.map(({ cheapest }) => cheapest[1]),
      plane.levels.map(String),
    );
    const ends = [0, 1].map((i) => bestSplit(law, 6 * plane.n[i] * plane.d[i]));
    bestLine.draw(...[0, 1].map((axis) => ends.map((end) => end[axis])));
    budget.draw(plane.n, plane.n.map((size) => flops / 6 / size));
    for (const point of models) point.show(name !== FABLE);
    runs.show(name === FABLE);
    const all = toNested(model.get("runs"));
    runs.draw(...[0, 1].map((axis) => all.map((run) => run[axis])));
    best.draw([state.best[0]], [state.best[1]]);
    knob.draw(state.n, state.d);
    figure.describe(
      "The plane of parameters and tokens, with curves of equal loss, the line of best splits, " +
        `and the line of the budget. The best split of it has ${split(state.best)}.`,
    );
  }
  return { element: figure.element, draw };
}

// The loss along the line of the budget.
function valleyPlot() {
  const { n, loss } = PLANES.published;
  const figure = plot({
    label: "Loss on this budget",
    x: { label: "parameters N", ...range(n) },
    y: { label: "loss on this budget, nats per token", from: loss[0], to: loss[1] },
    height: 300,
  });
  const curve = figure.line({ color: "blue", dash: "none" });
  const floorLine = figure.horizontal();
  const best = figure.points({ color: "green", marker: "diamond", label: "best split" });
  const here = figure.points({ color: "vermilion", marker: "circle", label: "your split" });

  function draw(state, exact) {
    const { plane, law, flops, name } = state;
    figure.axes({ x: range(plane.n), y: { from: plane.loss[0], to: plane.loss[1] } });
    const sizes = geomspace(...plane.n, 201);
    curve.draw(sizes, sizes.map((size) => lossOf(law, size, flops / 6 / size)));
    floorLine.show("E" in law);
    if (name === FABLE) floorLine.draw(exact, `exact floor ${exact.toFixed(3)}`);
    else floorLine.draw(law.E, `floor E = ${law.E}`);
    best.draw([state.best[0]], [state.bestLoss]);
    here.draw([state.n], [state.loss]);
    figure.describe(
      `Loss against parameters on a budget of ${formatNumber(flops)} operations, a flat valley. ` +
        `Least is ${state.bestLoss.toFixed(3)}, with ${amount(state.best[0])} parameters.`,
    );
  }
  return { element: figure.element, draw };
}

function describe({ n, d, loss, best, bestLoss }) {
  return (
    `${split([n, d])} (${formatNumber(d / n)} tokens per parameter): loss ${loss.toFixed(3)}. ` +
    `The best split of this budget, ${split(best)}, reaches ${bestLoss.toFixed(3)}.`
  );
}

// What the book measured nearby.
function compare({ law, n, d }, model) {
  const [n2, d2, measured] = nearestRun(toNested(model.get("runs")), n, d);
  const [found, foretold, floor] = [measured, lossOf(law, n2, d2), law.E].map((loss) => loss.toFixed(3));
  const run = ` The nearest run, ${split([n2, d2])}, reached ${found}`;
  return `${run}; the law says ${foretold}, and its floor is ${floor}.`;
}

const split = ([n, d]) => `${amount(n)} parameters on ${amount(d)} tokens`;

// 45,952 or 280 billion
function amount(size) {
  if (size < 1e6) return formatNumber(size);
  const style = { notation: "compact", compactDisplay: "long", maximumSignificantDigits: 3 };
  return size.toLocaleString("en", style);
}

export default { render };
