// A widget on two models: the real one, and the one that has learned Fable, whose truth is known.
import { element, fill, options, watch } from "./shared.js";

const ALL = [
  { value: "SmolLM2", label: "SmolLM2, a real model" },
  { value: "Fable", label: "Fable’s small model" },
];

// `renders` has for each subject a function that gives, perhaps by a promise, what renders a view of it,
// {model, el, signal}. It is called when the subject is first chosen. What Fable's model weighs comes only then.
export function subjects({ model, el, signal }, renders) {
  const places = new Map(); // subject -> its part of the widget
  const choose = options(model, "subject", ALL, "Model", signal);
  const both = element("div", { className: "lm-subjects" });
  fill(el, signal, element("div", { className: "lm-controls" }, choose), both);

  async function open(subject, place) {
    if (subject === "Fable") await arrival(model, "weights");
    const render = await renders[subject]();
    if (!signal.aborted) await render({ model, el: place, signal });
  }

  let first; // a promise that is kept when the first subject can be seen
  const show = () => {
    const subject = model.get("subject");
    if (!places.has(subject)) {
      const place = element("div");
      places.set(subject, place);
      both.append(place);
      const opened = open(subject, place);
      first ??= opened;
    }
    for (const [name, place] of places) place.hidden = name !== subject;
  };
  watch(model, ["subject"], show, signal);
  return first;
}

// Wait until a trait has a value, or did not arrive.
function arrival(model, name) {
  return new Promise((resolve) => {
    if (model.get(name) !== undefined) return resolve();
    const react = () => {
      model.off(`change:${name}`, react);
      resolve();
    };
    model.on(`change:${name}`, react);
    return undefined;
  });
}
