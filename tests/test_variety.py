"""How many kinds are expected, and how stories are counted in groups of the same size."""

from functools import partial

import numpy as np
import pytest
from libraries import close

from lmmath.experiments import load_kept
from lmmath.experiments.variety import (
    N_GROUPS,
    N_GROUPS_OF_THE_LANGUAGE,
    N_STORIES,
    SETTINGS,
    expected_kinds,
    heroes_in_groups,
    stories_of_the_language,
)
from lmmath.experiments.writing import Stories, stories_in
from lmmath.fable.language import ODDS_OF_ANIMALS
from lmmath.weights import load_fable_gpt


def test_expected_kinds_is_the_mean_of_real_draws():
    rng = np.random.default_rng(0)
    drawn = rng.choice(1024, (2000, N_STORIES), p=ODDS_OF_ANIMALS)
    kinds = np.asarray([len(set(row)) for row in drawn])
    error = kinds.std() / len(kinds) ** 0.5
    assert abs(kinds.mean() - expected_kinds(ODDS_OF_ANIMALS, N_STORIES)) < 3 * error


def test_expected_kinds_at_the_ends():
    close(expected_kinds([0.25, 0.75], 1), 1)
    close(expected_kinds([0.25, 0.75], 10_000), 2)


def test_groups_are_of_possible_stories_and_go_on_from_text_to_text():
    possible = np.asarray([True, False, True, True])
    texts = iter([["Leka", "Dido", "Dido"], ["Dido", "Kali", "Kali"]])
    heroes, written = heroes_in_groups(
        lambda: Stories([""] * 4, possible, next(texts)), 2, 3
    )
    assert heroes == [2, 1, 1]
    assert written == [3, 2, 3]


@pytest.mark.parametrize(("n_stories", "n_groups"), [(0, 1), (1, 0)])
def test_groups_must_hold_something(n_stories, n_groups):
    with pytest.raises(ValueError, match="must be an integer of at least 1, got 0"):
        heroes_in_groups(lambda: None, n_stories, n_groups)


def test_stories_of_the_language_are_whole_and_begin_where_texts_begin():
    _, config, tokenizer = load_fable_gpt()
    rng = np.random.default_rng(1)
    stories = stories_of_the_language(config, tokenizer, 8, rng)
    assert stories.possible.all()
    assert len(stories.heroes) == len(stories.texts) > 8
    assert all(text.endswith(".") for text in stories.texts)
    assert max(len(tokenizer.encode(text)) for text in stories.texts) < 127


def test_a_story_without_its_end_is_not_taken():
    found = stories_in(["\nLeka the mouse lived in the desert.\nNobody.\nLeka the"])
    assert found.texts == ["Leka the mouse lived in the desert.", "Nobody."]
    assert found.possible.tolist() == [True, False]
    assert found.heroes == ["Leka"]


def test_kept_variety_is_what_the_command_would_make():
    kept = load_kept("variety")
    assert kept["command"] == "python -m lmmath.experiments.variety"
    assert kept["n_stories"] == N_STORIES
    rows = [(row["setting"], row["value"]) for row in kept["rows"]]
    assert rows == [(name, x) for name, values in SETTINGS.items() for x in values]
    for row in kept["rows"]:
        assert len(row["n_heroes"]) == len(row["n_written"]) == N_GROUPS
        assert min(row["n_written"]) >= N_STORIES >= max(row["n_heroes"])
    assert len(kept["of_language"]) == N_GROUPS_OF_THE_LANGUAGE
    _, config, tokenizer = load_fable_gpt()
    write = partial(
        stories_of_the_language,
        config,
        tokenizer,
        32,
        np.random.default_rng(kept["seed"]),
    )
    again, _ = heroes_in_groups(write, N_STORIES, 2)
    assert again == kept["of_language"][:2]
