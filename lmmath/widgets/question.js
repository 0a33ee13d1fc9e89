// A question on the page: pick an answer or type a number, and read why it is right or wrong.
import { element, fill, parseNumber, setTrait, uniqueName, watch } from "./kit/shared.js";

// What to say to a number that was typed.
export function judge(text, { answer, tolerance, explanation, mistakes }) {
  const number = parseNumber(text);
  if (!Number.isFinite(number)) {
    return { words: "Type a number, such as 0.61, 1/4, 50 % or 2e-5." };
  }
  const near = (other) => Math.abs(number - other) <= tolerance + 1e-12 * Math.abs(other);
  if (near(answer)) return { right: true, words: `Right. ${explanation}` };
  const known = mistakes.find(([mistake]) => near(mistake));
  const where = number > answer ? "too large" : "too small";
  return { right: false, words: known ? `Not right. ${known[1]}` : `Not right: ${where}.` };
}

function render({ model, el, signal }) {
  const reply = element("p", { className: "lm-reply", attributes: { role: "status" } });
  const answer = (words, right) => {
    const sign = right === undefined ? "" : right ? "✓ " : "✗ ";
    reply.textContent = sign + words;
  };
  const build = model.get("answers") ? buildChoice : buildNumber;
  fill(el, signal, build(model, answer, signal), reply);
  el.classList.add("lm-question");
}

function buildChoice(model, answer, signal) {
  const group = uniqueName("answer");
  const inputs = model.get("answers").map((text, i) => {
    const input = element("input", { type: "radio", name: group });
    input.addEventListener("change", () => setTrait(model, "chosen", i));
    return [input, element("label", { className: "lm-answer" }, input, element("span", {}, text))];
  });
  const follow = () => {
    const chosen = model.get("chosen");
    inputs.forEach(([input], i) => (input.checked = i === chosen));
    const explanation = model.get("explanations")[chosen];
    const right = chosen === model.get("right");
    if (explanation === undefined) answer("");
    else answer(`${right ? "Right." : "Not right."} ${explanation}`, right);
  };
  watch(model, ["chosen"], follow, signal);
  const legend = element("legend", {}, model.get("question"));
  return element("fieldset", {}, legend, ...inputs.map(([, label]) => label));
}

function buildNumber(model, answer, signal) {
  const input = element("input", { type: "text", inputMode: "decimal", autocomplete: "off" });
  const form = element(
    "form",
    { noValidate: true },
    element(
      "label",
      { className: "lm-field" },
      element("span", {}, model.get("question")),
      input,
    ),
    element("button", { type: "submit", className: "lm-button" }, "Check"),
  );
  const names = ["answer", "tolerance", "explanation", "mistakes"];
  const say = () => {
    const key = Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const { right, words } = judge(model.get("typed"), key);
    answer(words, right);
  };
  const follow = () => {
    if (input.value !== model.get("typed")) input.value = model.get("typed");
    if (model.get("typed") !== "") say();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setTrait(model, "typed", input.value);
    say(); // also if nothing has changed, or nothing was typed
  });
  watch(model, ["typed"], follow, signal);
  return form;
}

export default { render };
