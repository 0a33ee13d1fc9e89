// The real model, as the widgets of a page ask for it: a worker computes, and they share it.
//
//   const model = realModel();
//   await model.load({ onProgress, signal });
//   const reading = await model.read({ text }, { signal });
let shared;

// The page's one model, which nobody has loaded yet when it is first asked for.
export function realModel() {
  shared ??= new RealModel();
  return shared;
}

class RealModel extends EventTarget {
  #worker;
  #waiting = new Map(); // id -> {resolve, reject, tell}
  #count = 0;
  #loading;
  description; // once it is loaded: {config, name, isKept, isFast}

  // Bring the model, from this browser's cache or from the site. Who asks while it comes waits for the
  // same; `stop` ends it for all.
  load() {
    this.#loading ??= this.#ask({ task: "load", folder: modelFolder() }, {
      tell: (bytes) => this.#announce("progress", bytes),
    }).then(
      (description) => {
        this.description = description;
        this.#announce("ready", description);
        return description;
      },
      (problem) => {
        this.#loading = undefined;
        this.#announce("problem", problem);
        throw problem;
      },
    );
    return this.#loading;
  }

  // End a download. What has arrived stays in the browser.
  stop() {
    if (!this.description) for (const id of this.#waiting.keys()) this.#worker.postMessage({ id, stop: true });
  }

  get isLoading() {
    return this.#loading !== undefined && !this.description;
  }

  // What happens while it reads {text, isChat, edits}. The result is as a trace has it.
  async read(asked, options) {
    const shown = await this.#ask({ task: "read", ...asked }, options);
    return {
      ...shown,
      lens: (position) => this.#ask({ task: "lens", position }),
      angles: (stage) => this.#ask({ task: "angles", stage }),
    };
  }

  // Go on with {text, isChat, count, settings, random, edits}; `tell` hears of each token.
  write(asked, options) {
    return this.#ask({ task: "write", ...asked }, options);
  }

  #ask(message, { tell, signal } = {}) {
    signal?.throwIfAborted();
    this.#worker ??= this.#start();
    const id = (this.#count += 1);
    signal?.addEventListener("abort", () => this.#worker.postMessage({ id, stop: true }));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, tell });
      this.#worker.postMessage({ id, ...message });
    });
  }

  #start() {
    const worker = new Worker(new URL("../engines/llama_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, news, result, problem, wasStopped } }) => {
      const asked = this.#waiting.get(id);
      if (news !== undefined) return asked.tell?.(news);
      this.#waiting.delete(id);
      if (problem === undefined) asked.resolve(result);
      else asked.reject(wasStopped ? new DOMException(problem, "AbortError") : new Error(problem));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const { reject } of this.#waiting.values()) reject(new Error("The model could not start here."));
      this.#waiting.clear();
      this.#worker = this.description = this.#loading = undefined;
    };
    return worker;
  }

  #announce(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// Where the site has the pieces of the model: beside the widgets' files.
export function modelFolder() {
  return new URL("../model/", import.meta.url).href;
}
