// The truth about Fable's next token, by Bayes' rule: lmmath.fable.probabilities and lmmath.fable.tokens.
//
//   const fable = new Fable(language, tokenizer); // the language as fable.py writes it
//   let state = fable.begin();
//   state = fable.read(state, token); // null if the language cannot go on like this
//   fable.expected(state).get(token); // the probability of each token that may come next
//   stories(language, randomNumbers(0)).next().value; // "Leka the mouse lived in the desert. …\n"
//
// A reading is one way to understand the words so far: a sentence, a place in it, and what is believed
// of hero and friend: {animals, probabilities}.

import { pacer } from "./gpt.js";

const NOBODY = { animals: [0], probabilities: [1] };

export class Fable {
  #language;
  #anybody;
  #spellings; // of each word, after a space and after a line break

  constructor(language, tokenizer) {
    const { vocabulary, n_animals, zipf_exponent } = language;
    const odds = Array.from({ length: n_animals }, (_, rank) => (rank + 1) ** -zipf_exponent);
    this.#language = language;
    this.#anybody = { animals: [...odds.keys()], probabilities: normalized(odds) };
    const spell = (space, word) => tokenizer.encode(".,\n".includes(word) ? word : space + word);
    this.#spellings = [" ", ""].map((space) => vocabulary.map((word) => spell(space, word)));
  }

  // What is known at the beginning of a story, and later in the middle of a word: the readings of the
  // words before it, how probable they make each next one, and the tokens of this one so far.
  begin() {
    return this.#state(this.#open("start", this.#anybody, null), true);
  }

  // Each token that may come next, with its probability.
  expected(state) {
    const expected = new Map();
    const add = (token, p) => expected.set(token, (expected.get(token) ?? 0) + p);
    for (const [word, p] of this.#candidates(state)) {
      const token = this.#spelled(state, word)[state.begun.length];
      if (token !== undefined) add(token, p);
      else for (const [next, share] of this.expected(this.#finish(state, word))) add(next, p * share);
    }
    const total = sum(expected.values());
    return new Map(Array.from(expected, ([token, mass]) => [token, mass / total]));
  }

  // Take one more token into account. Gives null if it cannot come here.
  read(state, token) {
    const begun = [...state.begun, token];
    const continued = { ...state, begun };
    if (this.#candidates(continued).length > 0) return continued;
    // No word goes on like this: what had begun was whole, and the token begins another.
    const isWhole = ([word]) => this.#spelled(state, word).length === state.begun.length;
    const whole = state.begun.length > 0 && this.#candidates(state).find(isWhole);
    return whole ? this.read(this.#finish(state, whole[0]), token) : null;
  }

  // The words that may stand here and begin as this one has: [word, probability], ...
  #candidates(state) {
    const fits = ([word]) => state.begun.every((token, i) => this.#spelled(state, word)[i] === token);
    return state.words.filter(fits);
  }

  #spelled({ afterBreak }, word) {
    return this.#spellings[Number(afterBreak)][word];
  }

  #finish(state, word) {
    return this.#state(this.#readWord(state.readings, word), this.#language.vocabulary[word] === "\n");
  }

  #state(readings, afterBreak) {
    return { readings, words: this.#wordProbabilities(readings), begun: [], afterBreak };
  }

  // p(w) = sum_r p(r) p(w | r), as [word, probability], ... of the words that are possible.
  #wordProbabilities(readings) {
    const words = new Map();
    for (const reading of readings) {
      for (const { word, p } of this.#outcomes(reading)) {
        words.set(word, (words.get(word) ?? 0) + reading.probability * p);
      }
    }
    return [...words];
  }

  // p(r | w) = p(r) p(w | r) / p(w): each reading counts as much as it foresaw the word.
  #readWord(readings, word) {
    const after = readings.flatMap((reading) => {
      const seen = this.#outcomes(reading).filter((outcome) => outcome.word === word);
      const p = sum(seen.map((outcome) => outcome.p));
      if (p === 0) return [];
      const about = this.#slot(reading).about;
      const animals = seen.map((outcome) => outcome.animal);
      const belief = { animals, probabilities: seen.map((outcome) => outcome.p / p) };
      return [{ ...reading, ...(about && { [about]: belief }), probability: reading.probability * p }];
    });
    const total = sum(after.map(({ probability }) => probability));
    return after.flatMap((reading) => this.#goOn({ ...reading, probability: reading.probability / total }));
  }

  // What may stand in the slot that the next word fills: {word, animal, p}, ...
  #outcomes(reading) {
    const { about, table } = this.#slot(reading);
    const { rows, row_of } = this.#language.tables[table];
    const { animals, probabilities } = about ? reading[about] : NOBODY;
    return animals.flatMap((animal, i) => {
      const [words, odds] = rows[row_of ? row_of[animal] : animal];
      return words.map((word, j) => ({ word, animal, p: probabilities[i] * odds[j] }));
    });
  }

  #slot({ sentence, position }) {
    return this.#language.sentences[sentence][position];
  }

  // Move to the next slot, or to every sentence that may come next.
  #goOn(reading) {
    const { sentence, position, probability, hero, friend } = reading;
    if (position + 1 < this.#language.sentences[sentence].length) {
      return [{ ...reading, position: position + 1 }];
    }
    const stage = stageAfter(reading.stage, sentence);
    if (stage === "start") return this.#open("start", this.#anybody, null);
    return this.#open(stage, hero, friend).map((further) => ({
      ...further,
      probability: further.probability * probability,
    }));
  }

  #open(stage, hero, friend) {
    return Object.entries(this.#language.next_sentence[stage]).map(([sentence, probability]) => ({
      ...{ probability, stage, sentence, position: 0, hero },
      friend: sentence === "meeting" ? this.#others(hero) : friend,
    }));
  }

  // A friend is anybody but the hero, who is known by now.
  #others({ animals: [hero] }) {
    const others = (_, animal) => animal !== hero;
    const { animals, probabilities } = this.#anybody;
    return { animals: animals.filter(others), probabilities: normalized(probabilities.filter(others)) };
  }
}

// Follows a text token by token as far as the language goes along, and remembers it: of a text that
// differs from the last in its end, only the end is read.
export class FableReader {
  #fable;
  #tokens = [];
  #states; // before each token, and after the last

  constructor(fable) {
    this.#fable = fable;
    this.#states = [fable.begin()];
  }

  // Gives {length, expected}: how many of the tokens the language can produce, and, if that is all of
  // them, each token that may come next with its probability, else null. The page stays responsive.
  // If the reader is told to read another text meanwhile, this ends in an AbortError.
  async readAll(tokens) {
    const text = [...tokens];
    const differs = text.findIndex((token, i) => token !== this.#tokens[i]);
    const states = this.#states;
    states.length = Math.min(states.length, 1 + (differs < 0 ? text.length : differs));
    this.#tokens = text;
    const pause = pacer();
    while (states.length <= text.length) {
      await pause();
      if (text !== this.#tokens) throw new DOMException("The reader reads another text.", "AbortError");
      const state = this.#fable.read(states.at(-1), text[states.length - 1]);
      if (state === null) return { length: states.length - 1, expected: null };
      states.push(state);
    }
    return { length: text.length, expected: this.#fable.expected(states.at(-1)) };
  }
}

// Stories of Fable, one after the other and without end: each a text that ends with its line break. They
// are drawn as lmmath.fable.sample draws them, with `random` for uniform numbers.
export function* stories(language, random) {
  const { vocabulary, n_animals, zipf_exponent, next_sentence, sentences, tables } = language;
  const odds = normalized(Array.from({ length: n_animals }, (_, rank) => (rank + 1) ** -zipf_exponent));
  for (;;) {
    const animals = { hero: draw(odds, random()) };
    do animals.friend = draw(odds, random());
    while (animals.friend === animals.hero); // nobody is a friend of its own
    let [text, stage, sentence] = ["", "start"];
    while (sentence !== "end") {
      const following = Object.entries(next_sentence[stage]);
      sentence = following[draw(following.map(([, p]) => p), random())][0];
      for (const { about, table } of sentences[sentence]) {
        const animal = about ? animals[about] : 0;
        const { rows, row_of } = tables[table];
        const [words, oddsOfWords] = rows[row_of ? row_of[animal] : animal];
        const word = vocabulary[words[words.length > 1 ? draw(oddsOfWords, random()) : 0]];
        text += text === "" || ".,\n".includes(word) ? word : ` ${word}`;
      }
      stage = stageAfter(stage, sentence);
    }
    yield text;
  }
}

// The first index at which the sum of the probabilities passes u; rounding must not lead beyond the last.
function draw(probabilities, u) {
  let [i, rest] = [0, u - probabilities[0]];
  while (rest >= 0 && i + 1 < probabilities.length) rest -= probabilities[(i += 1)];
  return i;
}

function stageAfter(stage, sentence) {
  if (sentence === "end") return "start";
  if (sentence === "meeting") return "together";
  return stage === "start" ? "alone" : stage;
}

function normalized(odds) {
  const total = sum(odds);
  return odds.map((p) => p / total);
}

function sum(numbers) {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
