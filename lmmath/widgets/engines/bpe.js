// Byte-pair encoding in the browser: the same tokens, ids and merges as lmmath.tokenization.
//
// A byte string is a string whose characters are bytes, U+0000 to U+00FF. So strings compare as
// byte strings do.

// lmmath.tokenization.PATTERNS, which says where they come from. Three things are written differently
// here. White space is the Unicode property, which \s is not. Contractions are spelled out, with the long
// s that Python's (?i:s) knows. And a plain + stands where Python has a possessive ++: nothing that comes
// after one could match what it gave back.
const CONTRACTIONS = String.raw`'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])`;
const PATTERNS = new Map([
  [
    "gpt2",
    compile(String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`),
  ],
  [
    "cl100k",
    compile(
      CONTRACTIONS,
      String.raw`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`,
      String.raw`\s+$|\s*[\r\n]|\s+(?!\S)|\s`,
    ),
  ],
  [
    "o200k",
    compile(
      String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*` +
        String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:${CONTRACTIONS})?`,
      String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+` +
        String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:${CONTRACTIONS})?`,
      String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ),
  ],
  [
    "llama3",
    compile(
      CONTRACTIONS,
      String.raw`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`,
      String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`,
    ),
  ],
  [
    "smollm2",
    compile(
      String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+`,
      String.raw`\s+(?=\p{N})|\s+(?!\S)|\s+`,
    ),
  ],
]);

function compile(...alternatives) {
  const pattern = alternatives
    .join("|")
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`);
  return new RegExp(pattern, "gu");
}

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true }); // a mark of byte order stays

// Cut a text into words, numbers, signs and white space, which merges never cross. The pattern is
// one of "gpt2", "cl100k", "o200k", "llama3" and "smollm2".
export function preTokenize(text, { pattern = "gpt2" } = {}) {
  requireText(text);
  requirePattern(pattern);
  return text.match(PATTERNS.get(pattern)) ?? [];
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

// The byte string that such signs stand for. Only those from U+0100 on are another sign.
function fromSigns(signs) {
  return signs.replace(/[^\0-\xff]/g, (sign) => BYTES.get(sign));
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

// The types of special tokens in a GGUF file: marks, and what somebody has added.
const SPECIAL_TYPES = [3, 4];

export class BPETokenizer {
  #merges; // as they came, in the order of learning
  #ranks; // what `rankMerges` gives
  #ids; // the id of each of the 256 bytes, null if it has none, then of what each merge makes
  #special; // special token -> id
  #vocab; // id -> token in signs
  #vocabSize; // the largest id and one more
  #pattern; // the name of the pattern that cuts a text

  // Takes what lmmath's BPETokenizer.save writes: merges as "Ġ t", special tokens, the ids of bytes,
  // merges and special tokens, or null if they are numbered in this order, and the pattern's name.
  // The id of a byte that the vocabulary lacks is null. Who has ranked the merges already gives the ranks.
  constructor(content, ranks) {
    if (!content) throw new TypeError(`A tokenizer was expected, got ${content}.`);
    const { merges, special_tokens = [], ids = null, pattern = "gpt2" } = content;
    requirePattern(pattern);
    if (!Array.isArray(merges)) throw new TypeError(`A tokenizer’s merges must be a list, got ${merges}.`);
    this.#pattern = pattern;
    this.#merges = [...merges];
    this.#ranks = ranks ?? rankMerges(merges.map(parseMerge), SIGNS);
    requireSpecialTokens(special_tokens);
    const tokens = [...this.#ranks.tokens, ...special_tokens.map((token) => toSigns(toBytes(token)))];
    const all = ids ?? [...tokens.keys()];
    requireIds(all, tokens.length);
    const nOrdinary = tokens.length - special_tokens.length;
    this.#ids = all.slice(0, nOrdinary);
    this.#special = new Map(special_tokens.map((token, i) => [token, all[nOrdinary + i]]));
    this.#vocab = new Map(all.map((id, i) => [id, tokens[i]]));
    this.#vocab.delete(null);
    this.#vocabSize = 1 + all.reduce((a, b) => Math.max(a, b), 0);
  }

  // Takes the lists of a GGUF file: all tokens in signs that can be seen, a special one as it is; merges
  // as "Ġ t"; and the type of each token, if the file says it.
  static fromLists({ tokens, merges, types, pattern }) {
    requirePattern(pattern);
    if (!Array.isArray(tokens) || !Array.isArray(merges)) {
      throw new TypeError("A tokenizer’s tokens and merges must be lists.");
    }
    if (types && types.length !== tokens.length) {
      throw new Error(`A tokenizer has ${tokens.length} tokens, and the types of ${types.length}.`);
    }
    const [special, ordinary] = [new Map(), new Map()]; // token -> id
    tokens.forEach((token, id) => (SPECIAL_TYPES.includes(types?.[id]) ? special : ordinary).set(token, id));
    const ranks = rankMerges(merges.map(parseMerge), SIGNS);
    const missing = ranks.tokens.find((token, i) => i >= 256 && !ordinary.has(token));
    if (missing !== undefined) {
      throw new Error(`A tokenizer’s tokens must hold what its merges make, got no ${missing}.`);
    }
    const unmade = [...ordinary.keys()].find((token) => !ranks.numbers.has(token));
    if (unmade !== undefined) {
      throw new Error(`A tokenizer’s tokens must be made by its merges, got ${unmade}.`);
    }
    const ids = [...ranks.tokens.map((token) => ordinary.get(token) ?? null), ...special.values()];
    return new BPETokenizer({ merges, special_tokens: [...special.keys()], ids, pattern }, ranks);
  }

  get merges() {
    return this.#merges.map((line) => parseMerge(line).map(fromSigns));
  }

  get vocabSize() {
    return this.#vocabSize;
  }

  get pattern() {
    return this.#pattern;
  }

  // An object from special tokens to their ids.
  get specialTokens() {
    return Object.fromEntries(this.#special);
  }

  // Translate a text into ids. What looks like a special token is ordinary text, unless you say that
  // the text is your own program's.
  encode(text, { allowSpecial = false } = {}) {
    requireText(text);
    const known = new Map(); // a text repeats its words: each is merged once
    const encodeWord = (word) => {
      if (!known.has(word)) known.set(word, this.#encodeWord(word));
      return known.get(word);
    };
    return splitAt(text, allowSpecial ? [...this.#special.keys()] : []).flatMap((part, i) =>
      i % 2 ? [this.#special.get(part)] : preTokenize(part, { pattern: this.#pattern }).flatMap(encodeWord),
    );
  }

  #encodeWord(word) {
    const tokens = mergeWord(word, this.#ranks);
    const lacking = tokens.find((token) => this.#ids[token] === null);
    if (lacking !== undefined) {
      const byte = toHex(String.fromCharCode(lacking));
      const shown = JSON.stringify(shorten(word));
      throw new Error(`A text must hold no byte that the vocabulary lacks, got ${byte} in ${shown}.`);
    }
    return tokens.map((token) => this.#ids[token]);
  }

  decode(ids) {
    return toText(Array.from(ids, (id) => this.bytes(id)).join(""));
  }

  // The byte string of one id, which may be a part of a character and so not yet a text.
  bytes(id) {
    if (this.#vocab.has(id)) return fromSigns(this.#vocab.get(id));
    const isGap = Number.isInteger(id) && id >= 0 && id < this.vocabSize;
    const problem = isGap ? `${id}, which names no token` : id;
    throw new RangeError(`A token must be an integer from 0 to ${this.vocabSize - 1}, got ${problem}.`);
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
  const ranks = rankMerges(pairs, [...BYTES.values()]);
  const known = new Map(); // a text repeats its words: each is merged once
  return preTokenize(text).map((word) => {
    if (!known.has(word)) known.set(word, mergeWord(word, ranks).map((token) => ranks.tokens[token]));
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

// Number tokens as they are made: a byte is itself, and merge i makes token 256 + i. Gives the tokens,
// the number of each, and for a pair of numbers, written as one, the number of the merge that joins it.
// The bytes and the pairs may be byte strings, or in signs.
function rankMerges(pairs, bytes) {
  const tokens = [...bytes];
  const numbers = new Map(tokens.map((byte, i) => [byte, i]));
  const size = 256 + pairs.length;
  const ranks = new Map();
  for (const pair of pairs) {
    const [first, second] = [numbers.get(pair[0]), numbers.get(pair[1])];
    const merged = pair[0] + pair[1];
    if (first === undefined || second === undefined || numbers.has(merged)) {
      throw new Error(`A merge must join two tokens made before it to a new one, got ${pair}.`);
    }
    ranks.set(first * size + second, ranks.size);
    numbers.set(merged, tokens.length);
    tokens.push(merged);
  }
  return { tokens, numbers, size, ranks };
}

// Of the pairs in a word, the one learned first merges first, and of the same ones the leftmost. A heap
// knows which that is, and links know a token's neighbours: n log n steps, however long the word.
function mergeWord(word, { size, ranks }) {
  const tokens = Array.from(UTF8.encode(word));
  const n = tokens.length;
  const before = tokens.map((_, i) => i - 1);
  const after = tokens.map((_, i) => i + 1);
  const rankAt = (i) => ranks.get(tokens[i] * size + tokens[after[i]]);
  const heap = new Heap();
  const look = (i) => {
    if (i < 0 || after[i] === n) return;
    const rank = rankAt(i);
    if (rank !== undefined) heap.push(rank * n + i); // by rank, then by place
  };
  for (let i = 0; i < n; i += 1) look(i);
  while (heap.size > 0) {
    const least = heap.pop();
    const i = least % n;
    // What is on the heap may be gone, or have become something else since.
    if (tokens[i] === GONE || rankAt(i) !== (least - i) / n) continue;
    tokens[i] = 256 + (least - i) / n;
    tokens[after[i]] = GONE;
    after[i] = after[after[i]];
    if (after[i] < n) before[after[i]] = i;
    look(before[i]);
    look(i);
  }
  return tokens.filter((token) => token !== GONE);
}

const GONE = -1; // in the place of a token that has become part of the one before it

// Numbers, of which the least comes out first. Item i is never more than the items 2i + 1 and 2i + 2.
class Heap {
  #items = [];

  get size() {
    return this.#items.length;
  }

  push(item) {
    const items = this.#items;
    let i = items.length;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (items[parent] <= item) break;
      items[i] = items[parent];
      i = parent;
    }
    items[i] = item;
  }

  pop() {
    const items = this.#items;
    const least = items[0];
    const last = items.pop(); // finds a new place, from the top down
    const n = items.length;
    let i = 0;
    while (2 * i + 1 < n) {
      let child = 2 * i + 1;
      if (child + 1 < n && items[child + 1] < items[child]) child += 1;
      if (items[child] >= last) break;
      items[i] = items[child];
      i = child;
    }
    if (n > 0) items[i] = last;
    return least;
  }
}

const SIGN = String.raw`[!-~\xa1-\xac\xae-\u0143]`; // of SIGNS
const MERGE = new RegExp(`^${SIGN}+ ${SIGN}+$`);

// The two tokens of a merge, in signs.
function parseMerge(line) {
  if (typeof line !== "string" || !MERGE.test(line)) {
    throw new Error(`A merge must be two tokens and a space, got ${JSON.stringify(line)}.`);
  }
  const space = line.indexOf(" ");
  return [line.slice(0, space), line.slice(space + 1)]; // a third of the time of line.split
}

// Cut a text at its special tokens, which come out at the odd places. At the same place the longest
// wins, also where a shorter one begins like it.
function splitAt(text, special) {
  if (special.length === 0) return [text];
  const longestFirst = [...special].sort((a, b) => b.length - a.length);
  const escaped = longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "u"));
}

function shorten(word) {
  const signs = Array.from(word);
  return signs.length > 30 ? `${signs.slice(0, 30).join("")}…` : word;
}

function requirePattern(pattern) {
  if (PATTERNS.has(pattern)) return;
  const known = [...PATTERNS.keys()].join(", ");
  throw new Error(`A tokenizer’s pattern must be one of ${known}, got ${pattern}.`);
}

// Only bytes may lack an id.
function requireIds(ids, nTokens) {
  const given = Array.isArray(ids) ? ids.filter((id, i) => i >= 256 || id !== null) : [null];
  const areIds = given.every((id) => Number.isSafeInteger(id) && id >= 0);
  if (areIds && ids.length === nTokens && new Set(given).size === given.length) return;
  const expected = `different integers of at least 0, one for each of ${nTokens} tokens`;
  throw new Error(`A tokenizer’s ids must be ${expected}.`);
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
