// Chapter 3: type a text, pick a token, see where a head of a trained model looks and what it fetches.
import { attentionWeights, dot } from "./engines/mathematics.js";
import { labelledMap } from "./kit/labelled_map.js";
import { followText, remark } from "./kit/reading.js";
import { nameOf, placeOf, positionOf, tokenStrip, weightAndBar } from "./kit/token_strip.js";
import { element, fill, options, setTrait, status, textField, toggle, watch } from "./kit/shared.js";
import { subjects } from "./kit/subjects.js";

// What one head makes of a text, given the `trace` of each token: the weights of all queries, and the
// lengths of the values.
export function attend(layers, { n_heads }, { layer, head, causal, scaled }) {
  const size = layers[0][layer].query.length / n_heads;
  const own = (vector) => vector.subarray(head * size, (head + 1) * size);
  const [queries, keys, values] = ["query", "key", "value"].map((name) =>
    layers.map((blocks) => own(blocks[layer][name])),
  );
  const scale = scaled ? 1 / Math.sqrt(size) : 1;
  const lengths = values.map((value) => Math.sqrt(dot(value, value)));
  return { weights: attentionWeights(queries, keys, { scale, causal }), lengths };
}

// How much of what a query fetches comes from where: a_j |v_j|, divided by the sum of these.
export function sharesOf(weights, lengths) {
  const fetched = weights.map((weight, j) => weight * lengths[j]);
  const sum = fetched.reduce((a, b) => a + b);
  return fetched.map((length) => length / sum);
}

function render({ model, el, signal }) {
  const pick = (i) => setTrait(model, "query", positionOf(i, reading.tokens.length));
  const strip = tokenStrip("The token that attends", pick, weightAndBar);
  const heads = element("div", { className: "lm-controls" });
  const switches = element(
    "div",
    { className: "lm-controls" },
    toggle(model, "causal", "causal mask", signal),
    toggle(model, "scaled", "divide by √dₖ", signal),
  );
  const map = labelledMap((i) => pick(i));
  const words = status(signal);
  const [note, warning] = [0, 1].map(() => element("p", { className: "lm-note" }));
  // The warning comes and goes. On a wide page there is room below the map: nothing below moves.
  const sides = [[strip.element, legend()], [map.element, warning]];
  const both = element("div", { className: "lm-both" }, ...sides.map((side) => element("div", {}, ...side)));
  const body = element("div", { className: "lm-body" }, heads, switches, both);
  el.classList.add("lm-attention");
  fill(el, signal, textField(model, "text", "Story", signal), note, body, words.element);

  let reading; // what `followText` gives
  let seen; // what `attend` gives

  function showReading(read) {
    if (String(sizes(read)) !== String(reading && sizes(reading))) offerHeads(read);
    reading = read;
    body.hidden = false;
    note.textContent = remark(read);
    map.label(read.tokens.map((token) => nameOf(token, read.tokenizer)));
    showHead();
  }

  function offerHeads(read) {
    const radios = ["layer", "head"].map((name, i) => {
      const all = Array.from({ length: sizes(read)[i] }, (_, value) => ({ value, label: value + 1 }));
      return options(model, name, all, name === "layer" ? "Layer" : "Head", signal);
    });
    heads.replaceChildren(...radios);
  }

  function showHead() {
    if (!reading) return;
    const [n_layers, n_heads] = sizes(reading);
    const [causal, scaled] = [model.get("causal"), model.get("scaled")];
    const layer = Math.min(model.get("layer"), n_layers - 1);
    const head = Math.min(model.get("head"), n_heads - 1);
    seen = attend(reading.layers, { n_heads }, { layer, head, causal, scaled });
    map.draw(seen.weights);
    warning.textContent = without(causal, scaled);
    showQuery();
  }

  function showQuery() {
    if (!reading) return;
    const query = placeOf(model.get("query"), reading.tokens.length);
    const weights = seen.weights[query];
    const shares = sharesOf(weights, seen.lengths);
    strip.draw(reading, query).forEach((label, i) => {
      const [weight, bar] = [".lm-weight", ".lm-bar"].map((part) => label.querySelector(part));
      const number = weights[i].toFixed(2);
      if (weight.textContent !== number) weight.textContent = number; // else the page is laid out anew
      weight.classList.toggle("lm-none", weights[i] < 0.005);
      setLength(bar, "--weight", weights[i]);
      setLength(bar, "--share", shares[i]);
    });
    map.mark(query);
    words.say(describe(reading, query, weights, shares));
  }

  function fail(problem) {
    reading = undefined;
    body.hidden = true;
    note.textContent = "";
    words.say(problem);
  }

  watch(model, ["layer", "head", "causal", "scaled"], showHead, signal);
  watch(model, ["query"], showQuery, signal);
  return followText(model, { show: showReading, fail }, signal);
}

// Much finer than can be seen. Most tokens have next to no weight, before and after.
function setLength(bar, name, value) {
  const length = value.toFixed(4);
  if (bar.style.getPropertyValue(name) !== length) bar.style.setProperty(name, length);
}

function sizes({ gpt }) {
  return [gpt.config.n_layers, gpt.config.n_heads];
}

// What to say if the head does not do what it was trained to do.
function without(causal, scaled) {
  const missing = [...(causal ? [] : ["the mask"]), ...(scaled ? [] : ["the division"])].join(" and ");
  if (missing === "") return "";
  return (
    `The model was trained with ${missing}. This is what the head’s own queries and keys ` +
    "would give without; nothing else in the model has changed."
  );
}

// Where a token looks, in words, the largest weights first; and what it fetches, if that differs.
function describe({ tokens, tokenizer }, query, weights, shares) {
  const name = (i) => `“${nameOf(tokens[i], tokenizer)}”`;
  const order = weights.map((_, i) => i).sort((a, b) => weights[b] - weights[a]);
  const most = order.slice(0, 3).filter((i, rank) => rank === 0 || weights[i] >= 0.005); // else 0.00
  const parts = most.map((i) => `${name(i)} ${weights[i].toFixed(2)}`);
  const looks = `${name(query)} attends to ${parts.join(", ")}`;
  const source = shares.reduce((best, share, i) => (share > shares[best] ? i : best), 0);
  if (source === order[0]) return `${looks}.`;
  const percent = Math.round(100 * shares[source]);
  return `${looks}. But the largest share of what it fetches, ${percent} %, comes from ${name(source)}.`;
}

function legend() {
  const labels = { blue: "weight", vermilion: "share of what is fetched: weight × length of the value" };
  const swatches = Object.entries(labels).map(([color, label]) => {
    const swatch = element("span", { className: `lm-meter lm-${color}`, ariaHidden: "true" });
    swatch.style.setProperty("--value", 1);
    return element("span", {}, swatch, label);
  });
  return element("p", { className: "lm-legend" }, ...swatches);
}

const realSide = async () => (await import("./kit/real_attention.js")).realAttention;

export default { render: (view) => subjects(view, { SmolLM2: realSide, Fable: () => render }) };
