// The logit lens in the real model: what it would say after each block, for the chosen token.
import { bars } from "./bars.js";
import { visible } from "./token_strip.js";
import { realReading } from "./real_reading.js";
import { element, numberField, setTrait, toggle, watch } from "./shared.js";
import { tower } from "./tower.js";

const LONGEST_BARS = [0.05, 0.2, 0.5, 1]; // of which the first that all bars fit into is chosen

export function realLens({ model, el, signal }) {
  el.classList.add("lm-transformer");
  return realReading({ model, el, signal }, makeView, { label: "The token after which the next is guessed", changes: "zeroed" });

  function makeView() {
    const stages = tower((i) => setTrait(model, "stage", i));
    const list = bars({ label: "The likeliest next tokens" });
    const title = element("p", { className: "lm-title" });
    const effect = element("p", { className: "lm-note" });
    const change = element(
      "div",
      { className: "lm-controls" },
      numberField(model, "feature", { label: "Feature", min: 0, max: 575, whole: true }, signal),
      toggle(model, "zeroed", "set this feature to zero after the chosen block", signal),
    );
    const right = element("div", { className: "lm-lens" }, title, list.element, change, effect);
    const both = element("div", { className: "lm-tower" }, stages.element, right);
    let shown; // {reading, place, read, say}
    let intact; // the mean loss of a text when nothing is changed
    let latest = 0;

    async function show(reading, place, { say }) {
      latest += 1;
      const turn = latest;
      showEffect(reading);
      const read = await reading.lens(place);
      if (turn !== latest) return;
      shown = { reading, place, read, say };
      const names = read.map((_, i) => ({ name: i === 0 ? "embedding" : `block ${i}`, kind: i === 0 ? "begin" : "add" }));
      stages.draw(names, read.map(([best]) => entry(best)));
      showStage();
    }

    function showStage() {
      if (!shown) return;
      const { reading, place, read, say } = shown;
      const stage = Math.min(model.get("stage"), read.length - 1);
      const best = read[stage].map(entry);
      stages.choose(stage);
      list.draw(best, LONGEST_BARS.find((longest) => longest >= best[0].values[0]) ?? 1);
      const isLast = stage === read.length - 1;
      title.textContent = isLast ? "What the model says" : `If the model stopped after ${stage === 0 ? "the embedding" : `block ${stage}`}`;
      const said = best.slice(0, 3).map(({ label, values }) => `“${label}” ${values[0].toFixed(2)}`);
      say(`${title.textContent}: after “${visible(reading.pieces[place])}” comes ${said.join(", ")}, …`);
    }

    function showEffect(reading) {
      const loss = reading.losses.reduce((a, b) => a + b, 0) / reading.losses.length;
      const text = reading.pieces.join("");
      if (!model.get("zeroed")) {
        intact = { text, loss };
        effect.textContent = `This text costs ${loss.toFixed(2)} nats per token.`;
      } else if (intact?.text === text) {
        effect.textContent = `With this feature at zero the text costs ${loss.toFixed(2)} nats per token, before ${intact.loss.toFixed(2)}.`;
      }
    }

    watch(model, ["stage"], showStage, signal);
    return { element: both, show };
  }
}

function entry({ text, probability }) {
  return { label: visible(text), values: [probability] };
}
