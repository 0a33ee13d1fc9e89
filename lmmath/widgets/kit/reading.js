// What widgets share that show a trained GPT reading a text of the reader's: its traits are those of
// `ReadingWidget` in reading.py.
import { loadModel } from "./language_model.js";
import { watch } from "./shared.js";

// The tokens that the model reads: a line break, as before every story of Fable, and the beginning
// of the text. `left` counts the tokens for which there is no position.
export function tokenize(text, { tokenizer, config }) {
  const all = tokenizer.encode(`\n${text}`);
  const tokens = all.slice(0, config.n_positions);
  return { tokens, left: all.length - tokens.length };
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
