// A text as tokens: their names, their places, and a row of them of which one is chosen.
import { element, uniqueName } from "./shared.js";

const SIGNS = { "\n": "⏎", " ": "␣" };

// A token so that it can be seen, without the spaces at its ends.
export function nameOf(token, tokenizer) {
  return visible(tokenizer.decode([token]));
}

// The same for the text of a token.
export function visible(piece) {
  const text = piece.replace(/^ +| +$/g, "") || " ";
  return text.replace(/[\p{Cc} ]/gu, (sign) => SIGNS[sign] ?? "\ufffd");
}

// The place of a position among `count`, or of the nearest one that is there; negative positions
// count from the end.
export function placeOf(position, count) {
  const place = position < 0 ? position + count : position;
  return Math.max(0, Math.min(place, count - 1));
}

// The position of a place. The last is -1, so that it stays the last when the text grows.
export function positionOf(place, count) {
  return place === count - 1 ? -1 : place;
}

// The tokens in a row, one of which is chosen. `pick` is called with the place of another; `extras`
// makes what each has beside its name.
export function tokenStrip(label, pick, extras = () => []) {
  const group = uniqueName("token");
  const strip = element("div", {
    className: "lm-words",
    attributes: { role: "radiogroup", "aria-label": label },
  });
  let shown = "";
  let inputs = [];

  function build(tokens, tokenizer) {
    inputs = tokens.map((_, i) => {
      const input = element("input", { type: "radio", name: group });
      input.addEventListener("change", () => pick(i));
      return input;
    });
    const labels = tokens.map((token, i) => {
      const name = element("span", { className: "lm-word" }, nameOf(token, tokenizer));
      const made = element("label", {}, inputs[i], name, " ", ...extras());
      made.classList.toggle("lm-spaced", tokenizer.decode([token]).startsWith(" "));
      return made;
    });
    strip.replaceChildren(...labels);
  }

  return {
    element: strip,
    // Gives the labels, for `extras` to be filled.
    draw({ tokens, tokenizer }, chosen) {
      if (String(tokens) !== shown) build(tokens, tokenizer);
      shown = String(tokens);
      if (!inputs[chosen].checked) {
        const label = strip.children[chosen];
        requestAnimationFrame(() => keepInView(strip, label)); // when the page is laid out anyway
      }
      inputs.forEach((input, i) => (input.checked = i === chosen));
      return [...strip.children];
    },
  };
}

// For `extras`: a number over a bar, which has the height --weight.
export function weightAndBar() {
  return [
    element("span", { className: "lm-weight" }),
    element("span", { className: "lm-bar", ariaHidden: "true" }),
  ];
}

// Scroll a box, and not the page, so far that what is in it can be seen.
function keepInView(box, part) {
  if (!part.isConnected) return;
  const [outer, inner] = [box, part].map((el) => el.getBoundingClientRect());
  box.scrollTop += Math.max(0, inner.bottom - outer.bottom) - Math.max(0, outer.top - inner.top);
}
