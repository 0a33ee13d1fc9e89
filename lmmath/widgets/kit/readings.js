// Where a widget gets from what the real model does with a text. On a published page: from a trace that
// the build has made, or from the model itself in a worker, once the reader has asked for it. In a
// notebook: from the kernel, which answers with a trace.
//
// A reading is {tokens, pieces, n_layers, n_heads, losses, last, attention(layer, head), next(position),
// lens(position), angles(stage)}; the last two give promises.
import { parseTrace, triangle } from "../engines/trace_file.js";
import { realModel } from "./real_model.js";

const IN_A_NOTEBOOK = !import.meta.url.startsWith("http");

export function readingsFor(model, signal) {
  return IN_A_NOTEBOOK ? new KernelReadings(model, signal) : siteReadings();
}

let site;

function siteReadings() {
  site ??= new SiteReadings();
  return site;
}

class SiteReadings {
  #index;
  #traces = new Map(); // address -> promise of a reading
  model = realModel();

  // {sentences: [{label, text, file, size}], heads: for each layer, what each head is known for}
  index() {
    this.#index ??= fetchFrom(tracesFolder(), "index.json")
      .then((response) => response.json())
      .catch((problem) => {
        this.#index = undefined; // so that it can be tried again
        throw problem;
      });
    return this.#index;
  }

  // Whether a text can be read now.
  async canRead(text, { isChat = false, edits } = {}) {
    const { sentences } = await this.index();
    const isTraced = !isChat && !edits && sentences.some((sentence) => sentence.text === text);
    return isTraced || this.model.description !== undefined;
  }

  async read(text, { isChat = false, edits, signal, tell } = {}) {
    const { sentences } = await this.index();
    const traced = !isChat && !edits && sentences.find((sentence) => sentence.text === text);
    if (traced) return this.#trace(traced.file);
    return ofWorker(await this.model.read({ text, isChat, edits }, { signal, tell }));
  }

  #trace(file) {
    if (!this.#traces.has(file)) {
      const trace = fetchFrom(tracesFolder(), file)
        .then((response) => response.arrayBuffer())
        .then(parseTrace)
        .then(ofTrace);
      trace.catch(() => this.#traces.delete(file)); // so that it can be tried again
      this.#traces.set(file, trace);
    }
    return this.#traces.get(file);
  }
}

// In a notebook, Python answers. Without a kernel it does not.
class KernelReadings {
  #model;
  #waiting = new Map();
  #count = Math.floor(2 ** 40 * Math.random()); // views of one widget hear each other's answers
  model; // none of its own

  constructor(model, signal) {
    this.#model = model;
    const hear = ({ id, problem, index }, buffers) => {
      const asked = this.#waiting.get(id); // undefined if another view has asked
      this.#waiting.delete(id);
      if (problem) asked?.reject(new Error(problem));
      else asked?.resolve(index ?? bytesOf(buffers[0]));
    };
    model.on("msg:custom", hear);
    signal.addEventListener("abort", () => model.off("msg:custom", hear));
  }

  index() {
    return this.#ask({ asked: "index" });
  }

  async canRead() {
    return true;
  }

  async read(text, { isChat = false, edits } = {}) {
    const { heads = [], zeros = [] } = edits ?? {};
    const asked = { asked: "reading", text, is_chat: isChat, heads_off: [...heads], zeros };
    return ofTrace(await parseTrace(await this.#ask(asked)));
  }

  #ask(message) {
    const id = (this.#count += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#model.send({ id, ...message });
    });
  }
}

function bytesOf({ buffer, byteOffset, byteLength }) {
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

function ofTrace(trace) {
  return {
    ...trace,
    attention: (layer, head) => trace.attention(layer, head).map((row) => [...row]),
    last: {
      texts: Array.from(trace.last.ids, (id) => trace.words[id]),
      logits: trace.last.logits,
      tail: Array.from(trace.last.tail.logits, (logit, bin) => {
        return { logit, count: trace.last.tail.counts[bin] };
      }),
    },
    next: (position) => trace.nextAt(position),
    angles: async (stage) => ({
      ...trace.largest(stage),
      whole: trace.cosines(stage, true),
      others: trace.cosines(stage, false),
    }),
    lens: async (position) =>
      Array.from({ length: trace.n_layers + 1 }, (_, stage) => trace.lensAt(stage, position)),
  };
}

function ofWorker(shown) {
  const { n_heads } = shown;
  const n = shown.tokens.length;
  return {
    ...shown,
    attention: (layer, head) =>
      triangle(shown.attention, layer * n_heads + head, n, 255).map((row) => [...row]),
    next: (position) => shown.next[position],
  };
}

function tracesFolder() {
  return new URL("../traces/", import.meta.url);
}

async function fetchFrom(folder, file) {
  const response = await fetch(new URL(file, folder)).catch(() => undefined);
  if (!response?.ok) throw new Error("What the model does with this sentence did not arrive.");
  return response;
}
