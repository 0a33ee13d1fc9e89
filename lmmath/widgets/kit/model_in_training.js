// A model that learns in a worker, as a widget asks for it.
//
//   const model = new ModelInTraining((news) => ...);
//   await model.ask("begin", { text, ... });
//   await model.ask("run");
export class ModelInTraining {
  #worker;
  #waiting = new Map(); // id -> {resolve, reject}
  #count = 0;
  #tell;

  // `tell` hears of each step, each sample, and of what goes wrong meanwhile.
  constructor(tell) {
    this.#tell = tell;
  }

  ask(task, message = {}) {
    this.#worker ??= this.#start();
    const id = (this.#count += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, task, ...message });
    });
  }

  // The model is gone, with all that it has learned.
  close() {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#waiting.clear();
  }

  #start() {
    const worker = new Worker(new URL("../engines/learning_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, news, result, problem } }) => {
      if (news) return this.#tell(news);
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (problem === undefined) resolve(result);
      else reject(new Error(problem));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const waiting = [...this.#waiting.values()];
      this.close();
      for (const { reject } of waiting) reject(new Error("The model could not start here."));
    };
    return worker;
  }
}
