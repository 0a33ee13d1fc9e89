import { element, uniqueName } from "./shared.js";

// A tower of steps, the first at the bottom, each with the best guess there: radio buttons along the residual stream.
export function tower(pick) {
  const group = uniqueName("step");
  const box = element("div", {
    className: "lm-stack",
    attributes: { role: "radiogroup", "aria-label": "Step of the model" },
  });
  let rows = []; // from the bottom up
  const row = ({ name, kind }, i) => {
    const input = element("input", { type: "radio", name: group });
    input.addEventListener("change", () => pick(i));
    const node = element("span", { className: "lm-node" });
    const rail = element("span", { className: `lm-rail lm-${kind}`, ariaHidden: "true" }, node);
    const guess = element("span", { className: "lm-guess" });
    const meter = element("span", { className: "lm-meter lm-blue", ariaHidden: "true" });
    const number = element("span", { className: "lm-number" });
    const part = element("span", { className: "lm-part" }, name);
    const label = element("label", {}, input, rail, part, " ", guess, meter, " ", number);
    return { name, label, input, guess, meter, number };
  };
  return {
    element: box,
    draw(steps, best) {
      if (steps.map(({ name }) => name).join() !== rows.map(({ name }) => name).join()) {
        rows = steps.map(row);
        box.replaceChildren(...rows.map(({ label }) => label).reverse());
      }
      rows.forEach(({ guess, meter, number }, i) => {
        guess.textContent = best[i].label;
        number.textContent = best[i].values[0].toFixed(2);
        meter.style.setProperty("--value", best[i].values[0]);
      });
    },
    choose(chosen) {
      rows.forEach(({ label, input }, i) => {
        input.checked = i === chosen;
        label.classList.toggle("lm-passed", i <= chosen);
      });
    },
  };
}
