// The offer to bring the whole model: what comes, how far it is, and what to do if it does not.
import { bytesKept, readIndex } from "../engines/pieces.js";
import { modelFolder } from "./real_model.js";
import { button, element } from "./shared.js";

const MEGABYTE = 2 ** 20;
const LEAST_MEMORY = 2; // gigabytes of a device that can hold the model, where a browser tells

export function offerModel(model, signal) {
  const words = element("span", { attributes: { role: "status" } });
  const label = "How much of the model is here";
  const progress = element("progress", { attributes: { "aria-label": label }, hidden: true });
  const load = button("Load the model", start);
  const stop = button("Stop", () => model.stop());
  stop.hidden = true;
  const line = element("div", { className: "lm-offer" }, words, progress, load, stop);
  let size; // of the model in megabytes

  function start() {
    progress.hidden = stop.hidden = false;
    load.hidden = true;
    words.textContent = "The model is coming.";
    model.load().catch(() => {}); // the event says it
  }

  function tell(text) {
    progress.hidden = stop.hidden = true;
    words.textContent = text;
  }

  model.addEventListener("progress", ({ detail: bytes }) => {
    progress.hidden = stop.hidden = false;
    load.hidden = true;
    if (size === undefined) return; // another widget's download: the list is not here yet
    progress.max = size;
    progress.value = bytes / MEGABYTE;
    words.textContent = `${Math.round(bytes / MEGABYTE)} of ${size} MB`;
  }, { signal });
  model.addEventListener("ready", ({ detail }) => {
    load.hidden = true;
    tell(whenReady(detail));
  }, { signal });
  model.addEventListener("problem", ({ detail: problem }) => {
    load.hidden = false;
    load.textContent = "Go on";
    tell(problem.name === "AbortError" ? "Stopped. What has arrived is kept." : problem.message);
  }, { signal });

  async function begin() {
    if (navigator.deviceMemory < LEAST_MEMORY) {
      load.hidden = true;
      return tell("This device has too little memory for the whole model. The sentences above it can show.");
    }
    try {
      const index = await readIndex(modelFolder());
      size = Math.round(index.size / MEGABYTE);
      const kept = await bytesKept(index);
      if (model.description) return tell(whenReady(model.description));
      if (model.isLoading) return undefined;
      if (kept === index.size) return tell("The whole model is in this browser, for any text.");
      const coming = kept > 0 ? `${size - Math.round(kept / MEGABYTE)} MB more` : `${size} MB`;
      tell(`Any text of yours: that needs the whole model, ${coming}, which stays in this browser.`);
    } catch {
      load.hidden = true;
      tell("The whole model is not on this site.");
    }
    return undefined;
  }

  begin();
  return { element: line };
}

function whenReady({ isKept, isFast }) {
  const room = isKept ? "" : " This browser does not keep it: there is no room, or its settings refuse.";
  const speed = isFast ? "" : " This browser computes it slowly: it lacks fast WebAssembly.";
  return `The model is here. Type any text.${room}${speed}`;
}
