// One code cell: its code, still or in an editor, the bar below it, and what it shows.

import { keep, recall } from "./memory.js";
import { Output } from "./output.js";

const keyOf = (exercise) => `answer:${exercise}`;

function makeButton(action, text) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  button.dataset.do = action;
  return button;
}

export class Cell {
  #bar;
  #still; // the code as it was published
  #marked; // as it stands in the page, in colours
  #published; // as text
  #editor = null;
  #status = Object.assign(document.createElement("span"), { className: "cell-status", role: "status" });
  // For the eye, while the editor has the focus; a screen reader hears it with the editor's name.
  #hint = Object.assign(document.createElement("span"), {
    className: "cell-hint",
    ariaHidden: "true",
    textContent: "Shift+Enter runs. Esc, then Tab leaves.",
  });
  #ranWith = null; // the code with which it last ran, if its names are still there

  // `page` is what a cell needs of the page: run, runAbove, stop, complete, isRunning, hasAbove.
  constructor(box, index, page) {
    Object.assign(this, { box, index, page });
    this.#bar = box.querySelector(".cell-bar");
    this.#still = box.querySelector(".cell_input > div");
    this.#marked = this.#still.querySelector("pre").cloneNode(true);
    this.#published = this.#still.querySelector("pre").textContent.replace(/\n$/, "");
    this.exercise = /^check\((\w+)\)/m.exec(this.#published)?.[1];
    this.canRun = !box.matches("[class*=needs-]");
    this.output = new Output(box);
    this.#bar.append(this.#status);
    this.#bar.dataset.ready = "";
    this.#bar.addEventListener("click", ({ target }) => this.press(target.dataset.do));
  }

  get code() {
    return this.#editor?.code ?? this.#published;
  }

  get hasRun() {
    return this.#ranWith === this.code;
  }

  ran(code) {
    this.#ranWith = code;
  }

  forget() {
    this.#ranWith = null;
  }

  press(action) {
    if (action === "run") this.page.run(this);
    if (action === "above") this.page.runAbove(this);
    if (action === "stop") this.page.stop(this);
    if (action === "edit") this.edit();
    if (action === "reset") this.reset();
  }

  say(text) {
    this.#status.textContent = text;
  }

  // Ask something with two buttons, and give whether the first was pressed.
  ask(question, yes, no) {
    this.say(question);
    return new Promise((resolve) => {
      const buttons = [makeButton("yes", yes), makeButton("no", no)];
      const answer = ({ target }) => {
        for (const button of buttons) button.remove();
        this.say("");
        resolve(target === buttons[0]);
      };
      for (const button of buttons) button.addEventListener("click", answer);
      this.#status.after(...buttons);
      buttons[0].focus();
    });
  }

  async edit({ code = this.#published, focus = true } = {}) {
    if (!this.canRun) return;
    const [{ makeEditor }, { highlight }] = await Promise.all([import("./editor.js"), import("./highlight.js")]);
    this.#editor ??= makeEditor({
      place: this.#still,
      code,
      label: this.exercise ? `Your answer: ${this.exercise}` : `Code of cell ${this.index + 1}`,
      complete: (text, position) => this.page.complete(text, position),
      onChange: (text) => {
        this.#keep(text === this.#published ? null : text);
        // What is copied and printed is what the reader wrote.
        this.#still.querySelector("pre").replaceChildren(highlight(text));
        this.show();
      },
      onRun: () => this.page.run(this),
    });
    this.#bar.append(this.#hint);
    this.show();
    if (focus) this.#editor.focus();
  }

  // Put back what the page had.
  reset() {
    this.#editor?.destroy();
    this.#editor = null;
    this.#hint.remove();
    this.#still.querySelector("pre").replaceChildren(...this.#marked.cloneNode(true).childNodes);
    this.#keep(null);
    this.output.restore();
    this.say("");
    this.show();
    this.#bar.querySelector("[data-do=edit]").focus();
  }

  // An answer is kept in this browser, and nowhere else.
  async restoreAnswer() {
    const kept = this.exercise && recall(keyOf(this.exercise));
    if (kept && kept !== this.#published) await this.edit({ code: kept, focus: false });
  }

  #keep(text) {
    if (!this.exercise || keep(keyOf(this.exercise), text)) return;
    this.say("This browser keeps nothing: your answer lasts as long as the page");
  }

  // The bar offers what can be done now.
  show() {
    if (!this.canRun) return;
    const buttons = [this.page.isRunning(this) ? ["stop", "Stop"] : ["run", this.exercise ? "Check" : "Run"]];
    if (!this.#editor) buttons.push(["edit", "Edit"]);
    if (this.#editor || !this.output.isPublished) buttons.push(["reset", "Reset"]);
    if (this.page.hasAbove(this)) buttons.push(["above", "Run all above"]);
    const wanted = buttons.map(([action]) => action);
    const hadFocus = this.#bar.contains(document.activeElement);
    // What stays is left where it is: a reader may be about to press it.
    for (const old of this.#bar.querySelectorAll("[data-do]")) if (!wanted.includes(old.dataset.do)) old.remove();
    buttons.forEach(([action, text], i) => {
      const here = this.#bar.children[i];
      if (here.dataset.do !== action) here.before(makeButton(action, text));
    });
    if (hadFocus && !this.#bar.contains(document.activeElement)) this.#bar.querySelector("button").focus();
  }
}
