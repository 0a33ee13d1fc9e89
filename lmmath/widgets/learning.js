// The second widget of chapter 6: a GPT learns in the page, and the reader sees the loss fall and reads what
// it writes. A worker computes; here is what the reader sees, and what the browser keeps.
import { gptShapes } from "./engines/gpt_file.js";
import { forgetRun, keepRun, keptRun } from "./engines/kept_run.js";
import { LossCurve } from "./engines/loss_curve.js";
import { product } from "./engines/named.js";
import { ModelInTraining } from "./kit/model_in_training.js";
import { plot } from "./kit/plot.js";
import { button, element, fill, formatNumber, options, setTrait, slider } from "./kit/shared.js";
import { status, watch } from "./kit/shared.js";

const VERSION = 1; // of what is kept
const KEEP = 10_000; // milliseconds from one keeping to the next
const SPEAK = 5_000; // milliseconds from one report in words to the next
const RECENT = 50; // losses, whose mean is reported
const EARLIER = 4; // samples shown beside the newest
const RATE = { label: "Learning rate", min: 1e-4, max: 0.1, scale: "log", step: 10 ** 0.1 };
const TEMPERATURE = { label: "Temperature of the samples", min: 0.1, max: 2, step: 0.1 };
const CHOICES = ["text", "size", "seed"]; // what a run has from its beginning to its end

function render({ model, el, signal }) {
  const get = (name) => model.get(name);
  const training = new ModelInTraining(hear);
  let run; // {choices, of, curve, samples, recent, step, speed}, once a model is there
  let phase = "none"; // then "preparing", "learning", "stopped", "hidden"
  let kept = false; // whether the browser keeps the run
  let [keptAt, spokenAt] = [0, 0];

  const words = status(signal);
  const [textNote, pending, remark] = [1, 2, 3].map(() => element("p", { className: "lm-note" }));
  const loss = lossPlot(get("fable_floor"));
  const samples = sampleList();
  const pressed = { none: start, learning: stop, stopped: goOn, hidden: stop };
  const main = button("Start", () => pressed[phase]?.());
  const again = button("Start over", start);
  const another = button("Another sample", writeNow);
  const weights = button("Download the weights", () => download("model", "model.safetensors"));
  const tokenizer = button("Download the tokenizer", () => download("tokenizer", "tokenizer.json"));
  const offer = keptOffer({ goOn: resume, forget });
  const group = (label, ...children) => {
    const attributes = { role: "group", "aria-label": label };
    return element("div", { className: "lm-controls", attributes }, ...children);
  };
  fill(
    el,
    signal,
    offer.element,
    textArea(model, signal),
    textNote,
    options(model, "size", sizesOffered(get("sizes")), "Model", signal),
    group("Learning", main, again, slider(model, "learning_rate", RATE, signal)),
    pending,
    words.element,
    element("div", { className: "lm-plots" }, loss.element, samples.element),
    group("Samples", another, slider(model, "temperature", TEMPERATURE, signal)),
    group("Files", weights, tokenizer),
    remark,
  );
  el.classList.add("lm-learning");

  function enter(next) {
    phase = next;
    const label = { none: "Start", preparing: "Start", stopped: "Go on" }[next] ?? "Stop";
    if (main.textContent !== label) main.textContent = label;
    const isThere = run !== undefined && next !== "preparing";
    for (const one of [another, weights, tokenizer]) one.disabled = !isThere;
    again.hidden = run === undefined;
  }

  // Do what may fail, and say so if it does.
  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      if (signal?.aborted) return;
      words.say(error.message);
      enter(run ? "stopped" : "none");
    }
  }

  function settings() {
    return { rate: get("learning_rate"), temperature: get("temperature") };
  }

  function whatIsFable() {
    return { language: get("language"), tokenizer: get("fable_tokenizer") };
  }

  function start() {
    if (phase === "preparing") return undefined;
    return attempt(async () => {
      const choices = Object.fromEntries(CHOICES.map((name) => [name, get(name)]));
      enter("preparing");
      words.say(choices.text ? "The text is being cut into tokens." : "Fable is being written.");
      const { text, size, seed } = choices;
      const wanted = { text, seed, size: get("sizes")[size], fable: whatIsFable(), ...settings() };
      const of = await training.ask("begin", wanted); // if it fails, the model before is still there
      offer.hide();
      run = { choices, of, curve: new LossCurve(), samples: [], recent: [], step: 0, speed: NaN };
      draw();
      await goOn();
    });
  }

  function goOn() {
    return attempt(async () => {
      enter("learning");
      keptAt = spokenAt = performance.now();
      words.say(`The model learns ${run.of.isFable ? "Fable" : "the text"}, from step ${count(run.step)} on.`);
      await training.ask("run");
    });
  }

  function stop() {
    return attempt(async () => {
      enter("stopped");
      await training.ask("pause");
      if (phase === "stopped") words.say(`Stopped. ${report(run, get("fable_floor"))}`);
      await keep();
    });
  }

  function writeNow() {
    return attempt(async () => addSample(await training.ask("sample")));
  }

  function hear({ step, losses, tokensPerSecond, sample, problem }) {
    if (signal?.aborted || !run) return;
    if (sample) addSample(sample);
    if (problem) {
      enter("stopped");
      words.say(`${problem} A lower learning rate may help: choose one, and start over.`);
    }
    if (!losses) return;
    losses.forEach((value, i) => run.curve.add(step - losses.length + 1 + i, value));
    run.recent = [...run.recent, ...losses].slice(-RECENT);
    [run.step, run.speed] = [step, tokensPerSecond];
    draw();
    if (phase !== "learning") return;
    const now = performance.now();
    if (now - spokenAt > SPEAK) {
      spokenAt = now;
      words.say(report(run, get("fable_floor")));
    }
    if (now - keptAt > KEEP) keep();
  }

  function addSample(sample) {
    run.samples = thinned([...run.samples, sample], EARLIER + 1);
    samples.draw(run.samples);
  }

  function draw() {
    loss.draw(run);
    samples.draw(run.samples);
    note();
  }

  function note() {
    const isOther = run && CHOICES.some((name) => get(name) !== run.choices[name]);
    const left = get("text").length;
    textNote.textContent = left
      ? `${count(left)} characters. They stay in this browser.`
      : "Nothing is typed, so the model learns Fable: the page writes two million characters of it.";
    pending.textContent = isOther ? "What you have chosen counts when you start over." : "";
    remark.textContent = remarkOn(run, kept);
  }

  // What goes on from here after a reload.
  async function keep() {
    keptAt = performance.now();
    const { choices, curve, samples: written, recent } = run;
    try {
      const state = await training.ask("state");
      await keepRun({
        ...{ version: VERSION, choices, state, recent, samples: written, points: curve.points },
        settings: settings(),
      });
      kept = true;
    } catch {
      kept = "refused";
    }
    note();
  }

  function resume(record) {
    return attempt(async () => {
      enter("preparing");
      words.say("The kept model is being brought.");
      const { choices, settings: before, state, points, samples: written, recent } = record;
      const wanted = { state, fable: whatIsFable(), rate: before.rate, temperature: before.temperature };
      const of = await training.ask("resume", wanted);
      offer.hide();
      for (const name of CHOICES) setTrait(model, name, choices[name]);
      setTrait(model, "learning_rate", before.rate);
      setTrait(model, "temperature", before.temperature);
      run = { choices, of, curve: new LossCurve(points), samples: written, recent, step: of.step, speed: NaN };
      kept = true;
      draw();
      main.focus(); // the button that was pressed is gone
      await goOn();
    });
  }

  async function forget() {
    offer.hide();
    main.focus();
    await forgetRun().catch(() => {});
  }

  function download(file, name) {
    return attempt(async () => {
      const address = URL.createObjectURL(new Blob([(await training.ask("files"))[file]]));
      element("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000); // when the browser has taken it
    });
  }

  // What nobody sees need not cost a battery.
  function followVisibility() {
    if (document.hidden && phase === "learning") {
      enter("hidden");
      attempt(async () => {
        await training.ask("pause");
        const says = `It pauses while the page is hidden. ${report(run, get("fable_floor"))}`;
        if (phase === "hidden") words.say(says);
        await keep();
      });
    } else if (!document.hidden && phase === "hidden") goOn();
  }

  document.addEventListener("visibilitychange", followVisibility, { signal });
  signal?.addEventListener("abort", () => training.close());
  watch(model, CHOICES, note, signal);
  watch(model, ["learning_rate", "temperature"], () => run && training.ask("set", settings()), signal);
  enter("none");
  words.say("The model has not begun to learn.");
  keptRun().then(
    (record) => !run && phase === "none" && record?.version === VERSION && offer.show(record),
    () => ((kept = "refused"), note()),
  );
}

function textArea(model, signal) {
  const area = element("textarea", {
    ...{ rows: 4, spellcheck: false, placeholder: "Paste a text, the longer the better, or learn Fable." },
    attributes: { dir: "auto" },
  });
  area.addEventListener("input", () => setTrait(model, "text", area.value));
  const follow = () => {
    if (area.value !== model.get("text")) area.value = model.get("text");
  };
  watch(model, ["text"], follow, signal);
  return element("label", { className: "lm-field" }, element("span", {}, "Text to learn"), area);
}

// The sizes with the number of their parameters, of a vocabulary of 512 tokens, the smallest first.
// (A page that was saved has them in the order of their names.)
function sizesOffered(sizes) {
  const inOrder = Object.entries(sizes).sort(([, a], [, b]) => a.d_model - b.d_model);
  return inOrder.map(([value, size]) => {
    const shapes = gptShapes({ vocab_size: 512, d_ff: 4 * size.d_model, ...size });
    const nParams = Object.values(shapes).map(product).reduce((sum, n) => sum + n);
    return { value, label: `${value}, ${count(1000 * Math.round(nParams / 1000))} parameters` };
  });
}

// The loss by step. The axis of steps is logarithmic: ten steps at the beginning change as much as a
// thousand later.
function lossPlot(floor) {
  const figure = plot({
    label: "Loss by step",
    x: { label: "step", from: 1, to: 100, scale: "log" },
    y: { label: "loss, nats per token", from: 0, to: 7 },
    height: 260,
  });
  const curve = figure.line({ color: "blue", dash: "none" });
  const counting = figure.horizontal({ color: "vermilion" });
  const lowest = figure.horizontal({ color: "green" });
  const nameOfLowest = figure.captions(); // at the left, where the curve is still high
  const draw = ({ of, curve: { line }, step, recent }) => {
    const top = Math.ceil(Math.log(of.config.vocab_size) + 0.5);
    const halfDecades = Math.max(4, Math.ceil(2 * Math.log10(step + 1)));
    figure.axes({ x: { to: 10 ** (halfDecades / 2) }, y: { to: top } });
    curve.draw(...line);
    counting.draw(of.unigram, `counting tokens: ${formatNumber(of.unigram)}`);
    lowest.show(of.isFable);
    lowest.draw(floor);
    const name = [[1], [floor + 0.04 * top], [`floor: ${formatNumber(floor)}`]];
    nameOfLowest.draw(...(of.isFable ? name : [[], [], []]));
    figure.describe(
      `Loss by step, on a logarithmic axis of steps. ${report({ of, step, recent, speed: NaN }, floor)} ` +
        `A line at ${formatNumber(of.unigram)} is the loss of counting tokens` +
        (of.isFable ? `, another at ${formatNumber(floor)} the floor.` : "."),
    );
  };
  return { element: figure.element, draw };
}

// What the model wrote, the newest first. It is text, whatever it looks like.
function sampleList() {
  const list = element("ol", { className: "lm-learning-samples", reversed: true });
  const nothing = element("p", { className: "lm-note" }, "What the model writes will stand here.");
  const heading = element("p", { className: "lm-learning-heading" }, "What it writes");
  const attributes = { role: "group", "aria-label": "What the model writes" };
  const box = { className: "lm-learning-written", tabIndex: 0, attributes }; // it scrolls by keyboard
  const item = ({ step, text }) => {
    const at = element("span", { className: "lm-note" }, `Step ${count(step)}`);
    return element("li", {}, at, element("p", { attributes: { dir: "auto" } }, text));
  };
  let drawn;
  return {
    element: element("div", box, heading, nothing, list),
    draw(samples) {
      if (samples === drawn) return;
      drawn = samples;
      nothing.hidden = samples.length > 0;
      list.replaceChildren(...[...samples].reverse().map(item));
    },
  };
}

// The offer to go on with the model that the browser has kept.
function keptOffer({ goOn, forget }) {
  const says = element("span");
  let record;
  const more = button("", () => goOn(record));
  const less = button("Forget it", forget);
  const whole = element("div", { className: "lm-offer", hidden: true }, says, more, less);
  return {
    element: whole,
    show(found) {
      record = found;
      const { text, size } = record.choices;
      const what = text ? "a text" : "Fable";
      says.textContent = `This browser has kept a ${size} model that was learning ${what}.`;
      more.textContent = `Go on from step ${count(record.state.learner.step)}`;
      whole.hidden = false;
    },
    hide: () => (whole.hidden = true),
  };
}

// Leave so many samples: the first, the last, and of the others those that are farthest apart in ratio.
export function thinned(samples, most) {
  const left = [...samples];
  const ratio = (i) => (left[i + 1].step + 1) / (left[i - 1].step + 1);
  while (left.length > most) {
    let closest = 1;
    for (let i = 2; i + 1 < left.length; i += 1) if (ratio(i) < ratio(closest)) closest = i;
    left.splice(closest, 1);
  }
  return left;
}

// How far the model is.
export function report({ of, step, recent, speed }, floor) {
  if (recent.length === 0) return "The model has not made a step.";
  const mean = recent.reduce((sum, value) => sum + value, 0) / recent.length;
  const beside = of.isFable
    ? `, ${formatNumber(mean - floor)} above the floor.`
    : `; counting tokens alone gives ${formatNumber(of.unigram)}.`;
  const rounded = count(100 * Math.round(speed / 100));
  const reads = Number.isFinite(speed) ? ` It reads ${rounded} tokens a second.` : "";
  return `Step ${count(step)}: loss ${formatNumber(mean)} nats per token${beside}${reads}`;
}

const NOTHING_KEPT = "This browser keeps nothing here: the model is gone when you leave the page.";

function remarkOn(run, kept) {
  if (!run) return kept === "refused" ? NOTHING_KEPT : "";
  const { isFable, isFast, isOfBytes, nTokens, nParams, config } = run.of;
  const bytes = isOfBytes ? ", which are its bytes" : "";
  return [
    `The model has ${count(nParams)} parameters, the text ${count(nTokens)} tokens${bytes}.`,
    ...(isFable
      ? [
          "The floor is the loss of a reader who knows Fable, and each story from its beginning on.",
          `The model sees windows of ${config.n_positions} tokens that begin anywhere.`,
        ]
      : ["It reads the text again and again, and may learn it by heart: its loss on another text is higher."]),
    kept === "refused" ? NOTHING_KEPT : "This browser keeps the model every ten seconds.",
    "While the page is hidden, it pauses.",
    ...(isFast ? [] : ["This page may not use WebAssembly, so the model learns some six times as slowly."]),
  ].join(" ");
}

function count(number) {
  return Math.round(number).toLocaleString("en");
}

export default { render };
