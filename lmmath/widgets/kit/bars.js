// Horizontal bars with names and numbers, as a list: a model's probabilities beside the true ones.
// const both = bars({ label: "Next word", series: ["model", "truth"] });
// both.draw([{ label: "mouse", values: [0.61, 0.55] }, { label: "owl", values: [0.02, 0], note: "cut" }]);
// With `pick`, each name is a button that calls pick(row), except where an entry is `fixed`.
import { element } from "./shared.js";

const COLORS = ["blue", "vermilion"];

export function bars({ label, series = [""], format = (value) => value.toFixed(2), pick }) {
  const list = element("ul", { className: "lm-rows", attributes: { role: "list", "aria-label": label } });
  list.classList.toggle("lm-single", series.length === 1);
  const key = series.map((name, i) => {
    const swatch = element("span", { className: `lm-meter lm-${COLORS[i]}`, ariaHidden: "true" });
    swatch.style.setProperty("--value", 1);
    return element("span", {}, swatch, name);
  });
  const legend = element("p", { className: "lm-legend", hidden: series.length === 1 }, ...key);

  function row() {
    const index = rows.length;
    const name = pick ? element("button", { type: "button", className: "lm-pick" }) : element("span");
    name.addEventListener("click", () => pick?.(index));
    const note = element("span", { className: "lm-note" });
    const meters = series.map((of, i) => {
      const meter = element("span", { className: `lm-meter lm-${COLORS[i]}`, ariaHidden: "true" });
      const number = element("span");
      const who = element("span", { className: "lm-unseen" }, series.length > 1 ? ` ${of} ` : " ");
      return { meter, number, parts: [meter, element("span", { className: "lm-number" }, who, number)] };
    });
    const title = element("span", { className: "lm-name" }, name, " ", note);
    const item = element("li", {}, title, ...meters.flatMap(({ parts }) => parts));
    return { item, name, note, meters };
  }

  let rows = [];
  return {
    element: element("div", {}, legend, list),
    // One row for each; the longest possible bar is `most`.
    draw(entries, most = 1) {
      while (rows.length < entries.length) {
        rows.push(row());
        list.append(rows.at(-1).item);
      }
      for (const { item } of rows.splice(entries.length)) item.remove();
      entries.forEach(({ label: name, values, note = "", fixed = false }, i) => {
        write(rows[i].name, name);
        rows[i].name.disabled = fixed;
        write(rows[i].note, note);
        rows[i].item.classList.toggle("lm-dim", note !== "");
        rows[i].meters.forEach(({ meter, number }, s) => {
          const known = Number.isFinite(values[s]);
          write(number, known ? format(values[s]) : "–");
          meter.style.setProperty("--value", known ? Math.max(0, Math.min(1, values[s] / most)) : 0);
        });
      });
    },
  };
}

function write(where, words) {
  if (where.textContent !== words) where.textContent = words;
}
