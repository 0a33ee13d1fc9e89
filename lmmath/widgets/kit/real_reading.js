// The real model reading a sentence: one of a dozen that came with the page, or the reader's own.
//
// The traits are those of `RealReading` in real_reading.py. A view is {element, show(reading,
// place, {labels, say})}; `place` is the position of the chosen token, `labels` are those of the strip.
import { offerModel } from "./offer.js";
import { placeOf, positionOf, tokenStrip } from "./token_strip.js";
import { readingsFor } from "./readings.js";
import { element, setTrait, status, toggle, uniqueName, watch } from "./shared.js";

const PAUSE = 300; // milliseconds without a key, after which the text is read
const OWN = "your own";
// What else decides, when a switch is on, how the model is changed.
const CHANGED = { head_off: ["real_layer", "real_head"], zeroed: ["stage", "feature"] };
const PIECES = { decode: ([piece]) => piece }; // a strip of pieces, not of ids

export function realReading({ model, el, signal }, makeView, { label, extras, hasStrip = true, changes } = {}) {
  const readings = readingsFor(model, signal);
  const view = makeView({ readings });
  const words = status(signal);
  const chooser = sentenceChooser(model, signal);
  const offer = readings.model ? offerModel(readings.model, signal) : { element: "" };
  const pick = (i) => setTrait(model, "token", positionOf(i, reading.tokens.length));
  const strip = tokenStrip(label, pick, extras);
  const chat = toggle(model, "chat", "put it as a question, in the chat template", signal);
  strip.element.hidden = !hasStrip;
  const body = element("div", { className: "lm-body" }, strip.element, view.element);
  const own = element("div", {}, offer.element, chat);
  el.append(chooser.element, body, words.element, own);
  const followModel = () => (chat.hidden = readings.model && !readings.model.description);
  followModel();

  let reading;
  let latest = 0;
  let running; // an AbortController of what is being read

  async function read() {
    latest += 1;
    const turn = latest;
    running?.abort();
    running = new AbortController();
    const [text, isChat] = [model.get("sentence"), model.get("chat")];
    const edits = editsOf(model, changes);
    try {
      const index = await readings.index();
      if (turn !== latest) return;
      chooser.offer(index.sentences);
      if (!(await readings.canRead(text, { isChat, edits }))) {
        body.hidden = !edits;
        reading = edits && reading;
        words.say(edits ? "To change the model, load it first." : "To read this text, load the model first.");
        return;
      }
      const found = await readings.read(text, { isChat, edits, signal: running.signal });
      if (turn !== latest || signal.aborted) return;
      reading = { ...found, heads: index.heads, text, isChat, isChanged: edits !== undefined };
      body.hidden = false;
      show();
    } catch (error) {
      if (turn === latest && error.name !== "AbortError") {
        body.hidden = true;
        reading = undefined;
        words.say(error.message);
      }
    }
  }

  function show() {
    if (!reading) return;
    const place = placeOf(model.get("token"), reading.tokens.length);
    const labels = strip.draw({ tokens: reading.pieces, tokenizer: PIECES }, place);
    view.show(reading, place, { labels, say: (text) => words.say(text) });
  }

  const first = read();
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(read, PAUSE);
  };
  const asked = ["sentence", "chat", ...(changes ? [changes, ...CHANGED[changes]] : [])];
  const onChange = () => {
    const isSame = changes && !model.get(changes) && reading?.isChanged === false;
    if (!isSame || model.get("sentence") !== reading.text || model.get("chat") !== reading.isChat) later();
  };
  for (const name of asked) model.on(`change:${name}`, onChange);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    running?.abort();
    for (const name of asked) model.off(`change:${name}`, onChange);
  });
  watch(model, ["token"], show, signal);
  const ready = () => (followModel(), read());
  readings.model?.addEventListener("ready", ready, { signal });
  return first;
}

// What of the model is switched off: the chosen head, one feature after one block, or nothing. The
// trait that says so is `changes`, if the view has such a switch.
function editsOf(model, changes) {
  if (!changes || !model.get(changes)) return undefined;
  const head = `${model.get("real_layer")}.${model.get("real_head")}`;
  const zero = { stage: model.get("stage"), feature: model.get("feature") };
  return changes === "head_off"
    ? { heads: new Set([head]), zeros: [] }
    : { heads: new Set(), zeros: [zero] };
}

// A list of sentences, and the text of the one that is chosen, which can be changed.
function sentenceChooser(model, signal) {
  const list = element("select", { id: uniqueName("sentence") });
  const text = element("textarea", { rows: 2, spellcheck: false, id: uniqueName("text") });
  let sentences = [];
  list.addEventListener("change", () => {
    const chosen = sentences.find((sentence) => sentence.label === list.value);
    if (chosen) setTrait(model, "sentence", chosen.text);
    else text.select();
  });
  text.addEventListener("input", () => {
    setTrait(model, "token", -1);
    setTrait(model, "sentence", text.value);
  });
  const follow = () => {
    const value = model.get("sentence");
    if (text.value !== value) text.value = value;
    list.value = sentences.find((sentence) => sentence.text === value)?.label ?? OWN;
  };
  watch(model, ["sentence"], follow, signal);
  return {
    element: element(
      "div",
      { className: "lm-sentence" },
      element("label", { className: "lm-field" }, element("span", {}, "Sentence"), list),
      element("label", { className: "lm-field" }, element("span", {}, "Text"), text),
    ),
    offer(all) {
      if (all.length === sentences.length) return;
      sentences = all;
      list.replaceChildren(...[...all.map(({ label }) => label), OWN].map((name) => element("option", {}, name)));
      follow();
    },
  };
}
