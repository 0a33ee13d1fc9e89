// Byte-pair encoding in the browser: the same tokens, ids and merges as lmmath.tokenization.
//
// A byte string is a string whose characters are bytes, U+0000 to U+00FF. So strings compare as
// byte strings do.

// lmmath.tokenization.GPT2_PATTERN. White space is the Unicode property, which \s here is not.
const PRE_TOKEN = new RegExp(
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`),
  "gu",
);

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true }); // a mark of byte order stays

// Cut a text into words, numbers, signs and white space, which merges never cross.
export function preTokenize(text) {
  requireText(text);
  return text.match(PRE_TOKEN) ?? [];
}

// The bytes of a text in UTF-8, as a byte string.
export function toBytes(text) {
  requireText(text);
  return Array.from(UTF8.encode(text), (byte) => String.fromCharCode(byte)).join("");
}

// The text of a byte string. What is no valid UTF-8, such as half a character, is U+FFFD.
export function toText(bytes) {
  const array = Uint8Array.from(bytes, (sign) => sign.charCodeAt(0));
  return FROM_UTF8.decode(array);
}

// GPT-2 spells a byte that cannot be seen, a space for one, with a sign from U+0100 on.
const SIGNS = gpt2Alphabet();
const BYTES = new Map(SIGNS.map((sign, byte) => [sign, String.fromCharCode(byte)]));

function gpt2Alphabet() {
  let others = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(visible ? byte : others++);
  });
}

// A byte string in signs that can be seen: " the" is "Ġthe".
export function toSigns(bytes) {
  return Array.from(bytes, (sign) => SIGNS[sign.charCodeAt(0)]).join("");
}

// A byte string for the eye: a space is ␣, a line break ↵, and what is no text or cannot be seen stands
// there as its bytes: ⟨F0 9F⟩.
export function toLabel(bytes) {
  const text = toText(bytes);
  const isText = toBytes(text) === bytes;
  const signs = Array.from(isText ? text : bytes, (sign) => [sign, isText ? toBytes(sign) : sign]);
  const shown = ([sign, its]) => {
    if (sign === " ") return "␣";
    if (sign === "\n") return "↵";
    const isVisible = isText ? !/[\p{C}\p{Z}]/u.test(sign) : sign > " " && sign < "\x7f";
    return isVisible ? sign : `⟨${toHex(its)}⟩`;
  };
  return signs.map(shown).join("").replaceAll("⟩⟨", " ");
}

// The bytes as they are usually written: "F0 9F 98".
export function toHex(bytes) {
  return Array.from(bytes, (b) => b.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")).join(" ");
}

export class BPETokenizer {
  #pairs; // the merges, in the order of learning
  #ranks; // what `rankMerges` gives
  #ids; // the id of each of the 256 bytes, then of what each merge makes
  #special; // special token -> id
  #vocab; // id -> byte string

  // Takes what lmmath's BPETokenizer.save writes: merges as "Ġ t", special tokens, and the ids of
  // bytes, merges and special tokens, or null if they are numbered in this order.
  constructor(content) {
    if (!content) throw new TypeError(`A tokenizer was expected, got ${content}.`);
    const { merges, special_tokens = [], ids = null, pattern = "gpt2" } = content;
    if (pattern !== "gpt2") throw new Error(`A tokenizer’s pattern must be gpt2 here, got ${pattern}.`);
    if (!Array.isArray(merges)) throw new TypeError(`A tokenizer’s merges must be a list, got ${merges}.`);
    const pairs = merges.map(parseMerge);
    this.#pairs = pairs;
    this.#ranks = rankMerges(pairs);
    requireSpecialTokens(special_tokens);
    const tokens = [...BYTES.values(), ...pairs.map(([a, b]) => a + b), ...special_tokens.map(toBytes)];
    const all = ids ?? [...tokens.keys()];
    const inOrder = [...all].sort((a, b) => a - b);
    if (all.length !== tokens.length || inOrder.some((id, i) => id !== i)) {
      throw new Error(`A tokenizer’s ids must be the integers from 0 to ${tokens.length - 1}, each once.`);
    }
    const nOrdinary = tokens.length - special_tokens.length;
    this.#ids = all.slice(0, nOrdinary);
    this.#special = new Map(special_tokens.map((token, i) => [token, all[nOrdinary + i]]));
    this.#vocab = new Map(all.map((id, i) => [id, tokens[i]]));
  }

  get merges() {
    return [...this.#pairs];
  }

  get vocabSize() {
    return this.#vocab.size;
  }

  // Translate a text into ids. What looks like a special token is ordinary text, unless you say that
  // the text is your own program's.
  encode(text, { allowSpecial = false } = {}) {
    requireText(text);
    const known = new Map(); // a text repeats its words: each is merged once
    const encodeWord = (word) => {
      if (!known.has(word)) known.set(word, mergeWord(word, this.#ranks).map((token) => this.#ids[token]));
      return known.get(word);
    };
    return splitAt(text, allowSpecial ? [...this.#special.keys()] : []).flatMap((part, i) =>
      i % 2 ? [this.#special.get(part)] : preTokenize(part).flatMap(encodeWord),
    );
  }

  decode(ids) {
    return toText(Array.from(ids, (id) => this.bytes(id)).join(""));
  }

  // The byte string of one id, which may be a part of a character and so not yet a text.
  bytes(id) {
    if (this.#vocab.has(id)) return this.#vocab.get(id);
    throw new RangeError(`A token must be an integer from 0 to ${this.vocabSize - 1}, got ${id}.`);
  }
}

// Learn from a text which pairs to merge: each time the most frequent, and of equally frequent ones
// the greatest. Gives {pair: [first, second], count}, with byte strings, until there are no more.
export function* learnMerges(text) {
  const words = new Map();
  for (const word of preTokenize(text)) words.set(word, (words.get(word) ?? 0) + 1);
  const table = new Map(); // of pairs, see `count`
  const spelled = Array.from(words, ([word, times]) => ({ tokens: [...toBytes(word)], times }));
  for (const word of spelled) count(word, table);
  while (table.size > 0) {
    const best = [...table.values()].reduce((a, b) => (inOrderOfMerging(a, b) < 0 ? a : b));
    yield { pair: best.pair, count: best.count };
    // A word may have lost the pair to another merge since. It comes out as it went in.
    for (const word of best.holders) {
      count(word, table, -1);
      word.tokens = mergePair(word.tokens, best.pair, best.pair.join(""));
      count(word, table);
    }
  }
}

// The first merges of a text: as many as a vocabulary of this size has room for beside the bytes.
export function train(text, vocabSize) {
  if (!Number.isSafeInteger(vocabSize) || vocabSize < 256) {
    throw new RangeError(`vocabSize must be an integer of at least 256, got ${vocabSize}.`);
  }
  const merges = [];
  if (vocabSize === 256) return merges;
  for (const merge of learnMerges(text)) {
    if (merges.push(merge) === vocabSize - 256) break;
  }
  return merges;
}

// A text after these merges: for each pre-token the list of its tokens, which are byte strings.
export function applyMerges(text, merges) {
  const pairs = merges.map(({ pair }) => pair);
  const ranks = rankMerges(pairs);
  const tokens = [...BYTES.values(), ...pairs.map(([a, b]) => a + b)];
  const known = new Map(); // a text repeats its words: each is merged once
  return preTokenize(text).map((word) => {
    if (!known.has(word)) known.set(word, mergeWord(word, ranks).map((token) => tokens[token]));
    return known.get(word);
  });
}

// How often each pair stands side by side in such lists: [{pair, count}, ...], the next merge first.
export function pairFrequencies(pieces) {
  const table = new Map();
  const seen = new Map(); // `applyMerges` gives the same list for the same word
  for (const tokens of pieces) seen.set(tokens, (seen.get(tokens) ?? 0) + 1);
  for (const [tokens, times] of seen) count({ tokens, times }, table);
  const sorted = [...table.values()].sort(inOrderOfMerging);
  return sorted.map(({ pair, count }) => ({ pair, count }));
}

// Put one token in the place of a pair, from left to right and without overlap.
export function mergePair(tokens, [first, second], merged) {
  const output = [];
  for (let i = 0; i < tokens.length; i += 1) {
    const isPair = tokens[i] === first && tokens[i + 1] === second;
    output.push(isPair ? merged : tokens[i]);
    if (isPair) i += 1;
  }
  return output;
}

// Add the pairs of a word to a table, or take them away: key -> {pair, count, holders}, of which
// the last are all words that have the pair, and some that had it.
function count(word, table, sign = 1) {
  for (let i = 0; i + 1 < word.tokens.length; i += 1) {
    const [first, second] = [word.tokens[i], word.tokens[i + 1]];
    const key = `${first}\u0100${second}`; // with what is no byte between them
    let entry = table.get(key);
    if (!entry) table.set(key, (entry = { pair: [first, second], count: 0, holders: new Set() }));
    entry.count += sign * word.times;
    entry.holders.add(word);
    if (entry.count === 0) table.delete(key);
  }
}

function inOrderOfMerging(a, b) {
  if (a.count !== b.count) return b.count - a.count;
  const differs = a.pair[0] === b.pair[0] ? 1 : 0;
  return a.pair[differs] > b.pair[differs] ? -1 : 1;
}

// Number tokens as they are made: a byte is itself, and merge i makes token 256 + i. Gives for a
// pair of such numbers, written as one, the number of the merge that joins it.
function rankMerges(pairs) {
  const size = 256 + pairs.length;
  const numbers = new Map([...BYTES.values()].map((byte, i) => [byte, i]));
  const ranks = new Map();
  pairs.forEach((pair, rank) => {
    const [first, second] = pair.map((token) => numbers.get(token));
    if (first === undefined || second === undefined || numbers.has(pair.join(""))) {
      throw new Error(`A merge must join two tokens made before it to a new one, got ${pair.map(toSigns)}.`);
    }
    numbers.set(pair.join(""), 256 + rank);
    ranks.set(first * size + second, rank);
  });
  return { size, ranks };
}

// Of the pairs in a word, the one learned first merges first. What it makes was learned later, so
// no merge comes twice. Only the pairs beside a new token are looked up again.
function mergeWord(word, { size, ranks }) {
  const rankOf = (first, second) => ranks.get(first * size + second) ?? Infinity;
  const tokens = Array.from(toBytes(word), (byte) => byte.charCodeAt(0));
  const found = tokens.slice(1).map((token, i) => rankOf(tokens[i], token)); // for each pair
  for (;;) {
    const rank = found.reduce((a, b) => Math.min(a, b), Infinity);
    if (rank === Infinity) return tokens;
    const made = 256 + rank;
    let n = 0; // of the tokens so far, which take the places of those they are made from
    for (let i = 0; i < tokens.length; i += 1) {
      const token = found[i] === rank ? made : tokens[i];
      const isNew = token === made || tokens[n - 1] === made;
      if (n > 0) found[n - 1] = isNew ? rankOf(tokens[n - 1], token) : found[i - 1];
      tokens[n] = token;
      n += 1;
      if (token === made) i += 1;
    }
    tokens.length = n;
    found.length = n - 1;
  }
}

function parseMerge(line) {
  const pair = typeof line === "string" ? line.split(" ") : [];
  const spelled = pair.map((token) => Array.from(token, (sign) => BYTES.get(sign)));
  if (pair.length !== 2 || spelled.flat().includes(undefined)) {
    throw new Error(`A merge must be two tokens and a space, got ${JSON.stringify(line)}.`);
  }
  return spelled.map((bytes) => bytes.join(""));
}

// Cut a text at its special tokens, which come out at the odd places. At the same place the longest
// wins, also where a shorter one begins like it.
function splitAt(text, special) {
  if (special.length === 0) return [text];
  const longestFirst = [...special].sort((a, b) => b.length - a.length);
  const escaped = longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "u"));
}

function requireSpecialTokens(tokens) {
  if (tokens.every((token) => token !== "") && new Set(tokens).size === tokens.length) return;
  throw new Error("A tokenizer’s special tokens must not be empty and must differ.");
}

function requireText(text) {
  if (typeof text !== "string") throw new TypeError(`A text was expected, got ${typeof text}.`);
  const at = text.search(/\p{Cs}/u); // half of a pair of 16-bit units
  if (at < 0) return;
  const code = text.charCodeAt(at).toString(16).toUpperCase();
  throw new RangeError(`A text must hold no lone surrogates, which UTF-8 cannot write, got U+${code}.`);
}
