"""The definition of Fable: its animals, its sentences, and the odds of what comes next.

A text is a row of stories, each independent of all others. A story draws a hero, and sentence
after sentence draws what happens next, until it ends with a line break. In a sentence, words
in braces are drawn or looked up; all others stand as they are.
"""

import re
from hashlib import sha256
from typing import NamedTuple

import numpy as np

# --- the animals ---

N_ANIMALS = 1024
ZIPF_EXPONENT = 4 / 3  # the animal of rank k is drawn with odds k ** -(4/3)

FACTS = {
    "species": "fox owl bear hare wolf mouse crow frog goat hen cat dog duck mole otter badger",
    "home": "forest meadow valley marsh garden barn cave orchard field hollow swamp village "
    "jungle desert park castle",
    "trait": "brave clever gentle greedy loyal kind lazy patient proud quick quiet shy silly "
    "sly vain wise",
    "food": "apples berries nuts seeds corn honey fish roots mushrooms plums pears grapes beans "
    "carrots cheese bread",
    "pronoun": "she he",
}
FACTS = {fact: words.split() for fact, words in FACTS.items()}
FORMS_OF_PRONOUNS = {"she": ("She", "her"), "he": ("He", "him")}


class Animal(NamedTuple):
    """What is true of an animal in every story."""

    name: str
    species: str
    home: str
    trait: str
    food: str  # its favourite, not the only one it eats
    pronoun: str


def _animals():
    """List all animals, the most frequent first.

    A name has two of 32 syllables. A hash of the name, the same on every machine, gives its rank
    with its first bytes and its facts with its last. A hash shows no pattern: each fact can only
    be learned by heart.
    """
    syllables = [consonant + vowel for consonant in "bdklmnrt" for vowel in "aeio"]
    names = [(first + second).title() for first in syllables for second in syllables]
    digest = {name: sha256(name.encode()).digest() for name in names}
    return tuple(
        Animal(
            name,
            **{
                fact: choices[byte % len(choices)]
                for (fact, choices), byte in zip(
                    FACTS.items(), digest[name][-len(FACTS) :], strict=True
                )
            },
        )
        for name in sorted(names, key=digest.get)
    )


ANIMALS = _animals()

ODDS_OF_ANIMALS = np.arange(1, N_ANIMALS + 1) ** -ZIPF_EXPONENT
ODDS_OF_ANIMALS /= ODDS_OF_ANIMALS.sum()

# --- the sentences ---

SENTENCES = {
    "home": "{hero} the {hero species} {lived} in the {hero home} .",
    "news": "There was a {hero trait} {hero species} {called} {hero} .",
    "meal": "{hero She} {ate} some {hero food} .",
    "fame": "Everyone {said} that {hero} was {hero trait} .",
    "kin": "The {brother} of {hero} was {happy} .",
    "kin, many": "The {brothers} of {hero} were {happy} .",
    "meeting": "One {day} {hero} met {friend} the {friend species} near the {river} .",
    "gift": "{friend} was {friend trait} , so {hero} gave {friend her} some {friend food} .",
    "play": "They {danced} in the {hero home} .",
    "end": "\n",
}

# Words that are drawn with the same odds in every story.
CHOICES = {
    "lived": {"lived": 0.7, "dwelt": 0.2, "stayed": 0.1},
    "called": {"called": 0.75, "named": 0.25},
    "ate": {"ate": 0.5, "liked": 0.3, "wanted": 0.15, "found": 0.05},
    "said": {"said": 0.6, "knew": 0.3, "thought": 0.1},
    "brother": {"brother": 0.4, "sister": 0.4, "cousin": 0.2},
    "brothers": {"brothers": 0.4, "sisters": 0.4, "cousins": 0.2},
    "happy": {"happy": 0.35, "glad": 0.2, "sad": 0.15, "tired": 0.2, "hungry": 0.1},
    "day": {"day": 0.6, "morning": 0.25, "night": 0.15},
    "river": {"river": 0.4, "well": 0.25, "bridge": 0.2, "road": 0.1, "tower": 0.05},
    "danced": {"danced": 0.45, "sang": 0.35, "played": 0.15, "slept": 0.05},
}

# An animal eats its favourite food with this probability, and else any, with equal odds.
FAVOURITE = 0.75

# --- the stories ---

# What the next sentence is. A meeting takes a story from "alone" to "together".
NEXT_SENTENCE = {
    "start": {"home": 0.6, "news": 0.4},
    "alone": {
        "meal": 0.25,
        "fame": 0.15,
        "kin": 0.05,
        "kin, many": 0.05,
        "meeting": 0.35,
        "end": 0.15,
    },
    "together": {
        "meal": 0.1,
        "fame": 0.05,
        "kin": 0.05,
        "kin, many": 0.05,
        "gift": 0.25,
        "play": 0.15,
        "end": 0.35,
    },
}


def stage_after(stage, sentence):
    """Say which stage of a story a sentence leads to.

    >>> stage_after("alone", "meeting"), stage_after("alone", "meal")
    ('together', 'alone')
    """
    if sentence == "end":
        return "start"
    if sentence == "meeting":
        return "together"
    return "alone" if stage == "start" else stage


# --- the words, and each slot of a sentence as a table ---


class Slot(NamedTuple):
    """A place in a sentence: who it is about, and for each animal which words with which odds."""

    about: str | None  # "hero", "friend" or None
    words: np.ndarray  # places in the vocabulary, (n_animals, n_choices)
    odds: np.ndarray  # (n_animals, n_choices); one row for all where it is about nobody
    possible: frozenset  # of all the words above


def _words_of(slot):
    """List, for each animal, which words may stand in a slot, and with which odds."""
    about, _, fact = slot.strip("{}").partition(" ")
    if not slot.startswith("{"):
        return None, [[slot]], [[1.0]]
    if about not in ("hero", "friend"):
        return None, [list(CHOICES[about])], [list(CHOICES[about].values())]
    if fact == "food":
        other = (1 - FAVOURITE) / len(FACTS["food"])
        odds = [
            [other + FAVOURITE * (food == animal.food) for food in FACTS["food"]]
            for animal in ANIMALS
        ]
        return about, [FACTS["food"]] * N_ANIMALS, odds
    if fact in ("She", "her"):
        forms = [FORMS_OF_PRONOUNS[animal.pronoun][fact == "her"] for animal in ANIMALS]
    else:
        forms = [getattr(animal, fact or "name") for animal in ANIMALS]
    return about, [[form] for form in forms], [[1.0]] * N_ANIMALS


def _slots(sentence):
    return re.findall(r"{[^}]*}|[^ {]+", sentence)


def _vocabulary():
    """List the common words in alphabetical order, then the names, the most frequent first."""
    words = {
        word
        for sentence in SENTENCES.values()
        for slot in _slots(sentence)
        for row in _words_of(slot)[1]
        for word in row
    }
    names = [animal.name for animal in ANIMALS]
    return (*sorted(words - set(names)), *names)


vocabulary = _vocabulary()
WORD_IDS = {word: i for i, word in enumerate(vocabulary)}


def _slot(slot):
    about, words, odds = _words_of(slot)
    ids = [[WORD_IDS[word] for word in row] for row in words]
    possible = frozenset(word for row in ids for word in row)
    return Slot(about, np.asarray(ids), np.asarray(odds), possible)


SLOTS = {
    name: tuple(map(_slot, _slots(sentence))) for name, sentence in SENTENCES.items()
}
