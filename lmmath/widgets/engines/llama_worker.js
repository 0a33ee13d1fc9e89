// A worker that holds the real model, so that a page never waits for it.
//
// It is told {id, task, ...}, does one thing after the other, and answers with {id, result}, or
// {id, problem} in words for the reader; on the way, as often as there is news, with {id, news}.
// {id, stop: true} ends a task that was asked for.
import { BPETokenizer } from "./bpe.js";
import { chatTokens } from "./chat.js";
import { Llama } from "./llama.js";
import { forgetPieces, loadPieces, readIndex } from "./pieces.js";
import { Workbench } from "./quantized.js";
import { readText } from "./llama_reading.js";
import { drawFrom } from "./sampler.js";

let model;
let tokenizer;
let lastReading;
const stops = new Map(); // id -> the AbortController of a task

const TASKS = {
  // Bring the model from a folder of the site. News: bytes that are there.
  async load({ folder, simd }, signal, tell) {
    if (model) return describe();
    const index = await readIndex(new URL(folder, self.location.href));
    const workbench = new Workbench(index.size, { simd });
    const isKept = await loadPieces(index, workbench.file, { onProgress: tell, signal });
    const loaded = new Llama(workbench);
    tokenizer = tokenizerOf(loaded.metadata);
    model = loaded;
    return { ...describe(), isKept, isFast: workbench.hasKernel };
  },

  // Read a text, or a chat, and give all that happens on the way. News: tokens read.
  async read({ text, isChat, edits }, signal, tell) {
    const pause = pacer(signal);
    lastReading = await readText(model, tokenizer, tokensOf(text, isChat), { edits, pause, tell });
    return lastReading.shown;
  },

  // The logit lens at one position of the text read last.
  async lens({ position }) {
    if (!lastReading) throw new Error("No text has been read.");
    return lastReading.lens(position);
  },

  // The angles between the vectors of the stream of the text read last, at one stage.
  async angles({ stage }) {
    if (!lastReading) throw new Error("No text has been read.");
    return lastReading.angles(stage);
  },

  // Remove what the browser keeps of the model.
  async forget() {
    await forgetPieces();
  },

  // Go on with a text. News: each new token, {token, text, probability}.
  async write({ text, isChat, count, settings, random, edits }, signal, tell) {
    const reader = model.reader({ edits });
    const tokens = tokensOf(text, isChat);
    const pause = pacer(signal);
    for (let i = 0; i < tokens.length; i += STEP) {
      reader.read(tokens.slice(i, i + STEP));
      await pause();
    }
    const written = [];
    for (let i = 0; i < count && reader.tokens.length < model.config.n_positions; i += 1) {
      const { token, probability } = drawFrom(reader.logits(), settings, random[i]);
      if (token === tokenizer.specialTokens[END_OF_TURN] || token === tokenizer.specialTokens[END_OF_TEXT]) break;
      written.push(token);
      tell({ token, text: tokenizer.decode(written), probability });
      reader.read([token]);
      await pause();
    }
    return { tokens: written, text: tokenizer.decode(written) };
  },
};

const STEP = 8; // tokens read between looks at what else is asked
const [END_OF_TURN, END_OF_TEXT] = ["<|im_end|>", "<|endoftext|>"];

// The tokens of a text after the mark that begins one, or of a chat with one question.
function tokensOf(text, isChat) {
  if (isChat) return chatTokens([{ role: "user", content: text }], tokenizer);
  return [tokenizer.specialTokens[END_OF_TEXT], ...tokenizer.encode(text)];
}

function tokenizerOf(metadata) {
  const said = (name) => metadata[`tokenizer.ggml.${name}`];
  return BPETokenizer.fromLists({
    tokens: said("tokens"),
    merges: said("merges"),
    types: said("token_type"),
    pattern: PATTERNS[said("pre")],
  });
}

const PATTERNS = { smollm: "smollm2" }; // the pre-tokenizer as GGUF names it -> as lmmath does

function describe() {
  return { config: model.config, name: model.metadata["general.name"] ?? "a model of Llama’s family" };
}

// Lets messages come in between two steps.
function pacer(signal) {
  const { port1, port2 } = new MessageChannel();
  return () =>
    new Promise((resolve, reject) => {
      port1.onmessage = () => (signal.aborted ? reject(signal.reason) : resolve());
      port2.postMessage(null);
    });
}

let queue = Promise.resolve(); // one thing after the other

self.onmessage = ({ data: { id, stop, task, ...asked } }) => {
  if (stop) {
    stops.get(id)?.abort();
    return;
  }
  const controller = new AbortController();
  stops.set(id, controller);
  queue = queue.then(async () => {
    const { signal } = controller;
    try {
      signal.throwIfAborted();
      const tell = (news) => self.postMessage({ id, news });
      self.postMessage({ id, result: await TASKS[task](asked, signal, tell) });
    } catch (error) {
      self.postMessage({ id, problem: error.message, wasStopped: error.name === "AbortError" });
    }
    stops.delete(id);
  });
};
