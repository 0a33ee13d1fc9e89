// Chapter 5: pick a word, go up the stack of a trained model, see what comes next being decided.
import { bars } from "./kit/bars.js";
import { gptShapes } from "./engines/gpt_file.js";
import { softmax } from "./engines/mathematics.js";
import { followText, remark } from "./kit/reading.js";
import { nameOf, placeOf, positionOf, tokenStrip } from "./kit/token_strip.js";
import { element, fill, setTrait, status, textField, watch } from "./kit/shared.js";
import { subjects } from "./kit/subjects.js";
import { tower } from "./kit/tower.js";

const MOST_GUESSES = 5;

// The steps of a GPT from the bottom up. Each has a name, a formula, the width of what goes in and
// what comes out (the embedding takes token ids), and the shapes of its own parameters.
export function stepsOf(config) {
  const { d_model: d, n_layers, vocab_size } = config;
  const shapes = Object.entries(gptShapes(config));
  const step = (name, kind, formula, widths, ...prefixes) => ({
    ...{ name, kind, formula, widths },
    params: shapes.filter(([param]) => prefixes.some((prefix) => param.startsWith(prefix))),
  });
  const writes = (name, part, ...prefixes) =>
    step(name, "add", `x + ${part}(LayerNorm(x))`, [d, d], ...prefixes);
  const blocks = Array.from({ length: n_layers }, (_, i) => [
    writes(`block ${i + 1} attention`, "Attention", `h.${i}.ln_1.`, `h.${i}.attn.`),
    writes(`block ${i + 1} feed-forward`, "FFN", `h.${i}.ln_2.`, `h.${i}.mlp.`),
  ]);
  return [
    step("embedding", "begin", "Eₜ + P", [d], "wte.", "wpe."),
    ...blocks.flat(),
    step("final norm", "norm", "LayerNorm(x)", [d, d], "ln_f."),
    step("unembedding", "end", "x Eᵀ", [d, vocab_size]),
  ];
}

export function countParameters({ params }) {
  const sizes = params.map(([, shape]) => shape.reduce((product, n) => product * n, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}

// The logits that the lens reads off the stream of one token after each step, given the token's
// `trace`. The last two steps are the lens itself, so they change nothing.
export function lens(gpt, layers) {
  const stream = [layers[0].before, ...layers.flatMap(({ between, after }) => [between, after])];
  const logits = stream.map((x) => gpt.logits(x));
  return [...logits, logits.at(-1), logits.at(-1)];
}

function render({ model, el, signal }) {
  const pickToken = (i) => setTrait(model, "position", positionOf(i, reading.tokens.length));
  const strip = tokenStrip("The token after which the next is guessed", pickToken);
  const stack = tower((i) => setTrait(model, "step", i));
  const list = bars({ label: "The likeliest next tokens" });
  const title = element("p", { className: "lm-title" });
  const about = Array.from({ length: 3 }, () => element("p"));
  const words = status(signal);
  const note = element("p", { className: "lm-note" });
  const facts = element("div", { className: "lm-note" }, ...about);
  const right = element("div", { className: "lm-lens" }, title, list.element, facts);
  const body = element("div", { className: "lm-tower" }, stack.element, right);
  el.classList.add("lm-transformer");
  const text = textField(model, "text", "Story", signal);
  fill(el, signal, text, strip.element, note, body, words.element);

  let reading; // what `followText` gives
  let steps;
  let guesses; // the probabilities after each step, at the token that is chosen

  function showReading(read) {
    reading = read;
    steps = stepsOf(read.gpt.config);
    strip.element.hidden = body.hidden = false;
    note.textContent = remark(read);
    showPosition();
  }

  function showPosition() {
    if (!reading) return;
    const { gpt, layers, tokens } = reading;
    const place = placeOf(model.get("position"), tokens.length);
    strip.draw(reading, place);
    guesses = lens(gpt, layers[place]).map((logits) => softmax(Array.from(logits)));
    stack.draw(steps, guesses.map((each) => entries(each, 1)[0]));
    showStep();
  }

  function showStep() {
    if (!reading) return;
    const { tokens, tokenizer } = reading;
    const chosen = Math.min(model.get("step"), steps.length - 1);
    const { name } = steps[chosen];
    const best = entries(guesses[chosen], MOST_GUESSES);
    stack.choose(chosen);
    list.draw(best);
    title.textContent = chosen < steps.length - 3 ? "If the model stopped here" : "What the model says";
    describe(steps, chosen, tokens.length).forEach((line, i) => (about[i].textContent = line));
    const token = nameOf(tokens[placeOf(model.get("position"), tokens.length)], tokenizer);
    const said = best.slice(0, 3).map(({ label, values }) => `“${label}” ${values[0].toFixed(2)}`);
    words.say(`${capital(name)}. After “${token}” comes ${said.join(", ")}, …`);
  }

  // Rows of bars.
  function entries(probabilities, count) {
    const label = (token) => nameOf(token, reading.tokenizer);
    const best = likeliest(probabilities, count);
    return best.map((token) => ({ label: label(token), values: [probabilities[token]] }));
  }

  function fail(problem) {
    reading = undefined;
    strip.element.hidden = body.hidden = true;
    note.textContent = "";
    words.say(problem);
  }

  watch(model, ["position"], showPosition, signal);
  watch(model, ["step"], showStep, signal);
  return followText(model, { show: showReading, fail }, signal);
}

// The tokens of highest probability, the likeliest first.
function likeliest(probabilities, count) {
  const left = [...probabilities];
  return Array.from({ length: Math.min(count, left.length) }, () => {
    const best = left.reduce((best, p, token) => (p > left[best] ? token : best), 0);
    left[best] = -1;
    return best;
  });
}

// The formula of a step, its shapes, and its parameters: three lines.
function describe(steps, chosen, n) {
  const { formula, widths, params } = steps[chosen];
  const shapes = widths.map((width) => `${n} × ${width}`);
  if (shapes.length === 1) shapes.unshift(`${n} tokens`);
  const all = steps.reduce((sum, step) => sum + countParameters(step), 0);
  const [own, total] = [countParameters(steps[chosen]), all].map((count) => count.toLocaleString("en"));
  const arrays = new Map(); // a weight and its bias in one
  for (const [name, shape] of params) {
    const [stem] = name.replace(/^h\.\d+\./, "").split(/\.\w+$/);
    arrays.set(stem, [...(arrays.get(stem) ?? []), shape.join("\u00a0×\u00a0")]);
  }
  const parts = Array.from(arrays, ([stem, sizes]) => `${stem} ${sizes.join(" + ")}`);
  if (parts.length === 0) parts.push("E is the embedding’s");
  return [formula, shapes.join(" → "), `${own} of ${total} parameters: ${parts.join(", ")}`];
}

function capital(words) {
  return words[0].toUpperCase() + words.slice(1);
}

const realSide = async () => (await import("./kit/real_lens.js")).realLens;

export default { render: (view) => subjects(view, { SmolLM2: realSide, Fable: () => render }) };
