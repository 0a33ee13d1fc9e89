// The real model, as the widgets of a page ask for it: a worker computes, and they share it.
//
//   const model = realModel();
//   await model.load(); // the event "progress" tells of the bytes that are there
//   const reading = await model.read({ text }, { signal, tell });
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
  #loading; // {promise, controller}, from the first call of `load` until it fails
  description; // once it is loaded: {config, name, isKept, isFast}

  // Bring the model, from this browser's cache or from the site. Who asks while it comes waits for the
  // same; `stop` ends it for all.
  load() {
    this.#loading ??= this.#beginLoading();
    return this.#loading.promise;
  }

  #beginLoading() {
    const controller = new AbortController();
    const tell = (bytes) => this.#announce("progress", bytes);
    const asked = this.#ask({ task: "load", folder: modelFolder() }, { tell, signal: controller.signal });
    const promise = asked.then(
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
    return { promise, controller };
  }

  // End a download. What has arrived stays in the browser.
  stop() {
    if (this.isLoading) this.#loading.controller.abort();
  }

  get isLoading() {
    return this.#loading !== undefined && !this.description;
  }

  // What happens while it reads {text, isChat, edits}. The result is as a trace has it.
  async read(asked, options) {
    const shown = await this.#ask({ task: "read", ...asked }, options);
    return {
      ...shown,
      lens: (position) => this.#ask({ task: "lens", ...asked, position }),
      angles: (stage) => this.#ask({ task: "angles", ...asked, stage }),
    };
  }

  // Go on with {text, isChat, count, settings, random, edits}; `tell` hears of each token.
  write(asked, options) {
    return this.#ask({ task: "write", ...asked }, options);
  }

  // Who stops waiting hears of it at once, though the worker may first have to end a step.
  async #ask(message, { tell, signal } = {}) {
    signal?.throwIfAborted();
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = (this.#count += 1);
    let stop;
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, tell });
      stop = () => {
        this.#waiting.delete(id);
        worker.postMessage({ id, stop: true });
        reject(signal.reason);
      };
    });
    signal?.addEventListener("abort", stop);
    worker.postMessage({ id, ...message });
    return answer.finally(() => signal?.removeEventListener("abort", stop));
  }

  #start() {
    const worker = new Worker(new URL("../engines/llama_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, news, result, problem } }) => {
      const asked = this.#waiting.get(id); // undefined if it was stopped
      if (news !== undefined) return asked?.tell?.(news);
      this.#waiting.delete(id);
      if (problem === undefined) asked?.resolve(result);
      else asked?.reject(new Error(problem));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      const problem = new Error("The model could not start here.");
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      this.#worker = this.#loading = this.description = undefined;
      for (const { reject } of waiting) reject(problem);
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
