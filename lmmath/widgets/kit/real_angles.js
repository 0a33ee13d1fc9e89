// The angles between the vectors of the real model's stream: one for each token, at the chosen stage.
import { labelledMap } from "./labelled_map.js";
import { positionOf, visible, weightAndBar } from "./token_strip.js";
import { realReading } from "./real_reading.js";
import { element, formatNumber, setTrait, slider, toggle, watch } from "./shared.js";

export function realAngles({ model, el, signal }) {
  el.classList.add("lm-attention");
  return realReading({ model, el, signal }, makeView, { label: "The token to compare with", extras: weightAndBar });

  function makeView() {
    const pick = (i) => setTrait(model, "token", positionOf(i, shown.reading.pieces.length));
    const map = labelledMap(pick, "Heat map of cosines: a row and a column for each token");
    const title = element("p", { className: "lm-title" });
    const fact = element("p", { className: "lm-note" });
    const without = toggle(model, "without_largest", "without the largest feature", signal);
    const controls = element("div", { className: "lm-controls" });
    const both = element("div", { className: "lm-body" }, controls, title, map.element, fact);
    let shown;
    let sliders;
    let latest = 0;

    function show(reading, place, { labels, say }) {
      if (shown?.reading !== reading) map.label(reading.pieces.map((piece) => visible(piece)));
      shown = { reading, place, labels, say };
      if (!sliders) {
        const where = (stage) => (stage === 0 ? "the embedding" : `block ${stage}`);
        sliders = slider(
          model, "stage",
          { label: "After", min: 0, max: reading.n_layers, step: 1, whole: true, format: where }, signal,
        );
        controls.append(sliders, without);
      }
      return showStage();
    }

    async function showStage() {
      if (!shown) return;
      latest += 1;
      const turn = latest;
      const { reading, place, labels, say } = shown;
      const stage = Math.min(model.get("stage"), reading.n_layers);
      const { feature, size, whole, others } = await reading.angles(stage);
      if (turn !== latest) return;
      const rows = (model.get("without_largest") ? others : whole).map((row) => [...row]);
      title.textContent = "Cosines between the tokens’ vectors (negative ones are white)";
      map.draw(rows.map((row) => row.map((cosine) => Math.max(0, Math.min(1, cosine)))));
      map.mark(place);
      labels.forEach((label, i) => {
        label.querySelector(".lm-weight").textContent = rows[place][i].toFixed(2).replace("-", "\u2212");
        label.querySelector(".lm-bar").style.setProperty("--weight", Math.max(0, rows[place][i]).toFixed(3));
      });
      fact.textContent = `The largest number here is ${formatNumber(size)}, in feature ${feature}.`;
      const n = rows.length;
      const pairs = rows.flatMap((row, i) => row.slice(0, i));
      const mean = pairs.reduce((a, b) => a + b, 0) / Math.max(1, pairs.length);
      say(`The mean cosine between two of these ${n} tokens is ${mean.toFixed(2).replace("-", "\u2212")}.`);
    }

    watch(model, ["stage", "without_largest"], showStage, signal);
    return { element: both, show };
  }
}
