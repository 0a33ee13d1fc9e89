// The next token of the real model: its distribution, what temperature and truncation make of it, and,
// when the model is here, the text that it writes.
import { uniform } from "../engines/sampler.js";
import { bars } from "./bars.js";
import { visible } from "./token_strip.js";
import { realReading } from "./real_reading.js";
import { button, element, formatNumber, numberField, slider, watch } from "./shared.js";

const N_SHOWN = 12; // tokens with a bar of their own
const N_WRITTEN = 60; // tokens at a time
const LONGEST_BARS = [0.05, 0.1, 0.25, 0.5, 1]; // of which the first that all bars fit into is chosen
const RULES = ["temperature", "top_k", "top_p", "min_p"];

// The probabilities after the last token at a temperature: of each token that is listed, and of all
// others together; and how many of the listed ones are kept.
export function compute({ logits, tail }, { temperature, top_k, top_p, min_p }) {
  const largest = logits[0];
  const weigh = (logit) => Math.exp((logit - largest) / temperature);
  const weights = Array.from(logits, weigh);
  const others = tail.reduce((sum, { logit, count }) => sum + count * weigh(logit), 0);
  const total = weights.reduce((a, b) => a + b, others);
  const probabilities = weights.map((weight) => weight / total);
  // Each rule sees what the one before it left.
  let kept = Math.min(top_k, logits.length);
  const isAll = top_k > logits.length;
  const mass = isAll ? 1 : probabilities.slice(0, kept).reduce((a, b) => a + b, 0);
  let reached = 0;
  let enough = 0;
  while (enough < kept && reached < top_p * mass) reached += probabilities[enough++];
  if (top_p < 1) kept = enough;
  const others_kept = isAll && (top_p === 1 || reached < top_p * mass) && min_p === 0;
  kept = Math.min(kept, probabilities.filter((p) => p >= min_p * probabilities[0]).length);
  return { probabilities, others: others / total, kept, others_kept };
}

export function realNext({ model, el, signal }) {
  el.classList.add("lm-sampling");
  return realReading({ model, el, signal }, makeView, { hasStrip: false });

  function makeView({ readings }) {
    const list = bars({ label: "The next token", format: (p) => (p < 0.0005 ? "<0.001" : p.toFixed(3)) });
    const title = element("p", { className: "lm-title" });
    const rule = (name, label, scale) => slider(model, name, { label, ...scale }, signal);
    const orAll = (isAll) => (value) => (isAll(value) ? "all" : formatNumber(value));
    const rules = element(
      "div",
      { className: "lm-rules" },
      rule("temperature", "Temperature", { min: 0.1, max: 10, scale: "log" }),
      rule("top_k", "Top-k", { min: 1, max: 512, scale: "log", whole: true, format: orAll((k) => k > 400) }),
      rule("top_p", "Top-p", { min: 0.01, max: 1, format: orAll((p) => p === 1) }),
      rule("min_p", "Min-p", { min: 0, max: 1, format: orAll((p) => p === 0) }),
    );
    const written = element("p", { className: "lm-story", tabIndex: 0, hidden: true });
    const write = button("Write on", goOn);
    const stop = button("Stop", () => writing?.abort());
    const seed = numberField(model, "seed", { label: "Seed", min: 0, max: 999_999, whole: true }, signal);
    const writer = element("div", { className: "lm-controls" }, write, stop, seed);
    const parts = [title, rules, list.element, writer, written];
    let shown;
    let writing; // an AbortController while it writes

    const settings = () => {
      const [temperature, top_k, top_p, min_p] = RULES.map((name) => model.get(name));
      return { temperature, top_k, top_p, min_p };
    };

    function show(reading, place, { say }) {
      shown = { reading, say };
      showRules();
      showWriter();
    }

    function showRules() {
      if (!shown) return;
      const { last, pieces } = shown.reading;
      const { probabilities, others, kept, others_kept } = compute(last, settings());
      const entries = probabilities.slice(0, N_SHOWN).map((p, i) => ({
        label: visible(last.texts[i]),
        values: [p],
        note: i < kept ? "" : "cut",
      }));
      const rest = probabilities.slice(N_SHOWN).reduce((a, b) => a + b, others);
      const note = others_kept ? "" : kept > N_SHOWN ? "in part cut" : "cut";
      entries.push({ label: "all others", values: [rest], note, fixed: true });
      const most = Math.max(...entries.map(({ values }) => values[0]));
      list.draw(entries, LONGEST_BARS.find((longest) => longest >= most) ?? 1);
      title.textContent = `After “${visible(pieces.at(-1))}”`;
      const cut = others_kept ? "" : ` ${kept} of the tokens are kept.`;
      shown.say(`Most probable is “${entries[0].label}” ${probabilities[0].toFixed(3)}.${cut}`);
    }

    function showWriter() {
      const canWrite = readings.model?.description !== undefined;
      writer.hidden = !canWrite;
      stop.hidden = !writing;
      write.hidden = Boolean(writing);
    }

    async function goOn() {
      writing = new AbortController();
      showWriter();
      written.hidden = false;
      const [text, isChat] = [model.get("sentence"), model.get("chat")];
      const begin = isChat ? "" : text;
      const { temperature, top_k, top_p, min_p } = settings();
      const rules = { temperature, topK: top_k > 400 ? Infinity : top_k, topP: top_p, minP: min_p };
      const random = Array.from({ length: N_WRITTEN }, (_, i) => uniform(model.get("seed"), i));
      const tell = ({ text: so_far }) => {
        written.replaceChildren(begin, element("span", { className: "lm-drawn" }, so_far));
      };
      try {
        written.textContent = begin;
        await readings.model.write({ text, isChat, count: N_WRITTEN, settings: rules, random }, { tell, signal: writing.signal });
      } catch (error) {
        if (error.name !== "AbortError") shown.say(error.message);
      }
      writing = undefined;
      showWriter();
    }

    signal.addEventListener("abort", () => writing?.abort());
    watch(model, RULES, showRules, signal);
    readings.model?.addEventListener("ready", showWriter, { signal });
    return { element: element("div", { className: "lm-body" }, ...parts), show };
  }
}
