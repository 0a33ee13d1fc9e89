// The pieces of which widgets are made: elements, controls tied to traits, words, a heat map.
// Text is always set as text, never as HTML.
import { geomspace, linspace } from "../engines/mathematics.js";

// Make an element: element("p", { className: "note" }, "text", child, ...).
export function element(tag, properties = {}, ...children) {
  const { attributes, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Make a page's element a widget. Keys pressed in it are its own: JupyterLab, which would move to
// another cell on an arrow key, and delete one on "d d", gets only those with Shift, Ctrl, Alt, Cmd.
export function fill(el, signal, ...children) {
  el.append(...children);
  if (el.closest(".lm-widget")) return; // it is a part of one
  const own = ({ target, shiftKey, ctrlKey, altKey, metaKey }) => {
    if (!el.contains(target)) return;
    const chord = shiftKey || ctrlKey || altKey || metaKey;
    target.toggleAttribute("data-lm-suppress-shortcuts", !chord); // JupyterLab looks for this
  };
  window.addEventListener("keydown", own, { capture: true, signal }); // before JupyterLab's, on document
  el.classList.add("lm-widget");
}

export function setTrait(model, name, value) {
  if (model.get(name) === value) return;
  model.set(name, value);
  model.save_changes();
}

// Call `react` now, and whenever one of the traits changes, until the view is gone.
export function watch(model, names, react, signal) {
  for (const name of names) model.on(`change:${name}`, react);
  signal?.addEventListener("abort", () => {
    for (const name of names) model.off(`change:${name}`, react);
  });
  react();
}

// `compute` once more only when one of these traits, of which it makes its result, has changed.
export function remembered(model, names, compute) {
  let made, result;
  return () => {
    const values = names.map((name) => model.get(name));
    if (!made?.every((value, i) => value === values[i])) [made, result] = [values, compute(model)];
    return result;
  };
}

let groups = 0; // radio buttons of one group share a name that no other group has

export function uniqueName(prefix) {
  groups += 1;
  return `lmmath-${prefix}-${groups}`;
}

// A line of text that follows a string trait.
export function textField(model, name, label, signal) {
  const input = element("input", { type: "text", autocomplete: "off", spellcheck: false });
  input.addEventListener("input", () => setTrait(model, name, input.value));
  const follow = () => {
    if (input.value !== model.get(name)) input.value = model.get(name);
  };
  watch(model, [name], follow, signal);
  return element("label", { className: "lm-field" }, element("span", {}, label), input);
}

// A check box that follows a boolean trait.
export function toggle(model, name, label, signal) {
  const input = element("input", { type: "checkbox" });
  input.addEventListener("change", () => setTrait(model, name, input.checked));
  watch(model, [name], () => (input.checked = model.get(name)), signal);
  return element("label", { className: "lm-toggle" }, input, element("span", {}, label));
}

// Radio buttons that follow a trait: options(model, "norm", [{ value: "l2", label: "length" }], ...).
export function options(model, name, all, legend, signal) {
  const { fieldset, offer, follow } = radios(model, name, legend);
  offer(all);
  watch(model, [name], follow, signal);
  return fieldset;
}

// Radio buttons that follow an integer trait; their labels are another trait.
export function choice(model, name, labelsName, legend, signal) {
  const { fieldset, offer, follow } = radios(model, name, legend);
  const build = () => offer(model.get(labelsName).map((label, value) => ({ value, label })));
  watch(model, [labelsName], () => (build(), follow()), signal);
  watch(model, [name], follow, signal);
  return fieldset;
}

function radios(model, name, legend) {
  const group = uniqueName(name);
  const box = element("span", { className: "lm-options" });
  let inputs = new Map();
  const radio = ({ value, label }) => {
    const input = element("input", { type: "radio", name: group, value });
    input.addEventListener("change", () => setTrait(model, name, value));
    inputs.set(value, input);
    return element("label", { className: "lm-toggle" }, input, element("span", {}, label));
  };
  return {
    fieldset: element("fieldset", { className: "lm-choice" }, element("legend", {}, legend), box),
    offer(all) {
      inputs = new Map();
      box.replaceChildren(...all.map(radio));
    },
    follow() {
      for (const [value, input] of inputs) input.checked = value === model.get(name);
    },
  };
}

// A slider that follows a number trait. One step adds `step` or, on a logarithmic scale, multiplies
// by it; without a step there are a hundred. On a scale of whole numbers, say `whole: true`.
export function slider(model, name, { label, format = formatNumber, unit = "", ...scale }, signal) {
  const stops = steps(scale);
  const input = element("input", { type: "range", min: 0, max: stops.length - 1 });
  const shown = element("span", { className: "lm-value", ariaHidden: "true" });
  input.addEventListener("input", () => setTrait(model, name, stops[input.value]));
  const follow = () => {
    const value = model.get(name);
    input.value = nearest(stops, value, scale.scale);
    const words = Number.isFinite(value) ? format(value) + unit : "not a number";
    shown.textContent = words;
    input.setAttribute("aria-valuetext", words);
  };
  watch(model, [name], follow, signal);
  return element("label", { className: "lm-slider" }, element("span", {}, label), shown, input);
}

// The values at which a slider can stand, from `min` to `max`.
export function steps({ min, max, step, scale = "linear", whole = false }) {
  const log = scale === "log";
  const span = log ? Math.log(max / min) : max - min;
  const count = step ? Math.round(span / (log ? Math.log(step) : step)) : 100;
  // Without the noise of binary fractions; on a logarithmic scale a few digits tell all steps apart.
  const digits = log ? Math.max(3, Math.ceil(1 - Math.log10(Math.expm1(span / count)))) : 12;
  const plain = (value) => (whole ? Math.round(value) : Number(value.toPrecision(digits)));
  const inner = (log ? geomspace : linspace)(min, max, count + 1).slice(1, -1).map(plain);
  return [...new Set([min, ...inner, max])];
}

// The index of the stop nearest to a value, which may be any.
export function nearest(stops, value, scale) {
  const place = scale === "log" ? Math.log : Number;
  const distances = stops.map((stop) => Math.abs(place(stop) - place(value)));
  if (distances.every(Number.isFinite)) return distances.indexOf(Math.min(...distances));
  return value > stops.at(-1) ? stops.length - 1 : 0; // infinite, not a number, or without a logarithm
}

// A field for a number, for when a slider is too coarse. What it cannot take it says, and ignores.
export function numberField(model, name, { label, min = -Infinity, max = Infinity, whole }, signal) {
  const [id, note] = [uniqueName(name), uniqueName("note")];
  const says = element("p", { className: "lm-note", id: note, attributes: { role: "status" } });
  const input = element("input", { type: "text", inputMode: "decimal", autocomplete: "off", id });
  input.setAttribute("aria-describedby", note);
  const say = (words) => {
    says.textContent = words;
    input.setAttribute("aria-invalid", words !== "");
  };
  const follow = () => {
    const value = model.get(name);
    input.value = Number.isFinite(value) ? String(value).replace("-", MINUS) : "";
    say("");
  };
  input.addEventListener("change", () => {
    const value = parseNumber(input.value);
    const fits = value >= min && value <= max && (!whole || Number.isInteger(value));
    if (fits && value !== model.get(name)) setTrait(model, name, value);
    else if (fits) follow();
    else say(`Type a ${whole ? "whole number" : "number"}${between(min, max)}.`);
  });
  watch(model, [name], follow, signal);
  const named = element("label", { htmlFor: id }, label);
  return element("div", { className: "lm-field" }, named, input, says);
}

function between(min, max) {
  const [least, most] = [min, max].map((bound) => formatNumber(bound));
  if (Number.isFinite(min) && Number.isFinite(max)) return ` from ${least} to ${most}`;
  if (Number.isFinite(min)) return `, at least ${least}`;
  return Number.isFinite(max) ? `, at most ${most}` : "";
}

export function button(label, onPress) {
  const made = element("button", { type: "button", className: "lm-button" }, label);
  made.addEventListener("click", onPress);
  return made;
}

const QUIET = 700; // milliseconds without a change, after which a screen reader is told

// A line that says what is shown. The eye sees each change at once; a screen reader hears of it
// when the hand has come to rest. The first words are not announced: nothing has changed yet.
export function status(signal) {
  const visible = element("span", { ariaHidden: "true" });
  const spoken = element("span", { className: "lm-unseen", attributes: { role: "status" } });
  let timer;
  signal?.addEventListener("abort", () => clearTimeout(timer));
  return {
    element: element("p", { className: "lm-status" }, visible, spoken),
    say(words) {
      const first = timer === undefined;
      visible.textContent = words;
      clearTimeout(timer);
      timer = first || signal?.aborted ? 0 : setTimeout(() => (spoken.textContent = words), QUIET);
      if (first) spoken.textContent = words;
    },
  };
}

// Call `step(seconds)`, the time since the last call, for each frame, until it returns false, the
// view is gone, the page is hidden, or the function that is given back is called; then `ended()`.
// Who asked for no motion gets one `step(Infinity)`, which must go to the end (or one step on).
export function animate(step, signal, ended = () => {}) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let before, frame;
  const over = new AbortController();
  const stop = () => {
    if (over.signal.aborted) return;
    over.abort();
    cancelAnimationFrame(frame);
    ended();
  };
  const next = (now) => {
    const seconds = still ? Infinity : Math.min((now - (before ?? now)) / 1000, 0.1);
    before = now;
    let goesOn = false; // nor does it, if the step fails
    try {
      goesOn = step(seconds) !== false && !still;
    } finally {
      if (!goesOn) stop();
    }
    if (!over.signal.aborted) frame = requestAnimationFrame(next);
  };
  const hide = () => document.hidden && stop();
  document.addEventListener("visibilitychange", hide, { signal: over.signal });
  signal?.addEventListener("abort", stop, { signal: over.signal });
  if (signal?.aborted) stop();
  else frame = requestAnimationFrame(next);
  return stop;
}

// A heat map of numbers in [0, 1], one pixel for each, which the page enlarges.
// Its colour is a shade of one ink over the page's own background, so it suits any theme.
export function heatMap(label) {
  const canvas = element("canvas", { attributes: { role: "img", "aria-label": label } });
  return {
    canvas,
    draw(rows) {
      canvas.width = rows[0]?.length ?? 1;
      canvas.height = rows.length || 1;
      if (rows.length === 0) return;
      const image = new ImageData(canvas.width, canvas.height);
      rows.flat().forEach((value, i) => {
        image.data.set([0, 114, 178, Math.round(255 * value)], 4 * i);
      });
      canvas.getContext("2d").putImageData(image, 0, 0);
    },
  };
}

const MINUS = "\u2212";
const RAISED = Object.fromEntries([..."\u22120123456789"].map((sign, i) => [sign, "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"[i]]));

// A number for people: 0.0532, 1,024, −3, 6.02·10²³. Digits that the eye does not need are left out.
export function formatNumber(value, digits = 3, { least = 1e-4, most = 1e7 } = {}) {
  const size = Math.abs(value);
  const signed = (text) => text.replace("-", MINUS);
  if (size !== 0 && Number.isFinite(size) && (size < least || size >= most)) {
    const [front, power] = value.toExponential(digits - 1).split("e");
    const raised = [...signed(String(Number(power)))].map((sign) => RAISED[sign]).join("");
    const factor = Number(front);
    return factor === 1 ? `10${raised}` : `${signed(String(factor))}·10${raised}`;
  }
  if (!Number.isFinite(value)) return signed(String(value).replace("Infinity", "∞"));
  const whole = size >= 10 ** digits; // all digits before the point are shown
  return signed(decimals(whole ? 0 : digits).format(value + 0)); // + 0, for there is also a -0
}

const formats = []; // to make one takes longer than all else that a slider's key does

// What writes numbers with so many digits, or, for 0, without any after the point.
function decimals(digits) {
  const rule = digits === 0 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits };
  return (formats[digits] ??= new Intl.NumberFormat("en", rule));
}

const LONGEST = 40; // no number that anyone types is longer

// What a person may mean by a number: 0.61, 0,61, 1/4, 50 %, −3, 2e-5, 124,439,808. NaN if unclear.
export function parseNumber(text) {
  const plain = text.trim().replace(/\u2212/g, "-").replace(/\s/g, "");
  if (plain === "" || plain.length > LONGEST) return NaN;
  if (plain.endsWith("%")) return parseNumber(plain.slice(0, -1)) / 100;
  const fraction = plain.split("/");
  if (fraction.length === 2) return parseNumber(fraction[0]) / parseNumber(fraction[1]);
  // Commas before groups of three digits separate thousands; a single other one is a decimal point.
  const grouped = /^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$/.test(plain);
  const decimal = grouped ? plain.replace(/,/g, "") : plain.replace(/^([^,.]*),([^,.]*)$/, "$1.$2");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(decimal) ? Number(decimal) : NaN;
}
