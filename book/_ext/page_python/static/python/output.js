// What a cell shows, in the place where the published page had it.

import { showWidget } from "./comms.js";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const ONE_BLOCK = /^```python\n([\s\S]*?)\n?```\s*$/;

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const preformatted = (kind, content) =>
  element("div", `output ${kind}`, element("div", "highlight", element("pre", "", content)));

export class Output {
  #published; // what the page had here, or null
  #place; // where output appears
  #text = null; // the text to which a stream adds
  #views = new AbortController(); // ends the widgets shown here
  #clearBeforeNext = false;

  constructor(cell) {
    this.#published = cell.querySelector(":scope .cell_output");
    this.#place = this.#published;
    this.cell = cell;
  }

  get isPublished() {
    return this.#place === this.#published;
  }

  // Make room. What was there goes away only when something comes, so that the page does not jump.
  begin() {
    this.#clearBeforeNext = true;
    this.#place?.classList.add("is-old");
  }

  end() {
    if (this.#clearBeforeNext) this.#clear();
  }

  // What the published page showed.
  restore() {
    if (this.#place === this.#published) return this.#published?.classList.remove("is-old");
    this.#views.abort();
    if (this.#published) this.#place.replaceWith(this.#published);
    else this.#place.remove();
    this.#place = this.#published;
    this.#published?.classList.remove("is-old");
    this.#clearBeforeNext = false;
  }

  stream(name, text) {
    const last = this.#text;
    if (last?.name === name && !this.#clearBeforeNext) return last.node.appendData(text);
    const node = document.createTextNode(text);
    this.#add(preformatted(name === "stderr" ? "stderr" : "stream", node));
    this.#text = { name, node };
  }

  display(data) {
    if (WIDGET in data) {
      const place = element("div", "live-widget");
      this.#add(place);
      showWidget(data[WIDGET].model_id, place, this.#views.signal);
    } else if ("text/html" in data) this.#add(element("div", "output text_html", parsed(data["text/html"])));
    else if ("image/svg+xml" in data) this.#add(element("div", "output text_html", parsed(data["image/svg+xml"])));
    else if ("text/markdown" in data) this.#add(markdown(data["text/markdown"]));
    else this.#add(preformatted("text_plain", data["text/plain"] ?? ""));
  }

  clear(wait) {
    if (wait) this.#clearBeforeNext = true;
    else this.#clear();
  }

  // The reader's own line first; all that led there is folded.
  error({ name, message, cell, line, code, traceback }, own) {
    const box = element("div", "output error");
    const where = cell === own ? `Line ${line}: ` : `Line ${line} of another cell: `;
    if (line) box.append(element("p", "", where, element("code", "", code)));
    box.append(element("p", "", element("strong", "", name), message && `: ${message}`));
    box.append(element("details", "", element("summary", "", "How Python came there"), element("pre", "", traceback)));
    this.#add(box);
  }

  notice(text) {
    this.#add(element("div", "output error", element("p", "", text)));
  }

  #add(child) {
    if (this.#clearBeforeNext) this.#clear();
    this.#text = null;
    if (!this.#place) {
      this.#place = element("div", "cell_output docutils container");
      this.cell.querySelector(".cell_input").after(this.#place);
    }
    this.#place.append(child);
  }

  #clear() {
    this.#clearBeforeNext = false;
    this.#text = null;
    this.#views.abort();
    this.#views = new AbortController();
    const fresh = element("div", "cell_output docutils container");
    if (this.#place) this.#place.replaceWith(fresh);
    else this.cell.querySelector(".cell_input").after(fresh);
    this.#place = fresh;
  }
}

// A program of the reader's may show any HTML. The site's policy keeps scripts in it from running. It
// also forbids styles of single elements that come as text, so they come by the document; and style
// sheets, which would be those of the whole page, as matplotlib's would.
function parsed(html) {
  const withoutSheets = html.replace(/<style[\s\S]*?<\/style>/gi, "");
  const inert = withoutSheets.replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\sstyle=/gi, " data-set-style="));
  const { body } = new DOMParser().parseFromString(inert, "text/html");
  for (const styled of body.querySelectorAll("[data-set-style]")) {
    styled.style.cssText = styled.dataset.setStyle;
    styled.removeAttribute("data-set-style");
  }
  const content = document.createDocumentFragment();
  content.append(...body.childNodes);
  return content;
}

function markdown(text) {
  const code = ONE_BLOCK.exec(text)?.[1];
  if (code === undefined) return preformatted("text_plain", text);
  const box = preformatted("text_markdown", code);
  import("./highlight.js").then(({ highlight }) => box.querySelector("pre").replaceChildren(highlight(code)));
  return box;
}
