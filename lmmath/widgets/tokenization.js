// Chapter 8: type a text, and see it merge pair by pair.
import { bars } from "./kit/bars.js";
import { BPETokenizer, applyMerges, learnMerges, pairFrequencies, toBytes, toLabel, toText } from "./engines/bpe.js";
import { pacer } from "./engines/gpt.js";
import { animate, button, element, fill, formatNumber, options, setTrait, status, watch } from "./kit/shared.js";

const MOST_SIGNS = 10_000; // of the text that are read
const MOST_MERGES = 1000; // that are learned from it
const MOST_TOKENS = 300; // that are shown
const MOST_PAIRS = 8; // likewise
const SECONDS_PER_MERGE = 0.4; // when they play

// The beginning of a text that is used.
export function limited(text) {
  return text.length <= MOST_SIGNS ? text : Array.from(text).slice(0, MOST_SIGNS).join("");
}

// Learn the merges of a text while the page stays responsive; null if `goesOn` says no.
export async function learn(text, goesOn = () => true) {
  const merges = [];
  const pause = pacer();
  for (const merge of learnMerges(text)) {
    await pause();
    if (!goesOn()) return null;
    if (merges.push(merge) === MOST_MERGES) break;
  }
  return merges;
}

// A text after these merges: for each pre-token its tokens, which are byte strings, and how often each
// pair of tokens stands side by side.
export function compute(text, merges) {
  const pieces = applyMerges(text, merges);
  return { pieces, frequencies: pairFrequencies(pieces) };
}

// Give a token's id: the bytes are numbered first, then what the merges make.
export function numbering(merges) {
  const made = new Map(merges.map(({ pair }, i) => [pair.join(""), 256 + i]));
  return (token) => (token.length === 1 ? token.charCodeAt(0) : made.get(token));
}

function render({ model, el, signal }) {
  let all = null; // the merges that can be made, once they are known
  let learning; // stands for the text and the source that they are learned from

  const field = element("textarea", { rows: 3, spellcheck: false });
  field.addEventListener("input", () => setTrait(model, "text", field.value));
  const range = element("input", { type: "range", min: 0 });
  range.addEventListener("input", () => goTo(Number(range.value)));
  const size = element("span", { className: "lm-value", ariaHidden: "true" });
  const words = status(signal);
  const counts = element("p", { className: "lm-counts" });
  const named = { role: "list", "aria-label": "Tokens" };
  const list = element("ol", { className: "lm-tokens", tabIndex: 0, attributes: named });
  const rest = element("p", { className: "lm-note" });
  const note = element("p", { className: "lm-note" });
  const pairs = bars({ label: "Pairs side by side, the most frequent first", format: formatNumber });
  const pairsTitle = element("p", { className: "lm-title" });
  const sources = [
    { value: "text", label: "this text" },
    { value: "tokenizer", label: model.get("tokenizer_name") },
  ];

  fill(
    el,
    signal,
    element("label", { className: "lm-field" }, element("span", {}, "Text"), field),
    options(model, "source", sources, "Merges learned from", signal),
    element("label", { className: "lm-slider" }, element("span", {}, "Merges"), size, range),
    player(),
    words.element,
    list,
    rest,
    note,
    counts,
    element("div", {}, pairsTitle, pairs.element),
  );
  el.classList.add("lm-tokenization");

  const most = () => all?.length ?? 0;
  const nMerges = () => Math.min(model.get("n_merges"), most());
  const goTo = (n) => all && setTrait(model, "n_merges", Math.max(0, Math.min(n, most())));

  function player() {
    let stop;
    const play = button("Play", () => {
      if (stop) return stop();
      if (nMerges() === most()) goTo(0);
      play.textContent = "Pause";
      let waited = 0;
      stop = animate(
        (seconds) => {
          waited += seconds;
          if (waited < SECONDS_PER_MERGE) return true;
          waited = 0;
          goTo(nMerges() + 1);
          return nMerges() < most();
        },
        signal,
        () => {
          stop = undefined;
          play.textContent = "Play";
        },
      );
    });
    const buttons = [
      button("Previous merge", () => goTo(nMerges() - 1)),
      button("Next merge", () => goTo(nMerges() + 1)),
      play,
    ];
    return element("div", { className: "lm-buttons" }, ...buttons);
  }

  async function learnAgain() {
    const text = limited(model.get("text"));
    if (field.value !== model.get("text")) field.value = model.get("text");
    const own = (learning = {});
    try {
      const given = model.get("source") === "tokenizer";
      const merges = given ? trainedMerges() : await learn(text, () => own === learning);
      if (own !== learning) return; // there is another text by now
      all = merges;
      show();
    } catch (error) {
      all = null;
      showNothing(error.message);
    }
  }

  let trained; // the merges of a tokenizer, and what it was made from

  function trainedMerges() {
    const source = model.get("tokenizer");
    if (trained?.source !== source) {
      trained = { source, merges: new BPETokenizer(source).merges.map((pair) => ({ pair })) };
    }
    return trained.merges;
  }

  // To read thousands of merges takes longer than a frame, so before somebody waits for them.
  function readAhead() {
    try {
      trainedMerges();
    } catch {
      // Whoever chooses them will be told.
    }
  }

  function showNothing(why) {
    list.replaceChildren();
    showPairs([]);
    counts.textContent = note.textContent = rest.textContent = "";
    words.say(why);
  }

  function show() {
    if (!all) return;
    const text = limited(model.get("text"));
    const n = nMerges();
    const merges = all.slice(0, n);
    const state = compute(text, merges);
    const last = merges.at(-1);
    const times = last && (last.count ?? countBefore(text, merges)); // only what is learned here has it
    range.max = all.length;
    range.value = n;
    size.textContent = `${n} of ${all.length}, vocabulary ${256 + n}`;
    range.setAttribute("aria-valuetext", `${n} of ${all.length}, a vocabulary of ${256 + n}`);
    showPieces(state.pieces, numbering(merges), last?.pair.join(""));
    showPairs(state.frequencies);
    counts.textContent = describeCounts(text, state.pieces);
    words.say(describe(text, last, n, times));
    const used = `Used are the first ${formatNumber(MOST_SIGNS, 6)} characters.`;
    note.textContent = text.length < model.get("text").length ? used : "";
  }

  // Show the tokens, grouped as merges cannot cross; a group that is what it was stays as it is.
  function showPieces(pieces, idOf, made) {
    let room = MOST_TOKENS;
    const groups = [];
    for (const tokens of pieces) {
      if (room === 0) break;
      groups.push(tokens.slice(0, room));
      room -= groups.at(-1).length;
    }
    groups.forEach((tokens, i) => {
      const ids = tokens.map(idOf);
      const content = JSON.stringify([tokens, ids, tokens.includes(made)]);
      if (list.children[i]?.dataset.content === content) return;
      const group = element("li", {}, ...tokens.map((token, j) => piece(token, ids[j], token === made)));
      group.dataset.content = content;
      if (list.children[i]) list.children[i].replaceWith(group);
      else list.append(group);
    });
    while (list.children.length > groups.length) list.lastChild.remove();
    const more = countTokens(pieces) - (MOST_TOKENS - room);
    rest.textContent = more > 0 ? `and ${formatNumber(more, 6)} more tokens` : "";
  }

  function showPairs(frequencies) {
    const entries = frequencies.slice(0, MOST_PAIRS).map(({ pair, count }) => ({
      label: pair.map(toLabel).join(" + "),
      values: [count],
    }));
    pairs.draw(entries, frequencies[0]?.count);
    const next = model.get("source") === "text" ? ", the next to merge first" : "";
    pairsTitle.textContent = `Side by side now${next}`;
    pairsTitle.hidden = entries.length === 0;
  }

  watch(model, ["text", "source", "tokenizer"], learnAgain, signal);
  (window.requestIdleCallback ?? setTimeout)(readAhead);
  watch(model, ["n_merges"], show, signal);
}

// How often the pair of the last merge stood side by side before it.
function countBefore(text, merges) {
  const last = String(merges.at(-1).pair);
  const { frequencies } = compute(text, merges.slice(0, -1));
  return frequencies.find(({ pair }) => String(pair) === last)?.count ?? 0;
}

// A token with its id. Tokens that merges made have colours; a part of a character has a broken border.
function piece(token, id, isNew) {
  const { label, isPart } = lookOf(token);
  const kinds = ["lm-token"];
  if (id >= 256) kinds.push(`lm-hue-${id % 4}`);
  if (isPart) kinds.push("lm-part");
  if (isNew) kinds.push("lm-new");
  const parts = [element("span", {}, label), " ", element("small", {}, String(id)), " "];
  return element("span", { className: kinds.join(" ") }, ...parts);
}

const looks = new Map(); // of the tokens shown so far: the same ones come again and again

function lookOf(token) {
  if (!looks.has(token)) {
    looks.set(token, { label: toLabel(token), isPart: toBytes(toText(token)) !== token });
  }
  return looks.get(token);
}

const countTokens = (pieces) => pieces.reduce((sum, tokens) => sum + tokens.length, 0);

function describe(text, last, n, count) {
  if (text === "") return "Type a text to see its tokens.";
  if (!last) return "No merge yet: each byte is a token.";
  const [first, second] = last.pair.map(toLabel);
  const times = count === 1 ? "once" : `${formatNumber(count, 6)} times`;
  const made = toLabel(last.pair.join(""));
  return `Merge ${n}: “${first}” and “${second}”, side by side ${times}, become “${made}”.`;
}

function describeCounts(text, pieces) {
  const [nBytes, nTokens] = [new TextEncoder().encode(text).length, countTokens(pieces)];
  const number = (n, name) => `${formatNumber(n, 6)} ${name}${n === 1 ? "" : "s"}`;
  const each = nTokens > 0 ? `, ${(nBytes / nTokens).toFixed(2)} bytes each` : "";
  const characters = number(Array.from(text).length, "character");
  return `${characters} · ${number(nBytes, "byte")} · ${number(nTokens, "token")}${each}`;
}

export default { render };
