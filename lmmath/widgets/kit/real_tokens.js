// The tokens that the real model reads: where a text is cut, and what each token costs the model.
import { visible, weightAndBar } from "./token_strip.js";
import { realReading } from "./real_reading.js";
import { element } from "./shared.js";

const MOST_BITS = 20; // the height of a bar that is full

export function realTokens({ model, el, signal }) {
  el.classList.add("lm-attention");
  return realReading({ model, el, signal }, makeView, { label: "The chosen token", extras: weightAndBar });

  function makeView() {
    const counts = element("p");
    const note = element("p", { className: "lm-note" }, "Above each token: what it costs, in bits.");

    function show(reading, place, { labels, say }) {
      const { tokens, pieces, losses } = reading;
      const bits = losses.map ? Array.from(losses, (loss) => loss / Math.LN2) : [];
      const text = pieces.slice(1).join("");
      const nBytes = new TextEncoder().encode(text).length;
      const total = bits.reduce((a, b) => a + b, 0);
      const perByte = nBytes > 0 ? `, ${(total / nBytes).toFixed(2)} bits a byte` : "";
      counts.textContent =
        `${nBytes} bytes in ${tokens.length - 1} tokens after the first, ` +
        `which cost ${total.toFixed(0)} bits${perByte}.`;
      labels.forEach((label, i) => {
        const cost = i === 0 ? undefined : bits[i - 1];
        label.querySelector(".lm-weight").textContent = cost?.toFixed(1) ?? "";
        label.querySelector(".lm-bar").style.setProperty("--weight", Math.min(1, (cost ?? 0) / MOST_BITS).toFixed(3));
      });
      const name = `“${visible(pieces[place])}”`;
      const own = new TextEncoder().encode(pieces[place]).length;
      const cost = place === 0 ? "Nothing comes before it." : `It costs ${bits[place - 1].toFixed(1)} bits.`;
      const best = place === 0 ? "" : ` Most probable there was “${visible(reading.next(place - 1)[0].text)}”.`;
      say(`${name} is token ${tokens[place]}, of ${own} ${own === 1 ? "byte" : "bytes"}. ${cost}${best}`);
    }

    return { element: element("div", { className: "lm-body" }, counts, note), show };
  }
}
