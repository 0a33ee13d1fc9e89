// Chapter 4: two positions, the hands of their codes, and what only their distance decides.
import { dot } from "./engines/mathematics.js";
import { plot, svg } from "./kit/plot.js";
import { element, fill, formatNumber, options, setTrait } from "./kit/shared.js";
import { slider, status, uniqueName, watch } from "./kit/shared.js";

const LAST = 127; // position
const WIDTHS = [4, 8, 16, 32];
const PLACE = { min: 0, max: LAST, step: 1, whole: true };
const POSITIONS = Array.from({ length: LAST + 1 }, (_, p) => p);

// ω_i = b^(-2i/d), in radians per position.
export function frequencies(d, base) {
  return Array.from({ length: d / 2 }, (_, i) => base ** ((-2 * i) / d));
}

// (sin p ω_0, cos p ω_0, sin p ω_1, ...)
export function sinusoidalEncoding(p, d, base) {
  return frequencies(d, base).flatMap((speed) => [Math.sin(p * speed), Math.cos(p * speed)]);
}

// Turn each pair of features (2i, 2i + 1) by the angle p ω_i.
export function rotaryEmbedding(x, p, base) {
  return frequencies(x.length, base).flatMap((speed, i) => {
    const [cosine, sine] = [Math.cos(p * speed), Math.sin(p * speed)];
    const [even, odd] = [x[2 * i], x[2 * i + 1]];
    return [even * cosine - odd * sine, even * sine + odd * cosine];
  });
}

// The dot product of the codes of two positions, for each distance.
export function dotProducts(d, base) {
  const first = sinusoidalEncoding(0, d, base);
  return POSITIONS.map((distance) => dot(first, sinusoidalEncoding(distance, d, base)));
}

function render({ model, el, signal }) {
  const get = (name) => model.get(name);
  const widths = WIDTHS.map((value) => ({ value, label: String(value) }));
  const bases = { label: "Base", min: 10, max: 1e6, step: 1.25, scale: "log" };
  const [text, curve, dials, words] = [alongText(model), byDistance(model), clocks(), status(signal)];
  fill(
    el,
    signal,
    element("div", { className: "lm-plots" }, text.element, curve.element),
    dials.element,
    words.element,
    element(
      "div",
      { className: "lm-controls" },
      options(model, "d_model", widths, "Width", signal),
      slider(model, "base", bases, signal),
    ),
  );
  el.classList.add("lm-positions");

  const show = () => {
    const [p, q, d, base] = ["p", "q", "d_model", "base"].map(get);
    const start = Array.from({ length: d }, (_, j) => 1 - (j % 2)); // each pair (1, 0)
    const hands = [p, q].map((position) => pairs(rotaryEmbedding(start, position, base)));
    const product = dot(sinusoidalEncoding(p, d, base), sinusoidalEncoding(q, d, base));
    text.draw(p, q, hands);
    curve.draw(Math.abs(p - q), product);
    dials.draw(...hands);
    const says =
      `PE(${p}) · PE(${q}) = ${formatNumber(product)}, as for any two positions that are ` +
      `${Math.abs(p - q)} apart.`;
    words.say(says);
    curve.describe(`The dot product by distance. ${says}`);
  };
  const build = () => [text, curve, dials].forEach(({ build }) => build(get("d_model")));
  const turn = () => [text, curve].forEach(({ turn }) => turn(get("d_model"), get("base")));
  watch(model, ["d_model"], build, signal);
  watch(model, ["d_model", "base"], turn, signal);
  watch(model, ["p", "q", "d_model", "base"], show, signal);
}

const pairs = (x) => Array.from({ length: x.length / 2 }, (_, i) => [x[2 * i], x[2 * i + 1]]);

function moveTo(model, p, q) {
  model.set("p", p);
  model.set("q", q);
  model.save_changes();
}

// The sine of each pair along the text, the fastest lowest; with p and q, and both between them.
function alongText(model) {
  const figure = plot({
    label: "",
    x: { label: "position", from: 0, to: LAST },
    y: { label: "sines of the pairs", from: 0, to: 1, ticks: [] },
    left: 18,
  });
  const sines = figure.line({ color: "ink", dash: "none" });
  const between = figure.line({ color: "green", dash: "none" });
  const stems = [
    figure.line({ color: "blue", dash: "none" }),
    figure.line({ color: "vermilion", dash: "7 4" }),
  ];
  const marks = [
    figure.points({ label: "p", color: "blue", marker: "circle" }),
    figure.points({ label: "q", color: "vermilion", marker: "square" }),
  ];
  const ends = ["p", "q"].map((name, i) =>
    figure.handle({
      ...{ label: `Position ${name}`, color: ["blue", "vermilion"][i], x: PLACE },
      move: ({ x }) => setTrait(model, name, x),
      words: ({ x }) => String(x),
    }),
  );
  const both = figure.handle({
    label: "Both positions",
    color: "green",
    x: PLACE,
    move({ x }) {
      const [p, q] = [model.get("p"), model.get("q")];
      const wanted = Math.round(x - (p + q) / 2);
      const shift = Math.max(-Math.min(p, q), Math.min(LAST - Math.max(p, q), wanted));
      moveTo(model, p + shift, q + shift);
    },
    words: () => `${model.get("p")} and ${model.get("q")}`,
  });
  let rows = 1;
  const height = (i, sine) => i + 0.5 + 0.4 * sine;
  return {
    element: figure.element,
    build(d) {
      rows = d / 2;
      figure.axes({ y: { to: rows } });
    },
    turn(d, base) {
      const xs = Array.from({ length: 2 * LAST + 1 }, (_, k) => k / 2);
      const lines = frequencies(d, base).map((speed, i) => xs.map((x) => height(i, Math.sin(x * speed))));
      sines.draw(lines.flatMap(() => [...xs, NaN]), lines.flatMap((ys) => [...ys, NaN]));
    },
    draw(p, q, hands) {
      figure.describe(`The sines of ${rows} pairs along the text, with p at ${p} and q at ${q}.`);
      [p, q].forEach((position, i) => {
        stems[i].draw([position, position], [0, rows]);
        const sinesHere = hands[i].map(([, sine], row) => height(row, sine));
        marks[i].draw(sinesHere.map(() => position), sinesHere);
        ends[i].draw(position, i === 0 ? rows : 0);
      });
      between.draw([p, q], [rows / 2, rows / 2]);
      both.draw((p + q) / 2, rows / 2);
    },
  };
}

// The dot product of two codes by their distance, with that of p and q to take hold of.
function byDistance(model) {
  const figure = plot({
    label: "",
    x: { label: "distance |p − q|", from: 0, to: LAST },
    y: { label: "PE(p) · PE(q)", from: -1, to: 1 },
    left: 34,
  });
  const line = figure.line({ label: "any p and q", color: "ink", dash: "none" });
  const point = figure.handle({
    label: "Distance",
    color: "green",
    x: PLACE,
    move({ x: distance }) {
      const [p, q] = [model.get("p"), model.get("q")];
      const ahead = q < p ? -distance : distance;
      const end = Math.max(0, Math.min(LAST, p + ahead)); // p makes room if it must
      moveTo(model, end - ahead, end);
    },
    words: ({ x, y }) => `distance ${x}, dot product ${formatNumber(y)}`,
  });
  return {
    element: figure.element,
    describe: figure.describe,
    build: (d) => figure.axes({ y: { from: -d / 2, to: d / 2 } }),
    turn: (d, base) => line.draw(POSITIONS, dotProducts(d, base)),
    draw: point.draw,
  };
}

// A dial for each pair, the fastest first: its hands at p and at q, the angle between them, its cosine.
function clocks() {
  const id = uniqueName("clocks");
  const says = "Each pair’s hands at p and q, and the cosine between them";
  const title = element("p", { className: "lm-note", id }, says);
  const list = element("ul", { className: "lm-clocks", attributes: { role: "list", "aria-labelledby": id } });
  let faces = [];
  const face = () => {
    const [wedge, first, second] = [
      svg("path", { class: "lm-wedge" }),
      svg("path", { class: "lm-blue" }),
      svg("path", { class: "lm-vermilion", "stroke-dasharray": "5 2.5" }),
    ];
    const circle = svg("circle", { r: 20 });
    const frame = { viewBox: "-22 -22 44 44", "aria-hidden": true };
    const picture = svg("svg", frame, circle, wedge, first, second);
    const number = element("span");
    return { item: element("li", {}, picture, number), wedge, hands: [first, second], number };
  };
  return {
    element: element("div", {}, title, list),
    build(d) {
      faces = Array.from({ length: d / 2 }, face);
      list.replaceChildren(...faces.map(({ item }) => item));
    },
    draw(atP, atQ) {
      faces.forEach(({ wedge, hands, number }, i) => {
        const tips = [atP[i], atQ[i]].map(([x, y]) => `${(20 * x).toFixed(2)} ${(-20 * y).toFixed(2)}`);
        hands.forEach((hand, k) => outline(hand, `M0 0L${tips[k]}`));
        const cross = atP[i][0] * atQ[i][1] - atP[i][1] * atQ[i][0]; // the shorter way round
        outline(wedge, `M0 0L${tips[0]}A20 20 0 0 ${cross > 0 ? 0 : 1} ${tips[1]}z`);
        number.textContent = dot(atP[i], atQ[i]).toFixed(2).replace("-", "\u2212");
      });
    },
  };
}

function outline(path, d) {
  path.setAttribute("d", d.includes("NaN") ? "" : d);
}

export default { render };
