// What widgets share that show a trained GPT reading a text of the reader's: its traits are those of
// `ReadingWidget` in reading.py.
import { loadModel } from "./language_model.js";
import { element, uniqueName, watch } from "./shared.js";

// The tokens that the model reads: a line break, as before every story of Fable, and the beginning
// of the text. `left` counts the tokens for which there is no position.
export function tokenize(text, { tokenizer, config }) {
  const all = tokenizer.encode(`\n${text}`);
  const tokens = all.slice(0, config.n_positions);
  return { tokens, left: all.length - tokens.length };
}

const SIGNS = { "\n": "⏎", " ": "␣" };

// A token so that it can be seen, without the spaces at its ends.
export function nameOf(token, tokenizer) {
  const text = tokenizer.decode([token]).replace(/^ +| +$/g, "") || " ";
  return text.replace(/[\p{Cc} ]/gu, (sign) => SIGNS[sign] ?? "\ufffd");
}

// The place of a position among `count`, or of the nearest one that is there; negative positions
// count from the end.
export function placeOf(position, count) {
  const place = position < 0 ? position + count : position;
  return Math.max(0, Math.min(place, count - 1));
}

// The position of a place. The last is -1, so that it stays the last when the text grows.
export function positionOf(place, count) {
  return place === count - 1 ? -1 : place;
}

// Read the text whenever it changes, and the model with it, and then call `show` with {gpt,
// tokenizer, tokens, left, layers}: `layers` has for each token what `trace` of a reader gives.
// If there is nothing to show, call `fail` with what to say to the reader. Gives a promise that is
// kept when the first text has been read: a page need not show a widget that has nothing to show.
export function followText(model, { show, fail }, signal) {
  let reader;
  let read; // the model that the reader has
  let latest = 0;
  const update = async () => {
    latest += 1;
    const turn = latest;
    let reading;
    try {
      const { gpt, tokenizer, config } = loadModel(model);
      if (gpt !== read) [reader, read] = [gpt.reader(), gpt];
      const text = tokenize(model.get("text"), { tokenizer, config });
      await reader.readAll(text.tokens, { signal });
      if (turn !== latest) return;
      const layers = text.tokens.map((_, i) => reader.trace(i)); // the reader may go on meanwhile
      reading = { gpt, tokenizer, layers, ...text };
    } catch (error) {
      if (turn === latest && error.name !== "AbortError") fail(error.message);
      return;
    }
    show(reading);
  };
  let first;
  const react = () => {
    const read = update();
    first ??= read;
  };
  watch(model, ["text", "weights", "tokenizer"], react, signal);
  return first;
}

// What to say of a text that is too long, else nothing.
export function remark({ tokens, left }) {
  const rest = left === 1 ? "1 more is" : `${left.toLocaleString("en")} more are`;
  return left > 0 ? `The model sees ${tokens.length} tokens at most: ${rest} left out.` : "";
}

// The tokens in a row, one of which is chosen. `pick` is called with the place of another; `extras`
// makes what each has beside its name.
export function tokenStrip(label, pick, extras = () => []) {
  const group = uniqueName("token");
  const strip = element("div", {
    className: "lm-words",
    attributes: { role: "radiogroup", "aria-label": label },
  });
  let shown = "";
  let inputs = [];

  function build(tokens, tokenizer) {
    inputs = tokens.map((_, i) => {
      const input = element("input", { type: "radio", name: group });
      input.addEventListener("change", () => pick(i));
      return input;
    });
    const labels = tokens.map((token, i) => {
      const name = element("span", { className: "lm-word" }, nameOf(token, tokenizer));
      const made = element("label", {}, inputs[i], name, " ", ...extras());
      made.classList.toggle("lm-spaced", tokenizer.decode([token]).startsWith(" "));
      return made;
    });
    strip.replaceChildren(...labels);
  }

  return {
    element: strip,
    // Gives the labels, for `extras` to be filled.
    draw({ tokens, tokenizer }, chosen) {
      if (String(tokens) !== shown) build(tokens, tokenizer);
      shown = String(tokens);
      if (!inputs[chosen].checked) {
        const label = strip.children[chosen];
        requestAnimationFrame(() => keepInView(strip, label)); // when the page is laid out anyway
      }
      inputs.forEach((input, i) => (input.checked = i === chosen));
      return [...strip.children];
    },
  };
}

// Scroll a box, and not the page, so far that what is in it can be seen.
function keepInView(box, part) {
  if (!part.isConnected) return;
  const [outer, inner] = [box, part].map((el) => el.getBoundingClientRect());
  box.scrollTop += Math.max(0, inner.bottom - outer.bottom) - Math.max(0, outer.top - inner.top);
}
