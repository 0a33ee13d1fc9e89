import { element, heatMap } from "./shared.js";

const MOST_LABELS = 28; // more would not be legible beside the heat map
const ATTENTION = "Heat map: a row for each token that attends, a column for each that is attended to";
const FEW_LABELS = 12; // as many are legible on a telephone

// The heat map with the names of tokens beside it, as far as there is room. A click on a row picks it.
// `label` says what its rows and columns are.
export function labelledMap(pick, label = ATTENTION) {
  const map = heatMap(label);
  const rowMark = element("div", { className: "lm-row-mark" });
  const rowLabels = element("div", { className: "lm-row-labels", ariaHidden: "true" });
  const columnLabels = element("div", { className: "lm-column-labels", ariaHidden: "true" });
  const plane = element("div", { className: "lm-plane" }, map.canvas, rowMark);
  const box = element("div", { className: "lm-map" }, columnLabels, rowLabels, plane);
  let count = 0;
  plane.addEventListener("click", ({ clientY }) => {
    const { top, height } = plane.getBoundingClientRect();
    const row = Math.floor(((clientY - top) / height) * count);
    pick(Math.max(0, Math.min(row, count - 1)));
  });
  return {
    element: box,
    draw: map.draw,
    label(names) {
      count = names.length;
      const shown = count <= MOST_LABELS ? names : [];
      rowLabels.replaceChildren(...shown.map((name) => element("span", {}, name)));
      columnLabels.replaceChildren(...shown.map((name) => element("span", {}, name)));
      box.classList.toggle("lm-many", count > FEW_LABELS);
    },
    mark(row) {
      rowMark.style.top = `${(100 * row) / count}%`;
      rowMark.style.height = `${100 / count}%`;
    },
  };
}
