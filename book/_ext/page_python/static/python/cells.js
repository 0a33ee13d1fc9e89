// The code cells of a page and their Python: what runs, in which order, and where it shows.

import { Cell } from "./cell.js";
import * as comms from "./comms.js";
import { Kernel, Stopped } from "./kernel.js";
import { keep, recall } from "./memory.js";

const AGREED = "python-may-load";
const STATE_IS_GONE =
  "Python ended with it, so what other cells have computed is gone. Run computes again what a cell needs.";
const SLOW = 1000; // milliseconds after which a running cell shows the time

let current = null; // the cell that runs
let lastShown = null; // the cell to which belongs what Python says between two runs
let queue = Promise.resolve();

const kernel = new Kernel({ onEvent: hear, onEnd: () => cells.forEach((cell) => cell.forget()) });
const notYetRun = (cell) => cells.filter((other) => other.index < cell.index && other.canRun && !other.hasRun);
const page = {
  run: (cell) => inTurn(cell, async () => [...(await neededBy(cell)), { next: cell }]),
  runAbove: (cell) => inTurn(cell, () => notYetRun(cell).map((next) => ({ next }))),
  stop,
  complete: (text, position) => (kernel.isStarted && !current ? kernel.call("complete", text, position) : null),
  isRunning: (cell) => current === cell,
  hasAbove: (cell) => notYetRun(cell).length > 0,
};
const cells = [...document.querySelectorAll(".runs")].map((box, index) => new Cell(box, index, page));
for (const cell of cells) {
  cell.show();
  cell.restoreAnswer();
}

// What the reader's first press was, on a cell that was not yet ready for it.
export const press = (box, action) => cells.find((cell) => cell.box === box).press(action);

// --- running ---

// The cells above that a cell needs and that have not run yet; of one that only imports, a part.
async function neededBy(cell) {
  const found = await kernel.call("needed", cells.map(({ code }) => code), cell.index);
  return found.map(({ cell: index, part }) => ({ next: cells[index], part })).filter(({ next }) => !next.hasRun);
}

// Run the chosen cells one after the other, when those chosen before are done.
function inTurn(cell, choose) {
  if (current) cell.say("Waiting for another cell");
  cell.box.ariaBusy = "true";
  queue = queue.then(async () => {
    try {
      if (!(await mayLoad(cell))) return;
      if (!kernel.isStarted) cell.say("Loading Python");
      await kernel.start();
      cell.say("");
      for (const { next, part } of await choose()) {
        if (!next.canRun) return cell.output.notice("This cell needs what a cell above computes, and that one cannot run here.");
        if (next !== cell) cell.say("Running the cells above");
        if (await execute(next, part)) continue;
        if (next !== cell) cell.say("Not run: a cell above stopped with an error");
        return;
      }
    } catch (error) {
      if (error instanceof Stopped) return;
      kernel.end(error); // Python itself failed, not the reader's code: that would be an answer
      (lastShown ?? cell).output.notice(`${error.message} ${STATE_IS_GONE}`);
    } finally {
      cell.box.ariaBusy = null;
    }
  });
  return queue;
}

async function execute(cell, part = null) {
  const code = part ?? cell.code;
  current = lastShown = cell;
  cell.show();
  if (part === null) cell.output.begin();
  const start = performance.now();
  const time = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  const clock = setInterval(() => cell.say(`Running, ${time()}`), SLOW);
  try {
    const error = await kernel.call("run", cell.index, code);
    if (error?.name === "KeyboardInterrupt") cell.output.notice("Stopped.");
    else if (error) cell.output.error(error, cell.index);
    else if (part === null) cell.ran(code);
    cell.say(error || part !== null ? "" : `Ran in ${time()}`);
    return !error;
  } finally {
    clearInterval(clock);
    if (part === null) cell.output.end();
    current = null;
    for (const one of cells) one.show();
  }
}

function stop(cell) {
  if (kernel.stop()) return;
  cell.say("");
  cell.output.notice(`Stopped. ${STATE_IS_GONE}`);
}

// A reader who may have to pay for each megabyte is told how many, before they come.
async function mayLoad(cell) {
  if (kernel.isStarted || !isCostly() || recall(AGREED)) return true;
  const { first, rest } = await kernel.sizes();
  const question =
    `Running code loads Python once: ${megabytes(first)}, ` +
    `and up to ${megabytes(rest)} more when a cell needs figures, SciPy or a trained model.`;
  const agreed = await cell.ask(question, "Load it", "Not now");
  if (agreed) keep(AGREED, "yes");
  return agreed;
}

function isCostly() {
  const { saveData, type } = navigator.connection ?? {};
  return saveData || type === "cellular" || matchMedia("(pointer: coarse)").matches;
}

// --- what Python says ---

function hear({ event, buffers, ...data }) {
  const cell = current ?? lastShown;
  const reactions = {
    stream: ({ name, text }) => cell?.output.stream(name, text),
    display: (shown) => cell?.output.display(shown.data),
    clear: ({ wait }) => cell?.output.clear(wait),
    loading: ({ name, size }) => cell?.say(`Loading ${name}, ${megabytes(size)}`),
    comm_open: (message) => comms.open(message.comm, message.data, buffers, kernel),
    comm_msg: (message) => comms.receive(message.comm, message.data, buffers),
    comm_close: () => {}, // its view stays until the cell runs again
  };
  reactions[event](data);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 1 : 0)} MB`;
}
