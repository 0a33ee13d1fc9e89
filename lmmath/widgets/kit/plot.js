// An SVG plot of lines, points, bars and areas, with points in it that a hand can move.
// const figure = plot({ label: "Entropy", x: { label: "temperature", from: 0, to: 5 }, y: { from: 1e-3, to: 1, scale: "log" } });
// const curve = figure.line({ label: "model" }); curve.draw(xs, ys); figure.describe("Entropy rises with temperature.");
// const knob = figure.handle({ label: "temperature", x: { step: 0.1 }, move: ({ x }) => setTrait(model, "t", x) }); knob.draw(t, h);
import { element, formatNumber, nearest, steps } from "./shared.js";

const WIDTH = 320; // so that text of 12 units is not smaller than 12 px on a telephone
const RIGHT = 18; // half of the last number of the x axis
const TEXT = 12;
const FURTHEST = 1e4; // how far outside, in units, a line is still drawn
const COLORS = ["blue", "vermilion", "green", "purple"];
const DASHES = ["none", "7 4", "2 3", "9 3 2 3"];
const MARKERS = ["circle", "square", "diamond", "triangle"];
const OUTLINES = {
  circle: "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
  square: "m-3.5-3.5h7v7h-7z",
  diamond: "m0-5l5 5l-5 5l-5-5z",
  triangle: "m0-5l4.5 8h-9z",
};

// Round numbers from `from` to `to`, about `count` of them, with steps of 1, 2 or 5 times 10ⁿ.
export function ticks(from, to, count = 5) {
  const least = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= least * (1 - 1e-9));
  const [first, last] = [Math.ceil(from / step - 1e-9), Math.floor(to / step + 1e-9)];
  const exact = (i) => (step < 1 ? i / Math.round(1 / step) : i * step) + 0; // 3 / 10, not 3 · 0.1
  return Array.from({ length: last - first + 1 }, (_, i) => exact(first + i));
}

// Powers of ten; over a few of them also threes, or twos and fives; within one of them, `ticks`.
export function logTicks(from, to, count = 6) {
  const [low, high] = [Math.log10(from) - 1e-9, Math.log10(to) + 1e-9];
  const decades = Math.log10(to / from);
  if (decades <= 1) return ticks(from, to).filter((tick) => tick > 0);
  const powers = Array.from(
    { length: Math.floor(high) - Math.floor(low) + 1 },
    (_, i) => Math.floor(low) + i,
  );
  const every = Math.ceil(powers.length / count);
  const factors = decades > 2.9 ? [1] : decades > 2 ? [1, 3] : [1, 2, 5];
  return powers
    .filter((power) => power % every === 0)
    .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
    .filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
}

export function plot({ label, x, y, height = 220, left = 44 }) {
  const top = y.label ? 24 : 10; // the axis's name stands over it
  const bottom = x.label ? 40 : 22;
  const width = WIDTH - left - RIGHT;
  const tall = height - top - bottom;
  let across, up; // the axes

  const grid = svg("g", { class: "lm-grid" });
  // A little larger than the area, so that a line on its edge is whole.
  const inside = svg("svg", {
    ...{ x: -3, y: -3, width: width + 6, height: tall + 6 },
    viewBox: `-3 -3 ${width + 6} ${tall + 6}`,
  });
  const above = svg("g");
  const nameOfX = text(width / 2, tall + bottom - 5, x.label ?? "", "middle");
  const names = svg("g", {}, text(-left, 10 - top, y.label ?? ""), nameOfX);
  const picture = svg("g", { role: "img", "aria-label": label }, grid, names, inside, above);
  const handles = svg("g");
  const all = svg("g", { transform: `translate(${left} ${top})` }, picture, handles);
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}` }, all);
  const legend = element("ul", { className: "lm-legend", hidden: true });
  const whole = element("div", { className: "lm-plot" }, legend, root);
  const redraws = []; // of all that stands in the plot
  const waiting = new Set(); // those to do, once each, when all has been said
  let styles = 0; // series that have a style of their own so far

  // Axes change, and then what stands between them: it is drawn once.
  function soon(redraw) {
    if (waiting.size === 0) queueMicrotask(redrawAll);
    waiting.add(redraw);
  }

  function redrawAll() {
    const all = [...waiting];
    waiting.clear();
    all.forEach((redraw) => redraw());
  }

  // Draw with other axes, of which only what changes need be given: axes({ y: { to: 10 } }).
  function axes(changed) {
    if (isOf(across, changed.x) && isOf(up, changed.y)) return;
    across = axis("x", { ...across?.spec, ...changed.x }, 0, width);
    up = axis("y", { ...up?.spec, ...changed.y }, tall, 0);
    grid.replaceChildren(
      ...across.ticks.flatMap(([value, words]) => {
        const at = round(across.place(value));
        return [svg("path", { d: `M${at} 0V${tall}` }), text(at, tall + 16, words, "middle")];
      }),
      ...up.ticks.flatMap(([value, words]) => {
        const at = round(up.place(value));
        return [svg("path", { d: `M0 ${at}H${width}` }), text(-6, at + 4, words, "end")];
      }),
      svg("path", { class: "lm-axes", d: `M0 0V${tall}H${width}` }),
    );
    redraws.forEach(soon);
  }

  // A series remembers what it draws, for when the axes change. `outline` makes a path of it.
  function series(kind, { label, color, dash, marker }, outline, where = inside) {
    const style = {
      color: color ?? COLORS[styles % 4],
      dash: dash ?? (kind === "line" ? DASHES[styles % 4] : "none"),
      marker: marker ?? (kind === "points" ? MARKERS[styles % 4] : undefined),
    };
    if (color === undefined) styles += 1;
    const shapes = () => {
      const made = [svg("path", { class: `lm-${kind}`, "stroke-dasharray": style.dash })];
      if (kind === "line" && style.marker) made.push(svg("path", { class: "lm-points" }));
      return made;
    };
    const paths = shapes();
    const group = svg("g", { class: `lm-${style.color}` }, ...paths);
    where.append(group);
    const key = label && legendEntry(label, kind, style, shapes());
    if (key) {
      legend.append(key);
      legend.hidden = false;
    }
    let data;
    const redraw = () => {
      if (!data) return;
      set(paths[0], { d: outline(data, style) });
      if (paths[1]) set(paths[1], { d: markers(data, style) });
    };
    redraws.push(redraw);
    return {
      draw(...columns) {
        data = columns;
        soon(redraw);
      },
      show(yes) {
        group.style.display = yes ? "" : "none";
        if (key) key.hidden = !yes;
      },
    };
  }

  function line([xs, ys]) {
    let path = "";
    let drawing = false; // a number that has no place, such as NaN, leaves a gap
    for (let i = 0; i < xs.length; i++) {
      const [px, py] = [across.place(xs[i]), up.place(ys[i])];
      const there = !Number.isNaN(px + py);
      if (there) path += `${drawing ? "L" : "M"}${round(px)} ${round(py)}`;
      drawing = there;
    }
    return path;
  }

  function markers([xs, ys], { marker }) {
    let path = "";
    for (let i = 0; i < xs.length; i++) {
      const [px, py] = [across.place(xs[i]), up.place(ys[i])];
      const there = px >= -1 && px <= width + 1 && py >= -1 && py <= tall + 1;
      if (there) path += `M${round(px)} ${round(py)}${OUTLINES[marker]}`;
    }
    return path;
  }

  function area([xs, lows, highs]) {
    const corners = (ys) => Array.from(xs, (value, i) => [across.place(value), up.place(ys[i])]);
    const around = [...corners(highs), ...corners(lows).reverse()];
    const known = around.filter(([px, py]) => !Number.isNaN(px + py));
    return known.length ? `M${known.map(([px, py]) => `${round(px)} ${round(py)}`).join("L")}z` : "";
  }

  function bars([xs, ys], wide) {
    const floor = up.spec.scale === "log" ? tall : up.place(0);
    let path = "";
    for (let i = 0; i < xs.length; i++) {
      const [from, to] = [across.place(xs[i] - wide / 2), across.place(xs[i] + wide / 2)];
      const peak = up.place(ys[i]);
      if (Number.isNaN(from + to + peak)) continue;
      path += `M${round(from)} ${round(floor)}V${round(peak)}H${round(to)}V${round(floor)}z`;
    }
    return path;
  }

  function vertical(value) {
    const px = across.place(value);
    return [`M${round(px)} 0V${tall}`, px, 0];
  }

  function horizontal(value) {
    const py = up.place(value);
    return [`M0 ${round(py)}H${width}`, width, py];
  }

  // A line across the plot at one value, with words beside it: draw(value, words).
  function mark(place, style = {}) {
    const words = text(0, 0, "");
    above.append(words);
    const line = series("line", { color: "ink", dash: "4 3", ...style }, ([value, says = ""]) => {
      const [path, px, py] = place(value);
      const there = px >= -1 && px <= width + 1 && py >= -1 && py <= tall + 1;
      const fromLeft = px < 0.6 * width;
      words.textContent = there ? says : "";
      if (!there) return "";
      set(words, {
        ...{ x: px + (fromLeft ? 5 : -5), y: py + (py < 14 ? 12 : -6) },
        "text-anchor": fromLeft ? "start" : "end",
      });
      return path;
    });
    const show = (yes) => {
      line.show(yes);
      words.style.display = yes ? "" : "none";
    };
    return { ...line, show };
  }

  // Words at points of the plot, to the right of each: draw(xs, ys, words).
  function captions() {
    const group = svg("g");
    above.append(group);
    let data = [[], [], []];
    const redraw = () => {
      const [xs, ys, words] = data;
      const made = Array.from(words, (says, i) => {
        const [px, py] = [across.place(xs[i]), up.place(ys[i])];
        const there = px >= 0 && px <= width && py >= 0 && py <= tall;
        return there ? [text(round(px) + 7, round(py) + 4, says)] : [];
      });
      group.replaceChildren(...made.flat());
    };
    redraws.push(redraw);
    return {
      draw(...columns) {
        data = columns;
        soon(redraw);
      },
    };
  }

  // A point to take hold of: by hand, or as a slider by keyboard. It moves along the axes that are
  // named, each with what `steps` takes; without more, a hundredth of the axis at a time.
  function handle({ label, x: moveX, y: moveY, move, color = "vermilion", words }) {
    const circles = [svg("circle", { r: 15, class: "lm-ring" }), svg("circle", { r: 7 })];
    const knob = svg("g", { class: `lm-handle lm-${color}`, tabindex: 0, role: "slider" }, ...circles);
    knob.setAttribute("aria-label", label);
    handles.append(knob);
    let at = { x: NaN, y: NaN };
    let grip; // from the pointer to the point, while it is held
    const moves = { x: moveX, y: moveY };
    const axisOf = (name) => (name === "x" ? across : up);
    const main = moveX ? "x" : "y";
    const stopsOf = (name) => {
      const { from, to, scale } = axisOf(name).spec;
      return steps({ min: from, max: to, scale, ...moves[name] });
    };
    const moving = ["x", "y"].filter((name) => moves[name]);
    const say = (name) => `${axisOf(name).spec.label ?? name} ${formatNumber(at[name])}`;

    const shownAt = () => [clamp(across.place(at.x), 0, width), clamp(up.place(at.y), 0, tall)];
    const redraw = () => {
      const [px, py] = shownAt();
      const there = !Number.isNaN(px + py);
      knob.style.display = there ? "" : "none";
      if (!there) return;
      const stops = stopsOf(main);
      // On a logarithmic axis the number of the stop: ARIA knows no exponents. Words say the value.
      const log = axisOf(main).spec.scale === "log";
      const [least, most] = log ? [0, stops.length - 1] : [stops[0], stops.at(-1)];
      set(knob, {
        transform: `translate(${round(px)} ${round(py)})`,
        "aria-valuemin": least,
        "aria-valuemax": most,
        "aria-valuenow": log ? nearest(stops, at[main], "log") : at[main],
        "aria-valuetext": words ? words(at) : moving.map(say).join(", "),
        "aria-orientation": main === "x" ? "horizontal" : "vertical",
      });
    };
    redraws.push(redraw);

    const moveTo = (wanted) => {
      const next = { ...at };
      for (const [name, value] of Object.entries(wanted)) {
        const stops = stopsOf(name);
        next[name] = stops[nearest(stops, value, axisOf(name).spec.scale)];
      }
      if (next.x !== at.x || next.y !== at.y) move(next);
    };
    const pointer = ({ clientX, clientY }) => {
      const { left: fromLeft, top: fromTop, width: wide } = root.getBoundingClientRect();
      const unit = wide / WIDTH;
      return { x: (clientX - fromLeft) / unit - left, y: (clientY - fromTop) / unit - top };
    };
    knob.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const hand = pointer(event);
      const [px, py] = shownAt();
      grip = { x: px - hand.x, y: py - hand.y };
      knob.setPointerCapture(event.pointerId);
      knob.focus({ preventScroll: true });
      event.preventDefault();
    });
    // The page must not scroll instead; Chromium does not heed touch-action within an SVG.
    knob.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    knob.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const hand = pointer(event);
      const wanted = moving.map((name) => [name, axisOf(name).value(hand[name] + grip[name])]);
      moveTo(Object.fromEntries(wanted));
    });
    knob.addEventListener("lostpointercapture", () => (grip = undefined));
    knob.addEventListener("keydown", (event) => {
      const [name, change] = keyMove(event.key, moves, main);
      if (event.altKey || event.ctrlKey || event.metaKey || !moves[name]) return;
      event.preventDefault();
      const stops = stopsOf(name);
      const index = nearest(stops, at[name], axisOf(name).spec.scale) + change;
      moveTo({ [name]: stops[clamp(index, 0, stops.length - 1)] });
    });
    return {
      element: knob,
      draw(x, y) {
        at = { x, y };
        soon(redraw);
      },
    };
  }

  // A canvas under the plot that fills its area: for a colour at every place.
  function canvas() {
    const made = element("canvas", { className: "lm-ground", ariaHidden: "true" });
    const percent = (units) => `${(100 * units) / WIDTH}%`; // margins, too, are parts of the width
    Object.assign(made.style, {
      ...{ left: percent(left), marginBottom: percent(bottom), width: percent(width) },
      aspectRatio: width / tall,
    });
    whole.append(made);
    return made;
  }

  axes({ x, y });
  return {
    element: whole,
    axes,
    canvas,
    describe: (words) => picture.setAttribute("aria-label", words),
    line: (style = {}) => series("line", style, line), // draw(xs, ys)
    points: (style = {}) => series("points", style, markers), // draw(xs, ys)
    area: (style = {}) => series("area", style, area), // draw(xs, lows, highs)
    bars: ({ width: wide = 0.8, ...style } = {}) =>
      series("bars", style, (data) => bars(data, wide)), // draw(xs, ys)
    vertical: (style) => mark(vertical, style), // draw(x, words)
    horizontal: (style) => mark(horizontal, style), // draw(y, words)
    captions, // draw(xs, ys, words)
    handle, // draw(x, y)
  };
}

const KEYS = {
  ...{ ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 },
  ...{ PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity },
};

// Along which axis a key moves a point, and how many steps.
function keyMove(key, moves, main) {
  const both = moves.x && moves.y;
  const name = both ? (/Up|Down/.test(key) ? "y" : "x") : main;
  return KEYS[key] ? [name, KEYS[key]] : [];
}

// An axis: where a value has its place, from `start` to `end`, and which value a place has.
function axis(name, spec, start, end) {
  const { from, to, scale, ticks: given, format = shortNumber } = spec;
  const log = scale === "log";
  const [forth, back] = log ? [Math.log, Math.exp] : [Number, Number];
  const [a, b] = [forth(from), forth(to)];
  if (!(Number.isFinite(a) && Number.isFinite(b) && a < b)) {
    throw new RangeError(`axis ${name} must go up from a number to a number, got ${from} to ${to}`);
  }
  const found = log ? logTicks(from, to) : ticks(from, to);
  return {
    spec,
    ticks: given ?? found.map((value) => [value, format(value)]),
    place: (value) => clamp(start + ((forth(value) - a) / (b - a)) * (end - start), -FURTHEST, FURTHEST),
    value: (place) => back(a + ((place - start) / (end - start)) * (b - a)),
  };
}

// Whether an axis is already what it is to become.
function isOf(axis, changes = {}) {
  return axis !== undefined && Object.entries(changes).every(([name, value]) => axis.spec[name] === value);
}

const shortNumber = (value) => formatNumber(value, 6, { least: 1e-3, most: 1e5 });

function legendEntry(label, kind, { color, marker }, shapes) {
  const middle = OUTLINES[marker ?? "circle"];
  const outlines = { line: "M0 7H28", points: `M14 7${middle}`, area: "M4 2h20v10h-20z", bars: "M4 2h20v10h-20z" };
  shapes[0].setAttribute("d", outlines[kind]);
  shapes[1]?.setAttribute("d", `M14 7${middle}`);
  const size = { viewBox: "0 0 28 14", width: 28, height: 14 };
  const swatch = svg("svg", { class: `lm-${color}`, "aria-hidden": true, ...size }, ...shapes);
  return element("li", {}, swatch, label);
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  made.append(...children);
  return made;
}

// What is set anew is laid out and painted anew, even if it is the same.
function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (made.getAttribute(name) !== String(value)) made.setAttribute(name, value);
  }
}

function text(x, y, words, anchor = "start") {
  return svg("text", { x, y, "text-anchor": anchor, "font-size": TEXT }, words);
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value)); // NaN stays NaN
const round = (value) => Math.round(100 * value) / 100;
