// The page's side of its Python: starts the worker, calls it, ends it.

// Nearly every cell needs these, so they are fetched while Python starts.
const AT_THE_START = ["page", "numpy", "lmmath"];

const CTRL_C = 2; // the number of the signal

export class Stopped extends Error {
  constructor() {
    super("Python was stopped");
  }
}

export class Kernel {
  #worker = null;
  #started = null; // a promise
  #waiting = new Map(); // number of a call -> {resolve, reject}
  #calls = 0;
  #interrupt = null; // shared with the worker where the site allows it: then a stop keeps the state

  // `onEvent` hears what Python prints, shows and loads; `onEnd` that its state is gone.
  constructor({ onEvent, onEnd }) {
    Object.assign(this, { onEvent, onEnd });
  }

  get isStarted() {
    return this.#started !== null;
  }

  start() {
    this.#started ??= this.#begin().catch((error) => {
      this.end(error);
      throw error;
    });
    return this.#started;
  }

  async call(name, ...given) {
    await this.start();
    return this.#ask(name, given);
  }

  // How many bytes come before the first result, and how many more at most.
  async sizes() {
    const response = await fetch(new URL("../pyodide/index.json", import.meta.url));
    const { core, layers } = await response.json();
    const sum = (some) => some.reduce((total, { size }) => total + size, 0);
    const first = layers.filter(({ name }) => AT_THE_START.includes(name));
    return { first: core.size + sum(first), rest: sum(layers) - sum(first) };
  }

  // End what runs. Give whether the names that cells have bound are still there.
  stop() {
    const isAsked = this.#interrupt?.[0] === CTRL_C; // and it did not stop: it is not in Python's hands
    if (this.#interrupt && !isAsked) {
      this.#interrupt[0] = CTRL_C;
      return true;
    }
    this.end(new Stopped());
    return false;
  }

  async #begin() {
    this.#worker = new Worker(new URL("./kernel.worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    const broken = new Promise((_, reject) => {
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message || "The worker in which Python runs could not start"));
      };
    });
    if (globalThis.crossOriginIsolated) this.#interrupt = new Uint8Array(new SharedArrayBuffer(1));
    await Promise.race([this.#ask("start", [AT_THE_START, this.#interrupt]), broken]);
  }

  #ask(call, given) {
    if (call === "run" && this.#interrupt) this.#interrupt[0] = 0; // a stop that came too late was not for this cell
    return new Promise((resolve, reject) => {
      const id = this.#calls++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, given });
    });
  }

  #receive({ id, result, error, ...event }) {
    if (id === undefined) return this.onEvent(event);
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  // End Python, and with this error all that waits for it.
  end(error) {
    this.#worker?.terminate();
    this.#worker = this.#started = this.#interrupt = null;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
    this.onEnd();
  }
}
