// The text that a model is to learn, in tokens: Fable, or any text of the reader's.
//
// `pause` is awaited between two parts of the work, so that whoever does it can look at other things.
import { BPETokenizer, learnMerges, preTokenize, toSigns } from "./bpe.js";
import { stories } from "./fable.js";
import { randomNumbers } from "./random.js";

const FABLE = 2_000_000; // characters: some half a million tokens, so that little is read twice
const PART = 100_000; // characters at a time
const VOCABULARY = 512;
const SHORT = 2_000; // characters, from which no merges are learned
const READ = 1_000_000; // characters, of any text
const LEARNED_FROM = 100_000; // characters: more would find the same merges
const LONGEST_WORD = 1_000; // characters, of a text that is made of words
const FEW = 256; // tokens, of which a model would see nearly all at once

// As much of Fable as is read: an array of token ids, the same for the same seed.
export async function fableTokens(language, tokenizer, seed, pause) {
  const tokens = [];
  const random = randomNumbers(seed);
  const following = stories(language, random);
  const part = () => {
    let text = "";
    while (text.length < PART) text += following.next().value;
    return text;
  };
  for (let length = 0; length < FABLE; length += PART) {
    for (const token of tokenizer.encode(part())) tokens.push(token);
    await pause();
  }
  return Int32Array.from(tokens);
}

// What is read of a text: its beginning, if it is very long.
export function partRead(text) {
  return beginning(text, READ);
}

// Learn the tokens of a text from the text itself: what BPETokenizer takes. Bytes alone are the tokens
// of a text that is short, or not made of words, or of so few that their repetition would be all.
export async function learnTokenizer(text, pause) {
  const sample = beginning(text, LEARNED_FROM);
  const isOfWords = preTokenize(sample).every((word) => word.length <= LONGEST_WORD);
  const merges = [];
  if (text.length >= SHORT && isOfWords) {
    for (const { pair } of learnMerges(sample)) {
      if (merges.push(pair.map(toSigns).join(" ")) === VOCABULARY - 256) break;
      await pause();
    }
  }
  const learned = { format: "lmmath.BPETokenizer 1", merges, special_tokens: [], ids: null };
  const isTooGood = new BPETokenizer(learned).encode(text).length < FEW;
  return isTooGood ? { ...learned, merges: [] } : learned;
}

// -sum_i p_i log p_i, with p_i the share of token i: the loss, in nats per token, of who knows how often
// each token occurs, and nothing else.
export function unigramEntropy(tokens) {
  const counts = new Map();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / tokens.length) * Math.log(count / tokens.length);
  return entropy;
}

// Not cut within a character that JavaScript counts as two.
function beginning(text, length) {
  return text.length <= length ? text : text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}
