// A worker in which a model learns, so that a page never waits for it.
//
// It is told {id, task, ...} and answers {id, result}, or {id, problem} in words for the reader. While
// the model learns it tells, a few times a second, {news: {step, losses, seconds, tokensPerSecond}}, with
// the loss of each step since the last news; now and then {news: {sample: {step, text}}}; and, if the
// model cannot go on, {news: {problem}}.
import { BPETokenizer } from "./bpe.js";
import { gptShapes } from "./gpt_file.js";
import { toFile } from "./gpt_saving.js";
import { Learner } from "./learner.js";
import { fableTokens, learnTokenizer, partRead, unigramEntropy } from "./learning_text.js";
import { product } from "./named.js";
import { randomNumbers } from "./random.js";
import { drawToken, temperatureSoftmax } from "./sampler.js";

const TURN = 50; // milliseconds of work, after which messages are heard
const NEWS = 250; // milliseconds from news to news
const FIRST_SAMPLE = 1; // second after the beginning; each then comes when twice the time has passed,
const RARELY = 10; // or so many seconds
const SAMPLE = 48; // tokens

// {learner, tokenizer, tokens, text, content, seed, rate, temperature, seconds, nextSample, written}
let run;
let isRunning = false;
let training; // the promise of the loop below, while it goes round

const TASKS = {
  // Make a model that has learned nothing. With an empty text it is to learn `fable`, which is
  // {language, tokenizer}.
  async begin({ text, fable, size, seed, rate, temperature }) {
    await TASKS.pause();
    const read = partRead(text);
    const content = read ? await learnTokenizer(read, turns()) : fable.tokenizer;
    const source = { text: read, content, seed };
    const { batch_size: batchSize, ...sizes } = size;
    const { tokenizer, tokens } = await prepare(source, fable, sizes.n_positions);
    const config = { vocab_size: tokenizer.vocabSize, ...sizes };
    const learner = new Learner({ config, tokens, seed, batchSize });
    run = { ...source, learner, tokenizer, tokens, rate, temperature, seconds: 0, nextSample: 0, written: 0 };
    return describe();
  },

  // Go on from what `state` gave.
  async resume({ state, fable, rate, temperature }) {
    await TASKS.pause();
    const { learner: saved, seconds, ...source } = state;
    const { tokenizer, tokens } = await prepare(source, fable, saved.config.n_positions);
    const learner = Learner.from(saved, tokens);
    const last = { seconds, nextSample: seconds, written: 0 };
    run = { ...source, learner, tokenizer, tokens, rate, temperature, ...last };
    return describe();
  },

  async run() {
    requireRun();
    isRunning = true;
    training ??= train().finally(() => (training = undefined));
  },

  async pause() {
    isRunning = false;
    await training; // which ends with what it has to tell
  },

  async set(settings) {
    Object.assign(requireRun(), settings); // rate, temperature
  },

  async sample({ count = SAMPLE, temperature = requireRun().temperature }) {
    return write(requireRun(), count, temperature, turns());
  },

  async state() {
    const { learner, text, content, seed, seconds } = requireRun();
    return { learner: learner.state(), text, content, seed, seconds };
  },

  // The files that lmmath.checkpoints.load_model and BPETokenizer.load read.
  async files() {
    const { learner, content } = requireRun();
    const { config, params } = learner.state();
    return { model: toFile(config, params), tokenizer: JSON.stringify(content, null, 1) };
  },
};

async function prepare({ text, content, seed }, fable, n_positions) {
  const tokenizer = new BPETokenizer(content);
  const tokens = text
    ? Int32Array.from(tokenizer.encode(text))
    : await fableTokens(fable.language, tokenizer, seed, turns());
  if (tokens.length <= n_positions) {
    const [has, needs] = [tokens.length, n_positions + 1].map((n) => n.toLocaleString("en"));
    throw new Error(`The text has ${has} bytes. To be learned it must have at least ${needs}.`);
  }
  return { tokenizer, tokens };
}

function describe() {
  const { learner, tokenizer, tokens, text, seconds } = run;
  const shapes = Object.values(gptShapes(learner.config));
  return {
    config: learner.config,
    isFable: text === "",
    isFast: learner.hasKernel,
    nParams: shapes.map(product).reduce((sum, count) => sum + count),
    nTokens: tokens.length,
    isOfBytes: tokenizer.vocabSize === 256,
    seconds,
    step: learner.steps,
    unigram: unigramEntropy(tokens),
  };
}

async function train() {
  const learning = run;
  const { learner } = learning;
  const turn = turns();
  let losses = [];
  let told = performance.now();
  const tell = () => {
    const now = performance.now();
    const nTokens = losses.length * learner.batchSize * learner.config.n_positions;
    const tokensPerSecond = (1000 * nTokens) / (now - told);
    const news = { step: learner.steps, losses, seconds: learning.seconds, tokensPerSecond };
    if (losses.length > 0) self.postMessage({ news });
    [losses, told] = [[], now];
  };
  try {
    while (isRunning) {
      if (learning.seconds >= learning.nextSample) {
        const { seconds, temperature } = learning;
        self.postMessage({ news: { sample: await write(learning, SAMPLE, temperature, turn) } });
        learning.nextSample = seconds + Math.min(RARELY, Math.max(FIRST_SAMPLE, seconds));
      }
      const begin = performance.now();
      do losses.push(learner.step(learning.rate).loss);
      while (performance.now() - begin < TURN);
      learning.seconds += (performance.now() - begin) / 1000;
      if (performance.now() - told >= NEWS) tell();
      await turn();
    }
  } catch (error) {
    isRunning = false;
    self.postMessage({ news: { problem: error.message } });
  }
  tell();
}

// Let the model write: after a line break, as before each story of Fable, or the first token of the text.
async function write(learning, count, temperature, turn) {
  const { learner, tokenizer, tokens, seed } = learning;
  const step = learner.steps;
  const reader = learner.gpt().reader();
  const random = randomNumbers((seed + Math.imul(step + 1, 0x85ebca6b) + learning.written) | 0);
  learning.written += 1; // so that another sample at the same step is another
  const lineBreak = "\n".charCodeAt(0);
  const written = [tokens.includes(lineBreak) ? lineBreak : tokens[0]];
  const most = Math.min(count + 1, learner.config.n_positions);
  while (written.length < most) {
    const logits = reader.read(written.at(-1));
    written.push(drawToken(temperatureSoftmax(logits, temperature), random()));
    await turn();
  }
  return { step, text: tokenizer.decode(written).replace(/^\n+/, "") };
}

function requireRun() {
  if (!run) throw new Error("No model has begun to learn.");
  return run;
}

// Gives a function to await, which lets messages come in.
function turns() {
  const { port1, port2 } = new MessageChannel();
  return () =>
    new Promise((resolve) => {
      port1.onmessage = resolve;
      port2.postMessage(null);
    });
}

self.onmessage = async ({ data: { id, task, ...asked } }) => {
  try {
    self.postMessage({ id, result: await TASKS[task](asked) });
  } catch (error) {
    self.postMessage({ id, problem: error.message });
  }
};
