// The pieces of which widgets are made: elements, controls tied to traits, a heat map.
// Text is always set as text, never as HTML.

// Make an element: element("p", { className: "note" }, "text", child, ...).
export function element(tag, properties = {}, ...children) {
  const { attributes, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Make a page's element a widget. Keys pressed in it are its own: JupyterLab, which would move to
// another cell on an arrow key, and delete one on "d d", gets only those with Shift, Ctrl, Alt, Cmd.
export function fill(el, signal, ...children) {
  const own = ({ target, shiftKey, ctrlKey, altKey, metaKey }) => {
    if (!el.contains(target)) return;
    const chord = shiftKey || ctrlKey || altKey || metaKey;
    target.toggleAttribute("data-lm-suppress-shortcuts", !chord); // JupyterLab looks for this
  };
  window.addEventListener("keydown", own, { capture: true, signal }); // before JupyterLab's, on document
  el.classList.add("lm-widget");
  el.append(...children);
}

export function setTrait(model, name, value) {
  if (model.get(name) === value) return;
  model.set(name, value);
  model.save_changes();
}

// Call `react` now, and whenever one of the traits changes, until the view is gone.
export function watch(model, names, react, signal) {
  for (const name of names) model.on(`change:${name}`, react);
  signal?.addEventListener("abort", () => {
    for (const name of names) model.off(`change:${name}`, react);
  });
  react();
}

let groups = 0; // radio buttons of one group share a name that no other group has

export function uniqueName(prefix) {
  groups += 1;
  return `lmmath-${prefix}-${groups}`;
}

// A line of text that follows a string trait.
export function textField(model, name, label, signal) {
  const input = element("input", { type: "text", autocomplete: "off", spellcheck: false });
  input.addEventListener("input", () => setTrait(model, name, input.value));
  const follow = () => {
    if (input.value !== model.get(name)) input.value = model.get(name);
  };
  watch(model, [name], follow, signal);
  return element("label", { className: "lm-field" }, element("span", {}, label), input);
}

// A check box that follows a boolean trait.
export function toggle(model, name, label, signal) {
  const input = element("input", { type: "checkbox" });
  input.addEventListener("change", () => setTrait(model, name, input.checked));
  watch(model, [name], () => (input.checked = model.get(name)), signal);
  return element("label", { className: "lm-toggle" }, input, element("span", {}, label));
}

// Radio buttons that follow an integer trait; their labels are another trait.
export function choice(model, name, labelsName, legend, signal) {
  const options = element("span", { className: "lm-options" });
  const group = uniqueName(name);
  const build = () =>
    options.replaceChildren(
      ...model.get(labelsName).map((label, value) => {
        const input = element("input", { type: "radio", name: group, value });
        input.addEventListener("change", () => setTrait(model, name, value));
        return element("label", { className: "lm-toggle" }, input, element("span", {}, label));
      }),
    );
  const follow = () => {
    const chosen = options.querySelectorAll("input")[model.get(name)];
    if (chosen) chosen.checked = true;
  };
  watch(model, [labelsName], () => (build(), follow()), signal);
  watch(model, [name], follow, signal);
  return element("fieldset", { className: "lm-choice" }, element("legend", {}, legend), options);
}

// A heat map of numbers in [0, 1], one pixel for each, which the page enlarges.
// Its colour is a shade of one ink over the page's own background, so it suits any theme.
export function heatMap(label) {
  const canvas = element("canvas", { attributes: { role: "img", "aria-label": label } });
  return {
    canvas,
    draw(rows) {
      canvas.width = rows[0]?.length ?? 1;
      canvas.height = rows.length || 1;
      if (rows.length === 0) return;
      const image = new ImageData(canvas.width, canvas.height);
      rows.flat().forEach((value, i) => {
        image.data.set([0, 114, 178, Math.round(255 * value)], 4 * i);
      });
      canvas.getContext("2d").putImageData(image, 0, 0);
    },
  };
}
