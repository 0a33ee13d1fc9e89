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

const MOST_READINGS = 3; // that stay, for who asks for a lens: widgets of a page read different texts

let model;
let tokenizer;
let description; // of the model
let readings = []; // {key, reading}, the last one first
const stops = new Map(); // id -> the AbortController of a task

const TASKS = {
  // Bring the model from a folder of the site. News: bytes that are there.
  async load({ folder, simd }, signal, tell) {
    if (model) return description;
    const index = await readIndex(new URL(folder, self.location.href));
    const workbench = new Workbench(index.size, { simd });
    const isKept = await loadPieces(index, workbench.file, { onProgress: tell, signal });
    const loaded = new Llama(workbench);
    const { config, metadata } = loaded;
    tokenizer = tokenizerOf(metadata, config);
    model = loaded;
    const name = metadata["general.name"] ?? "a model of Llama’s family";
    description = { config, name, isKept, isFast: workbench.hasKernel };
    return description;
  },

  // Read a text, or a chat, and give all that happens on the way. News: tokens read.
  async read(asked, signal, tell) {
    return (await readingOf(asked, signal, tell)).shown;
  },

  // The logit lens at one position of a text. It is read again if it was too long ago.
  async lens({ position, ...asked }, signal, tell) {
    return (await readingOf(asked, signal, tell)).lens(position);
  },

  // The angles between the vectors of the stream at one stage, of a text that was read.
  async angles({ stage, ...asked }, signal, tell) {
    return (await readingOf(asked, signal, tell)).angles(stage);
  },

  // Remove what the browser keeps of the model.
  async forget() {
    await forgetPieces();
  },

  // Go on with a text. News: each new token, {token, text, probability}.
  async write({ text, isChat, count, settings, random, edits }, signal, tell) {
    requireModel();
    const reader = model.reader({ edits });
    const tokens = tokensOf(text, isChat);
    const pause = pacer(signal);
    for (let i = 0; i < tokens.length; i += STEP) {
      reader.read(tokens.slice(i, i + STEP));
      await pause();
    }
    const ends = [END_OF_TURN, END_OF_TEXT].map((mark) => tokenizer.specialTokens[mark]);
    const written = [];
    for (let i = 0; i < count && reader.tokens.length < model.config.n_positions; i += 1) {
      const { token, probability } = drawFrom(reader.logits(), settings, random[i]);
      if (ends.includes(token)) break;
      written.push(token);
      tell({ token, text: tokenizer.decode(written), probability });
      reader.read([token]);
      await pause();
    }
    return { tokens: written, text: tokenizer.decode(written) };
  },
};

const STEP = 8; // tokens read between looks at what else is asked
const MARKS = ["<|im_end|>", "<|endoftext|>", "<|im_start|>"];
const [END_OF_TURN, END_OF_TEXT] = MARKS;

function requireModel() {
  if (!model) throw new Error("The model is not loaded.");
}

async function readingOf({ text, isChat = false, edits }, signal, tell) {
  requireModel();
  const key = JSON.stringify([text, isChat, [...(edits?.heads ?? [])].sort(), edits?.zeros ?? []]);
  let found = readings.find((one) => one.key === key);
  if (!found) {
    const pause = pacer(signal);
    const reading = await readText(model, tokenizer, tokensOf(text, isChat), { edits, pause, tell });
    found = { key, reading };
  }
  readings = [found, ...readings.filter((one) => one !== found)].slice(0, MOST_READINGS);
  return found.reading;
}

// The tokens of a text after the mark that begins one, or of a chat with one question.
function tokensOf(text, isChat) {
  if (isChat) return chatTokens([{ role: "user", content: text }], tokenizer);
  return [tokenizer.specialTokens[END_OF_TEXT], ...tokenizer.encode(text)];
}

function tokenizerOf(metadata, { vocab_size }) {
  const said = (name) => metadata[`tokenizer.ggml.${name}`];
  const [kind, pre, tokens] = ["model", "pre", "tokens"].map(said);
  if (kind !== "gpt2" || !Object.hasOwn(PATTERNS, pre)) {
    throw new Error(`The model’s tokenizer must be gpt2, smollm, got ${kind}, ${pre}.`);
  }
  if (tokens?.length !== vocab_size) {
    throw new Error(`The model knows ${vocab_size} tokens, its tokenizer ${tokens?.length}.`);
  }
  const made = BPETokenizer.fromLists({
    tokens,
    merges: said("merges"),
    types: said("token_type"),
    pattern: PATTERNS[pre],
  });
  const missing = MARKS.find((mark) => !(mark in made.specialTokens));
  if (missing) throw new Error(`The model’s tokenizer lacks ${missing}.`);
  return made;
}

const PATTERNS = { smollm: "smollm2" }; // the pre-tokenizer as GGUF names it -> as lmmath does

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
      self.postMessage({ id, problem: error.message });
    }
    stops.delete(id);
  });
};
