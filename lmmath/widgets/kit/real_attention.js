// Attention in the real model: all its heads at a glance, and one of them with its weights.
import { labelledMap } from "./labelled_map.js";
import { positionOf, visible, weightAndBar } from "./token_strip.js";
import { realReading } from "./real_reading.js";
import { element, setTrait, slider, toggle, uniqueName, watch } from "./shared.js";

const NAMED = { induction: 8, "previous token": 6, names: 6, "first token": 3 }; // heads in the list, at most

export function realAttention({ model, el, signal }) {
  el.classList.add("lm-attention");
  return realReading({ model, el, signal }, makeView, { label: "The token that attends", extras: weightAndBar, changes: "head_off" });

  function makeView({ readings }) {
    const grid = headGrid((layer, head) => choose(layer, head));
    const map = labelledMap((i) => setTrait(model, "token", positionOf(i, shown.reading.pieces.length)));
    const known = knownHeads((layer, head) => choose(layer, head));
    const title = element("p", { className: "lm-title" });
    const count = { whole: true, min: 1 };
    const oneMore = (value) => String(value + 1);
    const controls = element("div", { className: "lm-controls" }, known.element);
    const effect = element("p", { className: "lm-note" });
    const off = toggle(model, "head_off", "switch this head off", signal);
    const sides = [[grid.element, controls, off, effect], [title, map.element]];
    const both = element("div", { className: "lm-both" }, ...sides.map((side) => element("div", {}, ...side)));
    let shown;
    let sliders;
    let intact; // the mean loss of a text with all heads

    function choose(layer, head) {
      setTrait(model, "real_layer", layer);
      setTrait(model, "real_head", head);
    }

    function show(reading, place, { labels, say }) {
      if (shown?.reading !== reading) {
        grid.draw(reading);
        known.offer(reading.heads);
        map.label(reading.pieces.map((piece) => visible(piece)));
      }
      shown = { reading, place, labels, say };
      if (!sliders) {
        const all = (n) => ({ min: 0, max: n - 1, step: 1, format: oneMore, ...count, min: 0 });
        sliders = [
          slider(model, "real_layer", { label: "Layer", ...all(reading.n_layers) }, signal),
          slider(model, "real_head", { label: "Head", ...all(reading.n_heads) }, signal),
        ];
        controls.prepend(...sliders);
      }
      showHead();
    }

    function showHead() {
      if (!shown) return;
      const { reading, place, labels, say } = shown;
      const layer = Math.min(model.get("real_layer"), reading.n_layers - 1);
      const head = Math.min(model.get("real_head"), reading.n_heads - 1);
      const rows = reading.attention(layer, head);
      const name = reading.heads[layer]?.[head];
      title.textContent = `Layer ${layer + 1}, head ${head + 1}${name ? `: ${WHAT[name]}` : ""}`;
      grid.mark(layer, head);
      map.draw(rows);
      map.mark(place);
      const weights = rows[place];
      labels.forEach((label, i) => {
        label.querySelector(".lm-weight").textContent = weights[i].toFixed(2);
        label.querySelector(".lm-weight").classList.toggle("lm-none", weights[i] < 0.005);
        label.querySelector(".lm-bar").style.setProperty("--weight", weights[i].toFixed(4));
      });
      showEffect(reading, layer, head);
      const order = weights.map((_, i) => i).sort((a, b) => weights[b] - weights[a]);
      const most = order.slice(0, 3).filter((i, rank) => rank === 0 || weights[i] >= 0.005);
      const called = (i) => `“${visible(reading.pieces[i])}”`;
      say(`${called(place)} attends to ${most.map((i) => `${called(i)} ${weights[i].toFixed(2)}`).join(", ")}.`);
    }

    function showEffect(reading, layer, head) {
      const loss = mean(reading.losses);
      if (!model.get("head_off")) {
        intact = { text: reading.pieces.join(""), loss };
        effect.textContent = "";
      } else if (intact?.text === reading.pieces.join("")) {
        effect.textContent =
          `Without head ${head + 1} of layer ${layer + 1} this text costs ${loss.toFixed(2)} nats per token, ` +
          `with it ${intact.loss.toFixed(2)}.`;
      }
    }

    watch(model, ["real_layer", "real_head"], showHead, signal);
    return { element: both, show };
  }
}

const WHAT = {
  induction: "copies what followed the last time",
  "previous token": "looks one place back",
  "first token": "rests on the first token",
  names: "looks at the right name",
};

function mean(numbers) {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

// All heads as small heat maps: a column for each layer, a row for each head; on a narrow screen two
// such tables, one below the other. A click picks a head. (The sliders do the same by keyboard.)
function headGrid(pick) {
  const canvas = element("canvas", {
    attributes: { role: "img", "aria-label": "All heads: a column for each layer, a small map for each head" },
  });
  const mark = element("span", { className: "lm-head-mark", ariaHidden: "true" });
  const box = element("div", { className: "lm-heads" }, canvas, mark);
  let sizes; // {columns, rows, n_layers, n_heads}

  box.addEventListener("click", ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const column = Math.floor(((clientX - left) / width) * sizes.columns);
    const row = Math.floor(((clientY - top) / height) * sizes.rows);
    const layer = column + sizes.columns * Math.floor(row / sizes.n_heads);
    if (layer < sizes.n_layers) pick(Math.max(0, layer), row % sizes.n_heads);
  });

  return {
    element: box,
    draw({ n_layers, n_heads, pieces, attention }) {
      const tables = box.clientWidth > 0 && box.clientWidth < 400 ? 2 : 1;
      const columns = Math.ceil(n_layers / tables);
      sizes = { columns, rows: tables * n_heads, n_layers, n_heads };
      const step = pieces.length + 1; // a pixel for each weight, and one between heads
      canvas.width = columns * step;
      canvas.height = sizes.rows * step;
      const image = new ImageData(canvas.width, canvas.height);
      for (let layer = 0; layer < n_layers; layer += 1) {
        for (let head = 0; head < n_heads; head += 1) {
          const x = (layer % columns) * step;
          const y = (Math.floor(layer / columns) * n_heads + head) * step;
          attention(layer, head).forEach((row, i) => {
            for (let j = 0; j <= i; j += 1) {
              image.data.set([0, 114, 178, Math.round(255 * row[j])], 4 * ((y + i) * canvas.width + x + j));
            }
          });
        }
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
    },
    mark(layer, head) {
      if (!sizes) return;
      const percent = (i, n) => `${(100 * i) / n}%`;
      const row = Math.floor(layer / sizes.columns) * sizes.n_heads + head;
      Object.assign(mark.style, {
        left: percent(layer % sizes.columns, sizes.columns),
        top: percent(row, sizes.rows),
        width: percent(1, sizes.columns),
        height: percent(1, sizes.rows),
      });
    },
  };
}

// A list of heads that are known for something, by measured scores.
function knownHeads(pick) {
  const list = element("select", { id: uniqueName("head") });
  let heads = [];
  list.addEventListener("change", () => {
    if (list.value === "") return;
    const [layer, head] = list.value.split(".").map(Number);
    pick(layer, head);
  });
  return {
    element: element("label", { className: "lm-field" }, element("span", {}, "Heads that are known"), list),
    offer(all) {
      if (all === heads) return;
      heads = all;
      const found = Object.keys(NAMED).map((name) => {
        const places = all.flatMap((row, layer) => row.flatMap((of, head) => (of === name ? [[layer, head]] : [])));
        const choices = places.slice(0, NAMED[name]).map(([layer, head]) =>
          element("option", { value: `${layer}.${head}` }, `layer ${layer + 1}, head ${head + 1}`),
        );
        return element("optgroup", { label: name }, ...choices);
      });
      list.replaceChildren(element("option", { value: "" }, "choose …"), ...found);
    },
  };
}
