"""Fable against its definition read by loops, against counts, and against Monte Carlo."""

import math
import re
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from libraries import close

from lmmath import fable
from lmmath.attention import entropy
from lmmath.fable import (
    ANIMALS,
    ZIPF_EXPONENT,
    entropy_rate,
    next_token_probabilities,
    next_word_probabilities,
    sample,
    surprisals,
    to_text,
    to_words,
    vocabulary,
)
from lmmath.fable.entropy import expected_sentences, mean_story_length, story_entropy
from lmmath.fable.language import (
    CHOICES,
    FACTS,
    FAVOURITE,
    FORMS_OF_PRONOUNS,
    NEXT_SENTENCE,
    ODDS_OF_ANIMALS,
    SENTENCES,
    SLOTS,
)
from lmmath.fable.tokens import TokenReader
from lmmath.tokenization import BPETokenizer

WORDS = sample(200_000, np.random.default_rng(7))
BY_NAME = {animal.name: animal for animal in ANIMALS}


def stories(words):
    """Cut words into whole stories, the line break at the end of each."""
    ends = [i + 1 for i, word in enumerate(words) if word == "\n"]
    return [words[start:end] for start, end in zip([0, *ends], ends, strict=False)]


STORIES = stories(WORDS)


# The definition


def test_a_thousand_animals_have_names_of_their_own_and_facts_from_the_lists():
    assert len(BY_NAME) == len(ANIMALS) == 1024
    for field in ("species", "home", "trait", "food", "pronoun"):
        counts = Counter(getattr(animal, field) for animal in ANIMALS)
        assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-3
    assert ANIMALS[0].name == "Leka"  # the same on every machine


def test_facts_say_nothing_about_each_other_or_about_syllables():
    for first, second in (("species", "home"), ("home", "food"), ("trait", "pronoun")):
        table = Counter((getattr(a, first), getattr(a, second)) for a in ANIMALS)
        rows, columns = (sorted({key[i] for key in table}) for i in (0, 1))
        observed = [[table[row, column] for column in columns] for row in rows]
        assert scipy.stats.chi2_contingency(observed).pvalue > 1e-3
    table = Counter((a.name[:2], a.species) for a in ANIMALS)
    rows, columns = (sorted({key[i] for key in table}) for i in (0, 1))
    observed = [[table[row, column] for column in columns] for row in rows]
    assert scipy.stats.chi2_contingency(observed).pvalue > 1e-3


def test_animals_are_drawn_by_zipfs_law():
    ranks = np.arange(1, 1025)
    close(ODDS_OF_ANIMALS.sum(), 1.0)
    close(
        np.diff(np.log(ODDS_OF_ANIMALS)), -ZIPF_EXPONENT * np.diff(np.log(ranks)), 1e-12
    )


def test_all_odds_sum_to_one():
    for odds in (*CHOICES.values(), *NEXT_SENTENCE.values()):
        close(sum(odds.values()), 1.0)
        assert len(set(odds.values())) > 1 or len(odds) == 1
    for slots in SLOTS.values():
        for slot in slots:
            close(slot.odds.sum(axis=1), np.ones(len(slot.odds)))


def test_the_vocabulary_is_what_texts_are_made_of():
    assert len(set(vocabulary)) == len(vocabulary)
    assert set(WORDS) <= set(vocabulary)
    common = [word for word in vocabulary if word not in BY_NAME]
    assert set(common) <= set(WORDS)
    assert vocabulary[-1024:] == tuple(BY_NAME)


# The definition a second time, in loops over strings


def words_of(sentence, hero, friend):
    """For each place of a sentence, the words that may stand there with their odds."""
    animals = {"hero": hero, "friend": friend}
    for slot in re.findall(r"\{.*?\}|[^ ]+", sentence):
        name, _, fact = slot.strip("{}").partition(" ")
        if not slot.startswith("{"):
            yield {slot: 1.0}
        elif name in CHOICES:
            yield CHOICES[name]
        elif fact == "food":
            share = (1 - FAVOURITE) / len(FACTS["food"])
            odds = dict.fromkeys(FACTS["food"], share)
            odds[animals[name].food] += FAVOURITE
            yield odds
        elif fact in ("She", "her"):
            yield {FORMS_OF_PRONOUNS[animals[name].pronoun][fact == "her"]: 1.0}
        else:
            yield {getattr(animals[name], fact or "name"): 1.0}


def probability_that_words_come(words, stage, hero, friend):
    """P(the story goes on with these words | stage, animals), by trying every sentence."""
    if not words:
        return 1.0
    total = 0.0
    for kind, odds in NEXT_SENTENCE[stage].items():
        if kind == "meeting":
            total += sum(
                odds * p_friend / (1 - ODDS_OF_ANIMALS[ANIMALS.index(hero)])
                * through(words, kind, "together", hero, other)
                for other, p_friend in zip(ANIMALS, ODDS_OF_ANIMALS, strict=True)
                if other is not hero
            )  # fmt: skip
        elif kind == "end":
            total += odds * (words == ["\n"])
        else:
            after = "alone" if stage == "start" else stage
            total += odds * through(words, kind, after, hero, friend)
    return total


def through(words, kind, after, hero, friend):
    probability, position = 1.0, 0
    for odds in words_of(SENTENCES[kind], hero, friend):
        if position == len(words):
            return probability
        probability *= odds.get(words[position], 0.0)
        position += 1
        if probability == 0:
            return 0.0
    return probability * probability_that_words_come(
        words[position:], after, hero, friend
    )


def probability_of(words):
    return sum(
        p_hero * probability_that_words_come(words, "start", hero, None)
        for hero, p_hero in zip(ANIMALS, ODDS_OF_ANIMALS, strict=True)
    )


PREFIXES = [
    "",
    "There was a",
    "There was a patient",
    "There was a patient mouse",
    "There was a patient mouse called",
    "Leka the",
    "Leka the mouse lived in the desert .",
    "Leka the mouse lived in the desert . The",
    "Leka the mouse lived in the desert . The sisters of Leka",
    "Leka the mouse lived in the desert . She ate some",
    "Leka the mouse lived in the desert . One day Leka met",
    "Leka the mouse lived in the desert . One day Leka met Dido the goat near the river .",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_next_word_has_the_probability_that_the_definition_gives_it(prefix):
    words = prefix.split()
    probabilities = next_word_probabilities(words)
    close(probabilities.sum(), 1.0)
    of_prefix = probability_of(words)
    possible = np.flatnonzero(probabilities)
    # All words where there are few, else the ten likeliest and some others.
    tried = possible[np.argsort(-probabilities[possible])][
        : 10 if len(possible) > 40 else 40
    ]
    impossible = np.flatnonzero(probabilities == 0)[:3]
    for i in (*tried, *possible[-2:], *impossible):
        expected = probability_of([*words, vocabulary[i]]) / of_prefix
        close(probabilities[i], expected, 1e-12)


def test_whole_stories_are_as_probable_as_the_definition_says():
    for story in STORIES[:15]:
        close(-np.sum(surprisals(story)), math.log(probability_of(story)), 1e-10)


def test_only_the_last_story_matters():
    end = WORDS.index("\n") + 1
    close(
        next_word_probabilities(WORDS[: end + 5]),
        next_word_probabilities(WORDS[end : end + 5]),
    )


def test_surprisals_are_the_logarithms_of_the_probabilities():
    values = surprisals(WORDS[:300])
    for i in (0, 1, 17, 120, 299):
        p = next_word_probabilities(WORDS[:i])[vocabulary.index(WORDS[i])]
        close(values[i], -math.log(p))


def test_a_name_fixes_the_facts():
    for animal in ANIMALS[::100]:
        words = f"{animal.name} the {animal.species} lived in the".split()
        likely = next_word_probabilities(words)
        close(likely[vocabulary.index(animal.home)], 1.0)


def test_verbs_agree_with_their_subject_three_words_back():
    start = to_words("Leka the mouse lived in the desert. The")
    for noun, verb in (("sister", "was"), ("sisters", "were")):
        likely = next_word_probabilities([*start, noun, "of", "Leka"])
        close(likely[vocabulary.index(verb)], 1.0)


# Texts


@pytest.mark.parametrize("n_words", [1, 2, 10, 9_999])
def test_a_sample_has_as_many_words_as_asked_for_and_follows_its_seed(n_words):
    words = sample(n_words, np.random.default_rng(1))
    assert len(words) == n_words
    assert words == sample(n_words, np.random.default_rng(1))
    if n_words > 10:
        assert words != sample(n_words, np.random.default_rng(2))


def test_samples_follow_the_odds():
    heroes = Counter(
        next(word for word in story if word in BY_NAME) for story in STORIES
    )
    n = len(STORIES)
    observed = [heroes[animal.name] for animal in ANIMALS[:50]]
    observed.append(n - sum(observed))
    expected = [*ODDS_OF_ANIMALS[:50], 1 - ODDS_OF_ANIMALS[:50].sum()]
    assert scipy.stats.chisquare(observed, n * np.asarray(expected)).pvalue > 1e-3
    for choice in ("happy", "river", "ate", "danced"):
        counts = [WORDS.count(word) for word in CHOICES[choice]]
        odds = np.asarray(list(CHOICES[choice].values()))
        if choice == "danced" or choice == "ate":
            assert scipy.stats.chisquare(counts, sum(counts) * odds).pvalue > 1e-3


def test_sentences_are_as_frequent_as_computed():
    sentences = " ".join(WORDS)
    n, expected = len(STORIES), expected_sentences()
    for sentence, mark in (
        ("meeting", " met "),
        ("fame", "Everyone"),
        ("play", "They"),
        ("gift", " gave "),
        ("news", "There"),
        ("kin, many", " were "),
    ):
        mean = expected[sentence]
        assert abs(sentences.count(mark) / n - mean) < 4 * math.sqrt(3 * mean / n), (
            sentence
        )


def test_text_and_words_are_the_same_thing():
    text = to_text(WORDS[:5000])
    assert to_words(text) == WORDS[:5000]
    assert re.search(r" [.,\n]|\n ", text) is None
    assert re.search(r"[a-z][A-Z]|[.,][^ \n]", text) is None


# Entropy


def test_the_entropy_rate_agrees_with_a_million_words():
    words = sample(1_000_000, np.random.default_rng(3))
    ends = np.flatnonzero(np.asarray(words, dtype=object) == "\n") + 1
    values = surprisals(words[: ends[-1]])
    per_story = np.asarray([part.sum() for part in np.split(values, ends[:-1])])
    lengths = np.diff(ends, prepend=0)
    error = per_story.std() / math.sqrt(len(ends))
    assert abs(per_story.mean() - story_entropy()) < 4 * error
    error = lengths.std() / math.sqrt(len(ends))
    assert abs(lengths.mean() - mean_story_length()) < 4 * error
    # The rate is a ratio of means: its error is that of sum(surprisal - rate * words).
    excess = per_story - entropy_rate() * lengths
    assert abs(excess.mean()) < 4 * excess.std() / math.sqrt(len(ends))


def test_the_mean_surprise_before_a_word_is_the_entropy_of_what_may_come():
    readings = fable.probabilities.begin()
    surprise, expected = [], []
    values = surprisals(WORDS[:20_000])
    for word, value in zip(WORDS[:20_000], values, strict=True):
        expected.append(entropy(fable.probabilities.word_probabilities(readings)))
        surprise.append(value)
        readings, _ = fable.probabilities.read_word(readings, word)
    difference = np.asarray(surprise) - np.asarray(expected)
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(difference))


# Tokens

TEXT = to_text(WORDS)
TOKENIZERS = {
    size: BPETokenizer.train(TEXT, size) if size > 256 else BPETokenizer([])
    for size in (256, 400, 800)
}


@pytest.mark.parametrize("size", TOKENIZERS)
def test_the_tokens_of_a_text_are_together_as_surprising_as_its_words(size):
    tokenizer = TOKENIZERS[size]
    words = [word for story in STORIES[:20] for word in story]
    reader, total = TokenReader(tokenizer), 0.0
    state = reader.begin()
    for token in tokenizer.encode(to_text(words)):
        expected = reader.expected(state)
        close(sum(expected.values()), 1.0)
        total -= math.log(expected[token])
        state = reader.read(state, token)
    close(total, np.sum(surprisals(words)), 1e-10)


@pytest.mark.parametrize("size", TOKENIZERS)
def test_the_entropy_per_token_is_that_per_word_in_other_units(size):
    tokenizer = TOKENIZERS[size]
    close(entropy_rate(tokenizer) * mean_story_length(tokenizer), story_entropy())
    lengths = np.asarray([len(tokenizer.encode(to_text(story))) for story in STORIES])
    error = lengths.std() / math.sqrt(len(lengths))
    assert abs(lengths.mean() - mean_story_length(tokenizer)) < 4 * error


@pytest.mark.parametrize("size", TOKENIZERS)
def test_a_token_is_as_probable_as_the_words_it_may_begin(size):
    tokenizer = TOKENIZERS[size]
    prefix = "Leka the mouse lived in the desert. The"
    words = next_word_probabilities(to_words(prefix))
    tokens = next_token_probabilities(tokenizer.encode(prefix), tokenizer)
    expected = np.zeros(tokenizer.vocab_size)
    for word, probability in zip(vocabulary, words, strict=True):
        if probability > 0:
            expected[tokenizer.encode(f" {word}")[0]] += probability
    close(tokens, expected)


def test_where_a_word_may_be_whole_or_go_on_both_are_expected():
    tokenizer = TOKENIZERS[256]
    prefix = "Leka the mouse lived in the desert. The sister"
    likely = next_token_probabilities(tokenizer.encode(prefix), tokenizer)
    close(likely[ord("s")], 0.5)
    close(likely[ord(" ")], 0.5)


# Bad input


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: sample(0, np.random.default_rng(0)), "n_words must be an integer of at least 1, got 0"),
        (TypeError, lambda: sample(10, 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: next_word_probabilities(["Everyone"]), r"words\[0\] must be one that can begin a story, such as 'There', got 'Everyone'"),
        (ValueError, lambda: next_word_probabilities(["There", "is"]), r"words\[1\] must be one that can come here, such as 'was', got 'is'"),
        (ValueError, lambda: next_word_probabilities(["Leka", "the", "owl"]), r"words\[2\] must be .* such as 'mouse', got 'owl'"),
        (ValueError, lambda: surprisals(["zebra"]), r"words\[0\] must be one that can begin a story, .* got 'zebra'"),
        (TypeError, lambda: next_word_probabilities("Leka the mouse"), "words must be a sequence of words, got str"),
        (ValueError, lambda: next_token_probabilities([300], TOKENIZERS[400]), r"tokens\[0\] must be one that can come here in Fable, got 300"),
        (TypeError, lambda: next_token_probabilities("text", TOKENIZERS[400]), "tokens must be a sequence of integers, got str"),
        (TypeError, lambda: to_words(3), "text must be a string, got int"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
