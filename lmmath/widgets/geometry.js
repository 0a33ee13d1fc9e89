// Chapter 10: add dimensions, and a ball's volume moves out to its surface, and angles to 90°.
import { bars } from "./kit/bars.js";
import { linspace } from "./engines/mathematics.js";
import { plot } from "./kit/plot.js";
import { element, fill, formatNumber, numberField } from "./kit/shared.js";
import { setTrait, slider, status, toggle, watch } from "./kit/shared.js";

const MOST_DIMENSIONS = 1000;
const DEPTH = 5; // what is magnified, in units of 1/n: all but e⁻⁵ of the volume

// Where one may say that the volume of the unit ball is.
export function namedRadii(n) {
  return {
    mean: n / (n + 1),
    rms: Math.sqrt(n / (n + 2)),
    median: 0.5 ** (1 / n),
    "√(1 − 1/n)": Math.sqrt(1 - 1 / n),
  };
}

export function shareInside(n, radius) {
  return radius ** n;
}

// 1 - r^n, computed so that a thin shell keeps its digits.
export function shellShare(n, inner) {
  return -Math.expm1(n * Math.log1p(inner - 1));
}

export function radiusDensity(n, radius) {
  return n * radius ** (n - 1);
}

// The integral of sin^m from 0 to π, which is (m - 1) / m times that of sin^(m - 2).
function integralOfSine(m) {
  let whole = m % 2 === 0 ? Math.PI : 2;
  for (let k = m % 2 === 0 ? 2 : 3; k <= m; k += 2) whole *= (k - 1) / k;
  return whole;
}

// Of the angle between two random directions, per degree, at each of some angles. In one dimension
// it has none.
export function angleDensity(n, degrees) {
  if (n === 1) return degrees.map(() => NaN);
  const whole = (180 / Math.PI) * integralOfSine(n - 2);
  return degrees.map((angle) => Math.sin((angle * Math.PI) / 180) ** (n - 2) / whole);
}

// How probable it is that two random directions are at a right angle, give or take `margin` degrees.
// Two more dimensions add a term: integrate sin^m by parts.
export function angleShare(n, margin) {
  if (n === 1) return margin >= 90 ? 1 : 0;
  const delta = (margin * Math.PI) / 180;
  const even = n % 2 === 0;
  let share = even ? margin / 90 : Math.sin(delta);
  let whole = even ? Math.PI : 2;
  for (let m = even ? 2 : 3; m <= n - 2; m += 2) {
    whole *= (m - 1) / m;
    share += (2 * Math.sin(delta) * Math.cos(delta) ** (m - 1)) / (m * whole);
  }
  return Math.min(share, 1);
}

function render({ model, el, signal }) {
  const words = status(signal);
  const [ball, angles] = [radiusPlot(model), anglePlot(model)];
  const plots = element("div", { className: "lm-plots" }, ball.element, angles.element);
  plots.style.alignItems = "end"; // level, whatever the height of their legends
  fill(
    el,
    signal,
    element(
      "div",
      { className: "lm-controls" },
      slider(model, "n", { label: "Dimensions n", ...DIMENSIONS, step: STEP, scale: "log" }, signal),
      numberField(model, "n", { label: "n exactly", ...DIMENSIONS }, signal),
      toggle(model, "magnified", "magnify the surface", signal),
    ),
    words.element,
    plots,
  );
  const update = () => {
    ball.draw();
    angles.draw();
    words.say(describe(model.get("n"), model.get("inner"), model.get("margin")));
  };
  watch(model, ["n", "inner", "margin", "magnified"], update, signal);
}

const STEP = 10 ** (1 / 30); // so that 10 and 100 are among the stops
const DIMENSIONS = { min: 1, max: MOST_DIMENSIONS, whole: true };
const MARKERS = { mean: "circle", rms: "square", median: "diamond", "√(1 − 1/n)": "triangle" };
const MARGINS = [1, 3, 10, 30]; // degrees
const DISTANCE = "distance from the centre";
const ANGLE = "angle between two directions";

function radiusPlot(model) {
  const unit = { from: 0, to: 1 };
  const figure = plot({ label: DISTANCE, x: { label: DISTANCE, ...unit }, y: { label: "density", ...unit } });
  const shell = figure.area({ label: "shell", color: "vermilion" });
  const curve = figure.line({ color: "blue", dash: "none" });
  const points = Object.entries(MARKERS).map(([label, marker]) => {
    return [label, figure.points({ label, marker, color: "ink" })];
  });
  const knob = figure.handle({
    label: "Inner radius of the shell",
    x: {},
    words: ({ x }) => `${formatNumber(x, 5)}, ${volume(model.get("n"), x)} beyond`,
    move: ({ x }) => setTrait(model, "inner", Number(x.toFixed(5))),
  });
  const list = shares("Share of the volume inside the radius");

  function draw() {
    const [n, inner] = [model.get("n"), model.get("inner")];
    const from = model.get("magnified") ? Math.max(0, 1 - DEPTH / n) : 0;
    const density = (xs) => xs.map((x) => radiusDensity(n, x));
    figure.axes({ x: { from }, y: { to: n } });
    const [all, beyond] = [from, Math.max(from, inner)].map((start) => linspace(start, 1, 201));
    curve.draw(all, density(all));
    shell.draw(beyond, Array(201).fill(0), density(beyond));
    knob.draw(inner, 0);
    const radii = namedRadii(n);
    for (const [name, point] of points) point.draw([radii[name]], density([radii[name]]));
    list.draw(
      Object.entries(radii).map(([name, radius]) => {
        return { label: `${name}  ${radius.toFixed(4)}`, values: [shareInside(n, radius)] };
      }),
    );
    figure.describe(
      `Density of the distance from the centre in ${dimensions(n)}, largest at the surface: ${n}. ` +
        `Shaded is the shell beyond ${formatNumber(inner, 5)}, with ${volume(n, inner)}.`,
    );
  }
  return { element: element("div", {}, figure.element, list.element), draw };
}

function anglePlot(model) {
  const degrees = [0, 45, 90, 135, 180].map((angle) => [angle, `${angle}°`]);
  const figure = plot({
    label: ANGLE,
    x: { label: ANGLE, from: 0, to: 180, ticks: degrees },
    y: { label: "density per degree", from: 0, to: 1 },
  });
  const near = figure.area({ label: "nearly a right angle", color: "vermilion" });
  const curve = figure.line({ color: "blue", dash: "none" });
  const ends = [0, 180].map((angle) => [angle, figure.vertical({ color: "blue", dash: "none" })]);
  const knob = figure.handle({
    label: "Margin around 90 degrees",
    x: { min: 90, step: 1 },
    words: ({ x }) => `${formatNumber(x - 90)}°, ${directions(model.get("n"), x - 90)} within`,
    move: ({ x }) => setTrait(model, "margin", x - 90),
  });
  const list = shares("Share of the angles within");

  function draw() {
    const [n, margin] = [model.get("n"), model.get("margin")];
    const [highest] = angleDensity(n, [90]);
    figure.axes({ y: { to: n === 1 ? 1 : 1.1 * highest } });
    const [all, within] = [90, margin].map((most) => linspace(90 - most, 90 + most, 361));
    curve.draw(all, angleDensity(n, all));
    near.draw(within, Array(361).fill(0), angleDensity(n, within));
    for (const [angle, line] of ends) {
      line.draw(angle, "half of all pairs");
      line.show(n === 1);
    }
    knob.draw(90 + margin, 0);
    list.draw(MARGINS.map((most) => ({ label: `90° ± ${most}°`, values: [angleShare(n, most)] })));
    figure.describe(
      n === 1
        ? "In 1 dimension two directions are the same or opposite: the angle is 0 or 180 degrees."
        : `Density of the angle between two random directions in ${dimensions(n)}, largest at 90 degrees. ` +
            `Shaded are those within ${formatNumber(margin)} degrees of it, ${directions(n, margin)}.`,
    );
  }
  return { element: element("div", {}, figure.element, list.element), draw };
}

// A list of shares under what they are shares of.
function shares(label) {
  const list = bars({ label, format: (share) => `${(100 * share).toFixed(1)}%` });
  list.element.style.setProperty("--lm-names", "10rem");
  const title = element("p", { className: "lm-note", ariaHidden: "true" }, label);
  return { element: element("div", {}, title, list.element), draw: list.draw };
}

function describe(n, inner, margin) {
  const shell = `${volume(n, inner)} lies beyond the radius ${formatNumber(inner, 5)}`;
  const near = `${directions(n, margin)} are within ${formatNumber(margin)}° of a right angle`;
  return `In ${dimensions(n)}, ${shell}, and ${near}.`;
}

const dimensions = (n) => (n === 1 ? "1 dimension" : `${formatNumber(n)} dimensions`);
const volume = (n, inner) => `${percent(shellShare(n, inner), inner === 0)} of the volume`;
const directions = (n, margin) => `${percent(angleShare(n, margin), margin === 90)} of all angles`;

// What is only nearly all is not called 100%.
function percent(share, all) {
  const words = formatNumber(100 * share, 3);
  return words === "100" && !all ? "over 99.9%" : `${words}%`;
}

export default { render };
