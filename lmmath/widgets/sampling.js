// Chapter 9: draw a story token by token, and see what the model says beside what is true.
import { bars } from "./kit/bars.js";
import { toLabel } from "./engines/bpe.js";
import { Fable, FableReader } from "./engines/fable.js";
import { loadModel } from "./kit/language_model.js";
import { entropy, softmax } from "./engines/mathematics.js";
import { drawToken, ranking, temperatureSoftmax, truncate, uniform } from "./engines/sampler.js";
import { button, element, fill, formatNumber, numberField, setTrait, slider, status } from "./kit/shared.js";
import { textField, watch } from "./kit/shared.js";
import { subjects } from "./kit/subjects.js";

const N_SHOWN = 12; // tokens with a bar of their own
const MOST_AT_ONCE = 200; // tokens, if a story does not end
const LONGEST_BARS = [0.1, 0.25, 0.5, 1]; // of which the first that all bars fit into is chosen
const RULES = ["temperature", "top_k", "top_p", "min_p"];

// The end of a text that the model sees. It moves on by half its length at a time, so that the keys
// and values of what was read serve for many more tokens.
export function windowOf(tokens, nPositions) {
  const half = Math.floor(nPositions / 2) || 1;
  return tokens.slice(half * Math.ceil(Math.max(0, tokens.length - nPositions) / half));
}

// What is shown of the next token. `truth` is null if the language cannot produce the text.
export function compute(logits, truth, { temperature, top_k, top_p, min_p }) {
  const model = temperatureSoftmax(logits, temperature);
  const filtered = truncate(logits, { temperature, topK: top_k, topP: top_p, minP: min_p });
  const kept = Array.from(filtered, (logit) => logit > -Infinity);
  const left = (probabilities) => probabilities.reduce((sum, p, id) => (kept[id] ? sum : sum + p), 0);
  return {
    ...{ model, truth, kept },
    drawn: softmax(filtered),
    leftOut: { model: left(model), truth: truth && left(truth) },
  };
}

// All that can read the text: made anew only for another model.
function open(model) {
  const { gpt, tokenizer, config } = loadModel(model);
  const truth = new FableReader(new Fable(model.get("language"), tokenizer));
  const labels = Array.from({ length: config.vocab_size }, (_, id) => toLabel(tokenizer.bytes(id)));
  return { config, tokenizer, labels, truth, gpt: gpt.reader() };
}

// Read the text, and give the logits of its next token, and its true probabilities if it has some.
async function read({ gpt, truth, tokenizer, labels, config }, text, drawn) {
  const typed = tokenizer.encode(text);
  const tokens = [...typed, ...drawn];
  const seen = windowOf([...tokenizer.encode("\n"), ...tokens], config.n_positions);
  const [logits, { length, expected }] = await Promise.all([gpt.readAll(seen), truth.readAll(tokens)]);
  const probabilities = expected && Float64Array.from(logits, (_, id) => expected.get(id) ?? 0);
  return { tokens, labels, logits, nTyped: typed.length, nPossible: length, truth: probabilities };
}

function render({ model, el, signal }) {
  let opened; // the model, once it is there
  let state; // what `read` gave of the present text, or null
  let reading; // a promise that ends when there is such a state

  const words = status(signal);
  const named = { role: "group", "aria-label": "The story so far" };
  const story = element("p", { className: "lm-story", tabIndex: 0, attributes: named });
  const list = bars({
    ...{ label: "The next token", series: ["model", "truth"], format: formatProbability },
    pick: (row) => append(() => ranking(state.logits)[row]),
  });
  const table = numberTable();
  const { merges, special_tokens } = model.get("tokenizer");
  const size = 256 + merges.length + special_tokens.length;
  const rule = (name, label, scale) => slider(model, name, { label, ...scale }, signal);
  const wholeNumbers = { min: 1, max: size, scale: "log", whole: true };
  const orAll = (isAll) => (value) => (isAll(value) ? "all" : formatNumber(value));

  fill(
    el,
    signal,
    story,
    element(
      "div",
      { className: "lm-buttons" },
      button("Next token", () => append(nextToken)),
      button("Whole story", drawStory),
      button("Back", () => setTrait(model, "drawn", model.get("drawn").slice(0, -1))),
      button("Start over", () => setTrait(model, "drawn", [])),
    ),
    element(
      "div",
      { className: "lm-beginning" },
      textField(model, "text", "The story begins", signal),
      numberField(model, "seed", { label: "Seed", min: 0, max: 999_999, whole: true }, signal),
    ),
    element(
      "div",
      { className: "lm-rules" },
      rule("temperature", "Temperature", { min: 0.1, max: 10, scale: "log" }),
      rule("top_k", "Top-k", { ...wholeNumbers, format: orAll((k) => k >= size) }),
      rule("top_p", "Top-p", { min: 0.01, max: 1, format: orAll((p) => p === 1) }),
      rule("min_p", "Min-p", { min: 0, max: 1, format: orAll((p) => p === 0) }),
    ),
    words.element,
    list.element,
    table.element,
  );
  el.classList.add("lm-sampling");

  const rules = () => Object.fromEntries(RULES.map((name) => [name, model.get(name)]));

  function nextToken() {
    const { drawn } = compute(state.logits, state.truth, rules());
    return drawToken(drawn, uniform(model.get("seed"), model.get("drawn").length));
  }

  // Append a token when what is shown belongs to the present text, which may still be read.
  async function append(choose) {
    let before;
    do await (before = reading);
    while (before !== reading);
    if (state) setTrait(model, "drawn", [...model.get("drawn"), choose()]);
  }

  // Draw on until the story ends, or until a hand does something else.
  async function drawStory() {
    for (let i = 0; i < MOST_AT_ONCE; i += 1) {
      await append(nextToken);
      const drawn = model.get("drawn");
      await new Promise(requestAnimationFrame);
      const disturbed = signal.aborted || drawn !== model.get("drawn");
      if (disturbed || !state || opened.tokenizer.bytes(drawn.at(-1)) === "\n") return;
    }
  }

  async function follow() {
    const [text, drawn] = [model.get("text"), model.get("drawn")];
    try {
      opened ??= open(model);
      state = await read(opened, text, drawn);
    } catch (error) {
      if (error.name === "AbortError") return; // of another text, by now
      state = null;
      words.say(error.message);
    }
    list.element.hidden = table.element.hidden = state === null;
    showStory(text);
    show();
  }

  function showStory(text) {
    const { tokens, nTyped, nPossible } = state ?? { tokens: [] };
    const pieces = tokens.slice(nTyped).map((token, i) =>
      element(
        "span",
        { className: nTyped + i < nPossible ? "lm-drawn" : "lm-drawn lm-impossible" },
        opened.tokenizer.decode([token]),
      ),
    );
    story.replaceChildren(text, ...pieces);
    story.scrollTop = story.scrollHeight;
  }

  function show() {
    if (!state) return;
    const shown = compute(state.logits, state.truth, rules());
    const top = ranking(state.logits).slice(0, N_SHOWN);
    const entries = rows(shown, top, state.labels);
    const largest = Math.max(...entries.flatMap(({ values }) => values.filter(Number.isFinite)));
    list.draw(entries, LONGEST_BARS.find((longest) => longest >= largest));
    table.draw(shown);
    words.say(describe(state, shown, top[0]));
  }

  watch(model, ["weights", "tokenizer"], () => (opened = undefined), signal);
  watch(model, ["text", "drawn", "weights", "tokenizer"], () => (reading = follow()), signal);
  watch(model, RULES, show, signal);
}

// The bars: one for each of the most probable tokens, and one for all others together.
function rows({ model, truth, kept }, top, labels) {
  const others = [...model.keys()].filter((id) => !top.includes(id));
  const total = (probabilities) => others.reduce((sum, id) => sum + probabilities[id], 0);
  const nKept = others.filter((id) => kept[id]).length;
  const entries = top.map((id) => ({
    label: labels[id],
    values: [model[id], truth ? truth[id] : NaN],
    note: kept[id] ? "" : "cut",
  }));
  const rest = {
    ...{ label: `${others.length} others`, fixed: true },
    values: [total(model), truth ? total(truth) : NaN],
    note: nKept === 0 ? "cut" : nKept < others.length ? `${nKept} kept` : "",
  };
  return others.length ? [...entries, rest] : entries;
}

// The numbers of three distributions: the model's, what is left of it to draw from, and the true one.
function numberTable() {
  const cells = (tag, texts) => texts.map((text) => element(tag, {}, text));
  const head = element("tr", {}, element("td"), ...cells("th", ["model", "drawn from", "truth"]));
  const body = element("tbody");
  return {
    element: element("table", {}, element("thead", {}, head), body),
    draw({ model, drawn, truth, leftOut }) {
      const all = [model, drawn, truth];
      const nats = all.map((p) => p && entropy(p));
      const numbers = (values, format) => values.map((value) => (value === null ? "–" : format(value)));
      const lines = [
        ["tokens that can come", ...numbers(all.map((p) => p && count(p)), String)],
        ["entropy, nats", ...numbers(nats, (value) => value.toFixed(3))],
        ["entropy, bits", ...numbers(nats, (value) => (value / Math.LN2).toFixed(3))],
        ["probability left out", ...numbers([leftOut.model, null, leftOut.truth], formatProbability)],
      ];
      const line = ([name, ...values]) =>
        element("tr", {}, element("th", { scope: "row" }, name), ...cells("td", values));
      body.replaceChildren(...lines.map(line));
    },
  };
}

const count = (probabilities) => probabilities.filter((p) => p > 0).length;

// Three digits. What is not zero does not look like it.
function formatProbability(p) {
  if (p === 0) return "0";
  return p < 0.0005 ? "<0.001" : p.toFixed(3);
}

function describe({ labels, tokens, nPossible, truth }, { model, kept }, best) {
  const says = `Most probable is ${quote(labels[best])} ${formatProbability(model[best])}`;
  const nKept = kept.filter(Boolean).length;
  const cut = nKept < kept.length ? ` Kept are ${nKept} of ${kept.length} tokens.` : "";
  if (truth) return `${says}, in truth ${formatProbability(truth[best])}.${cut}`;
  const where = nPossible > 0 ? `after ${quote(labels[tokens[nPossible - 1]])}` : "at the beginning";
  const left = `Fable cannot produce this text: ${where} it has no ${quote(labels[tokens[nPossible]])}.`;
  return `${left} ${says}.${cut}`;
}

const quote = (label) => `“${label}”`;

const realSide = async () => (await import("./kit/real_next.js")).realNext;

export default { render: (view) => subjects(view, { SmolLM2: realSide, Fable: () => render }) };
