r"""Variety: how many animals stories are about, and how many of the stories are possible.

``python -m lmmath.experiments.variety`` lets the book's model write with ten settings, two
thousand possible stories with each, and keeps the counts, beside those of the language itself.
It takes a quarter of an hour.
"""

from functools import partial

import numpy as np

from lmmath._checks import require_positive_integer
from lmmath.experiments.kept import keep
from lmmath.experiments.writing import stories_in, write_stories
from lmmath.fable import sample, to_text
from lmmath.fable.language import ODDS_OF_ANIMALS
from lmmath.weights import load_fable_gpt

SETTINGS = {
    "temperature": (0.5, 0.75, 1.0, 1.25),
    "top_p": (0.8, 0.95, 0.99),
    "min_p": (0.1, 0.03, 0.01),
}
N_STORIES, N_GROUPS, N_TEXTS, SEED = 100, 20, 32, 9
N_GROUPS_OF_THE_LANGUAGE = 200  # no model has to write them


def expected_kinds(probabilities, n):
    r"""Expect how many different outcomes there are among independent draws.

    .. math:: \sum_i \big( 1 - (1 - p_i)^n \big)

    Outcome :math:`i` is missed by all :math:`n` draws with probability :math:`(1 - p_i)^n`.

    Parameters
    ----------
    probabilities : array, shape (n_outcomes,)
        :math:`p`, with sum one.
    n : int
        The number of draws.

    Returns
    -------
    float

    Examples
    --------
    >>> expected_kinds(np.asarray([0.5, 0.5]), 2)  # the same face twice, or both
    1.5
    """
    require_positive_integer(n=n)
    return float(np.sum(1 - (1 - np.asarray(probabilities)) ** n))


def heroes_in_groups(write, n_stories, n_groups):
    """Count the different heroes in groups of equally many possible stories.

    Parameters
    ----------
    write : callable
        Gives more ``Stories`` each time.
    n_stories : int
        How many possible stories make a group. The impossible ones between them have no hero.
    n_groups : int

    Returns
    -------
    n_heroes : list of int, length n_groups
        How many different animals the stories of each group are about.
    n_written : list of int, length n_groups
        How many stories were written, possible or not, until each group was full.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> write = partial(write_stories, *load_fable_gpt(), 4, rng, top_k=1)
    >>> heroes_in_groups(write, 5, 2)  # it writes one story only
    ([1, 1], [5, 5])
    """
    require_positive_integer(n_stories=n_stories, n_groups=n_groups)
    n_heroes, n_written, group, n = [], [], [], 0
    while len(n_heroes) < n_groups:
        written = write()
        heroes = iter(written.heroes)
        for is_possible in written.possible:
            n += 1
            if is_possible:
                group.append(next(heroes))
            if len(group) == n_stories:
                n_heroes.append(len(set(group)))
                n_written.append(n)
                group, n = [], 0
    return n_heroes[:n_groups], n_written[:n_groups]


def stories_of_the_language(config, tokenizer, n_texts, rng):
    """Take stories from the language as ``write_stories`` takes them from a model.

    Parameters
    ----------
    config, tokenizer, n_texts, rng
        As in ``write_stories``.

    Returns
    -------
    Stories
        The whole ones in texts that begin with a story and are cut at ``n_positions``.

    Examples
    --------
    >>> _, config, tokenizer = load_fable_gpt()
    >>> stories = stories_of_the_language(config, tokenizer, 2, np.random.default_rng(0))
    >>> bool(stories.possible.all())
    True
    """
    # Every word has a token or more, so there are enough.
    texts = [to_text(sample(config.n_positions, rng)) for _ in range(n_texts)]
    rows = [tokenizer.encode(f"\n{text}")[: config.n_positions] for text in texts]
    return stories_in(map(tokenizer.decode, rows))


def main():
    """Let the book's model write with each setting, and keep the counts."""
    params, config, tokenizer = load_fable_gpt()
    rng = np.random.default_rng(SEED)
    write = partial(stories_of_the_language, config, tokenizer, N_TEXTS, rng)
    of_language, _ = heroes_in_groups(write, N_STORIES, N_GROUPS_OF_THE_LANGUAGE)
    exact = expected_kinds(ODDS_OF_ANIMALS, N_STORIES)
    print(
        f"the language: {np.mean(of_language):.1f} heroes, of all lengths {exact:.1f}"
    )
    rows = []
    for name, value in [
        (n, value) for n, values in SETTINGS.items() for value in values
    ]:
        rng = np.random.default_rng(SEED)
        choices = {name: value}
        write = partial(
            write_stories, params, config, tokenizer, N_TEXTS, rng, **choices
        )
        n_heroes, n_written = heroes_in_groups(write, N_STORIES, N_GROUPS)
        print(name, value, np.mean(n_heroes), N_STORIES / np.mean(n_written))
        row = {"setting": name, "value": value}
        rows.append(row | {"n_heroes": n_heroes, "n_written": n_written})
    sizes = {"seed": SEED, "n_stories": N_STORIES}
    keep("variety", sizes | {"of_language": of_language, "rows": rows})


if __name__ == "__main__":
    main()
