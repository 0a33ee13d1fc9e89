// Chapter 3: type a sentence, pick a word, see which words it attends to.
import { attentionWeights, multiply, toNested } from "./mathematics.js";
import { choice, element, fill, heatMap, setTrait, textField, toggle, uniqueName, watch } from "./shared.js";

const MOST_TOKENS = 512; // a heat map of more would show nothing
const MOST_LABELS = 24; // more would not be legible beside the heat map

// Words are runs of letters, marks and digits; spaces and control characters only separate.
export function tokenize(text) {
  return text.match(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}\p{Z}\p{Cc}]+/gu) ?? [];
}

// The vectors of words, zeros for a word that is not in the vocabulary.
export function embed(tokens, vocabulary, embeddings, width) {
  const rows = new Map(vocabulary.map((word, i) => [word, embeddings[i]]));
  const unknown = Array(width).fill(0);
  return tokens.map((token) => rows.get(token.toLowerCase()) ?? unknown);
}

// All that the widget shows, from the traits alone.
export function compute(model) {
  const all = tokenize(model.get("text"));
  const tokens = all.slice(0, MOST_TOKENS);
  const head = model.get("head");
  const embeddings = model.get("embeddings");
  const x = embed(tokens, model.get("vocabulary"), toNested(embeddings), embeddings.shape[1]);
  const [wQ, wK] = ["w_q", "w_k"].map((name) => toNested(model.get(name))[head]);
  const scale = model.get("scaled") ? 1 / Math.sqrt(wQ[0].length) : 1;
  const weights = attentionWeights(multiply(x, wQ), multiply(x, wK), {
    scale,
    causal: model.get("causal"),
  });
  return { tokens, weights, left: all.length - tokens.length };
}

function render({ model, el, signal }) {
  const group = uniqueName("query");
  const words = element("div", {
    className: "lm-words",
    attributes: { role: "radiogroup", "aria-label": "The word that attends" },
  });
  const map = heatMap("Heat map of all weights: each row is a word that attends, each column a word attended to");
  const rowMark = element("div", { className: "lm-row-mark" });
  const rowLabels = element("div", { className: "lm-row-labels", ariaHidden: "true" });
  const columnLabels = element("div", { className: "lm-column-labels", ariaHidden: "true" });
  const plane = element("div", { className: "lm-plane" }, map.canvas, rowMark);
  const status = element("p", { attributes: { role: "status" } });
  const note = element("p", { className: "lm-note" });
  const known = element("p", { className: "lm-note" });

  fill(
    el,
    signal,
    textField(model, "text", "Sentence", signal),
    element(
      "div",
      { className: "lm-controls" },
      choice(model, "head", "head_names", "Head", signal),
      toggle(model, "causal", "causal mask", signal),
      toggle(model, "scaled", "divide by √dₖ", signal),
    ),
    words,
    status,
    element("div", { className: "lm-map" }, columnLabels, rowLabels, plane),
    note,
    element("details", {}, element("summary", {}, "The words it knows"), known),
  );

  let shown = []; // the tokens for which there are buttons
  const selected = () => Math.min(model.get("query"), shown.length - 1);

  function buildWords(tokens) {
    shown = tokens;
    words.replaceChildren(
      ...tokens.map((token, i) => {
        const input = element("input", { type: "radio", name: group });
        input.addEventListener("change", () => setTrait(model, "query", i));
        const bar = element("span", { className: "lm-bar" });
        const weight = element("span", { className: "lm-weight" });
        const word = element("span", { className: "lm-word" }, token);
        return element("label", {}, input, word, " ", weight, bar);
      }),
    );
    const labels = tokens.length <= MOST_LABELS ? tokens : [];
    rowLabels.replaceChildren(...labels.map((token) => element("span", {}, token)));
    columnLabels.replaceChildren(...labels.map((token) => element("span", {}, token)));
  }

  function showQuery({ tokens, weights }) {
    const query = selected();
    [...words.children].forEach((label, i) => {
      label.querySelector("input").checked = i === query;
      label.querySelector(".lm-weight").textContent = weights[query][i].toFixed(2);
      label.querySelector(".lm-bar").style.setProperty("--weight", weights[query][i]);
    });
    rowMark.style.top = `${(100 * query) / tokens.length}%`;
    rowMark.style.height = `${100 / tokens.length}%`;
    status.textContent = describe(tokens, weights[query], query);
  }

  function update() {
    let state;
    try {
      state = compute(model);
    } catch (error) {
      status.textContent = `The model’s numbers do not fit together: ${error.message}`;
      plane.parentElement.hidden = words.hidden = true;
      return;
    }
    if (state.tokens.join(" ") !== shown.join(" ")) buildWords(state.tokens);
    const empty = state.tokens.length === 0;
    plane.parentElement.hidden = empty;
    words.hidden = empty;
    map.draw(state.weights);
    if (empty) status.textContent = "Type a sentence to see its attention.";
    else showQuery(state);
    note.textContent = remarks(state, model.get("vocabulary"));
    known.textContent = model.get("vocabulary").join(", ");
  }

  plane.addEventListener("pointerdown", (event) => {
    const { top, height } = plane.getBoundingClientRect();
    const row = Math.floor(((event.clientY - top) / height) * shown.length);
    setTrait(model, "query", Math.max(0, Math.min(row, shown.length - 1)));
  });

  const traits = ["text", "query", "head", "causal", "scaled"];
  watch(model, [...traits, "vocabulary", "embeddings", "w_q", "w_k"], update, signal);
}

// Where a word looks, in words, the largest weights first.
function describe(tokens, weights, query) {
  if (tokens.length > 1 && weights.every((weight) => weight === weights[0])) {
    return `${quote(tokens[query])} attends to all equally, ${weights[0].toFixed(2)} each`;
  }
  const order = weights.map((_, i) => i).sort((a, b) => weights[b] - weights[a]);
  const most = order.slice(0, 3).filter((i) => weights[i] > 0);
  const parts = most.map((i) => `${quote(tokens[i])} ${weights[i].toFixed(2)}`);
  if (tokens.length > most.length) parts.push("…");
  return `${quote(tokens[query])} attends to ${parts.join(", ")}`;
}

function quote(token) {
  return token.length > 30 ? `“${token.slice(0, 30)}…”` : `“${token}”`;
}

function remarks({ tokens, left }, vocabulary) {
  const known = new Set(vocabulary);
  const isWord = (token) => /[\p{L}\p{N}]/u.test(token);
  const unknown = tokens.filter((token) => isWord(token) && !known.has(token.toLowerCase()));
  const lines = [];
  if (left > 0) lines.push(`Shown are the first ${MOST_TOKENS} words; ${left} more are left out.`);
  if (unknown.length > 0) {
    const some = [...new Set(unknown)].slice(0, 5).map(quote).join(", ");
    lines.push(`Not known to this model, so all their features are zero: ${some}.`);
  }
  return lines.join(" ");
}

export default { render };
