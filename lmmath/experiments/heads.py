r"""What attention heads look at: pronouns and their antecedents, and tokens seen before.

An attention weight is a share: those of one query sum to one over the positions that it can
see. Chance is what a head that looks everywhere alike would get.
"""

from numbers import Integral
from typing import NamedTuple

import numpy as np

from lmmath._checks import require_generator, require_positive_integer
from lmmath.experiments.held_out import (
    encode_story,
    padded_batches,
    require_heads,
    require_model,
    split_stories,
)
from lmmath.experiments.texts import BEGIN
from lmmath.fable import ANIMALS, surprisals, vocabulary
from lmmath.fable.language import FORMS_OF_PRONOUNS
from lmmath.language_models import lens, trace
from lmmath.training import token_losses

_NAMES = frozenset(animal.name for animal in ANIMALS)
_SUBJECTS, _OBJECTS = map(frozenset, zip(*FORMS_OF_PRONOUNS.values(), strict=True))


class HeadScores(NamedTuple):
    """How much each head looks at a pronoun's antecedent.

    Attributes
    ----------
    weight : numpy.ndarray, shape (n_layers, n_heads)
        The attention weight on all tokens of the antecedent's name together, in all its
        mentions so far; the mean over the pronouns. From 0 to 1.
    largest : numpy.ndarray, shape (n_layers, n_heads)
        The share of pronouns for which a mention of the antecedent gets more weight than any
        other word. Tokens of a word count together; of equal words, the earliest wins.
    chance : float
        Both, for a head that looks at one position drawn with equal odds: the number of the
        antecedent's tokens over that of all visible ones; the mean over the pronouns. Even
        attention has exactly this weight.
    """

    weight: np.ndarray
    largest: np.ndarray
    chance: float


class PronounAttention(NamedTuple):
    """Scores from the two places where a pronoun may need its antecedent.

    Attributes
    ----------
    before : HeadScores
        The query is the last token before the pronoun, from which the model predicts it. This
        is where a decoder must know the antecedent.
    at : HeadScores
        The query is the pronoun itself, its last token, where it is already known.
    n_pronouns : int
        How many were measured.
    """

    before: HeadScores
    at: HeadScores
    n_pronouns: int


class AntecedentAttention(NamedTuple):
    """Attention from pronouns to their antecedents.

    Attributes
    ----------
    subject : PronounAttention
        "She" and "He" at the beginning of a sentence: the antecedent is the story's hero.
    object : PronounAttention
        "her" and "him" in a gift: the antecedent is the friend. The hero's name is nearer.
    """

    subject: PronounAttention
    object: PronounAttention


class NameInduction(NamedTuple):
    """How much each head looks at what it could copy, where a name is mentioned again.

    Attributes
    ----------
    weight : numpy.ndarray, shape (n_layers, n_heads)
        The attention weight on the next token of the name in its earlier mentions; the mean
        over the tokens to be copied. From 0 to 1.
    chance : float
        The same for a head that looks everywhere alike.
    n_tokens : int
        How many tokens to be copied were measured.
    first_loss, repeated_loss : float
        The mean loss over the tokens of names, the first of each name left out, in nats per
        token: where the story mentions the name for the first time, and later. NaN if there
        are no such tokens.
    """

    weight: np.ndarray
    chance: float
    n_tokens: int
    first_loss: float
    repeated_loss: float


class InductionScores(NamedTuple):
    """How much each head looks where a copying head would, in a text that repeats itself.

    Attributes
    ----------
    induction : numpy.ndarray, shape (n_layers, n_heads)
        The mean weight on the position after the earlier occurrence of the query's token.
    induction_chance : float
        The same for a head that looks everywhere alike.
    previous : numpy.ndarray, shape (n_layers, n_heads)
        The mean weight on the position before the query, over the whole text.
    previous_chance : float
        The same for a head that looks everywhere alike.
    first_loss, second_loss : float
        The mean loss over the random tokens and over their repetition, without the first token
        of each, in nats per token. A model that copies pays less for the second.
    """

    induction: np.ndarray
    induction_chance: float
    previous: np.ndarray
    previous_chance: float
    first_loss: float
    second_loss: float


def antecedent_attention(params, config, tokenizer, words):
    r"""Measure, head by head, how much pronouns look at those they stand for.

    With :math:`A` the attention weights of a head, :math:`i` the query's position and
    :math:`M` the positions of all tokens that name the antecedent before the pronoun,

    .. math::

        \text{weight} = \operatorname{mean} \sum_{j \in M} A_{ij}, \qquad
        \text{chance} = \operatorname{mean} \frac{\lvert M \rvert}{i + 1}

    where positions count from 0, and the mean goes over the pronouns. The query is once the
    position that predicts the pronoun, and once the pronoun itself.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``. Pronouns that stand beyond ``n_positions`` are left out.

    Returns
    -------
    AntecedentAttention
        For subjects and objects and either query, arrays (n_layers, n_heads).

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        As in ``read_stories``, if Fable cannot produce ``words``, or if no pronoun of one of the
        two kinds can be seen.

    References
    ----------
    Clark, Khandelwal, Levy and Manning (2019), "What does BERT look at? An analysis of BERT's
    attention", section 4, where heads are tested on coreference in this way.

    Examples
    --------
    The heads of a model of zeros look everywhere alike:

    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=300, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> words = sample(200, np.random.default_rng(0))
    >>> scores = antecedent_attention(params, config, BPETokenizer([]), words).subject.before
    >>> scores.weight.shape, bool(np.allclose(scores.weight, scores.chance))
    ((2, 1), True)
    """
    require_model(params, config, tokenizer)
    require_heads(config)
    # It names the first word that is wrong, if Fable cannot produce them.
    surprisals(words)
    found = {"subject": [], "object": []}
    for seen in _see(params, config, tokenizer, words):
        for kind, place, mentions in find_pronouns(seen.story):
            before = np.searchsorted(seen.word_of_token, place) - 1
            at = np.searchsorted(seen.word_of_token, place, side="right") - 1
            found[kind].append([_look(seen, mentions, i) for i in (before, at)])
    return AntecedentAttention(**{k: _averages(k, v) for k, v in found.items()})


def name_induction(params, config, tokenizer, words):
    r"""Look for heads that copy names: in a story, a name that was mentioned comes again.

    After the first tokens of a name, an induction head looks back for the same tokens, and at
    what came after them. With :math:`i` a position within a repeated name and :math:`M` the
    positions in earlier mentions of it at which the next token :math:`x_{i+1}` stands,

    .. math::

        \text{weight} = \operatorname{mean} \sum_{j \in M} A_{ij}, \qquad
        \text{chance} = \operatorname{mean} \frac{\lvert M \rvert}{i + 1}

    A name that begins a story has no space before it and may be spelled in other tokens than
    later. Where :math:`M` is empty for this reason, nothing is measured.

    Parameters
    ----------
    params, config, tokenizer, words
        As in ``read_stories``. What stands beyond ``n_positions`` is left out.

    Returns
    -------
    NameInduction

    Raises
    ------
    TypeError
        If ``words`` is a single string.
    ValueError
        As in ``read_stories``, if Fable cannot produce ``words``, or if there is nothing to
        copy in what can be seen of them.

    References
    ----------
    Olsson et al. (2022), "In-context learning and induction heads".

    Examples
    --------
    >>> from lmmath.fable import sample
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=300, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> words = sample(200, np.random.default_rng(0))
    >>> scores = name_induction(params, config, BPETokenizer([]), words)
    >>> scores.weight.shape, bool(np.allclose(scores.weight, scores.chance))
    ((2, 1), True)
    """
    require_model(params, config, tokenizer)
    require_heads(config)
    surprisals(words)
    looks, losses = [], {"first": [], "repeated": []}
    for seen in _see(params, config, tokenizer, words):
        mentions = {}
        for place, name in enumerate(seen.story):
            if name in _NAMES:
                here = np.flatnonzero(seen.word_of_token == place)
                earlier = mentions.setdefault(name, [])
                which = "repeated" if earlier else "first"
                losses[which].extend(seen.losses[here[:-1]])
                looks.extend(_look_for_copies(seen, earlier, here))
                earlier.extend(here)
    if not looks:
        raise ValueError("words must mention a name of several tokens again, got none")
    weight, chance = (np.mean(part, axis=0) for part in zip(*looks, strict=True))
    means = [float(np.mean(part)) if part else np.nan for part in losses.values()]
    return NameInduction(weight, float(chance), len(looks), *means)


def induction_scores(
    params, config, tokenizer, rng, n_random=None, n_sequences=32, drawn_from=None
):
    r"""Look for heads that copy: random tokens, and then the same tokens again.

    In a text :math:`x_0, x_1, \dots, x_{2n}` with a mark or line break :math:`x_0`, random tokens
    :math:`x_1, \dots, x_n`, all different, and :math:`x_{n+i} = x_i`, an induction head finds
    the earlier occurrence of the present token and looks at the one after it, which will come
    next:

    .. math::

        \text{induction} = \operatorname{mean}_{n < i < 2n} A_{i,\, i-n+1}, \qquad
        \text{previous} = \operatorname{mean}_{1 \le i \le 2n} A_{i,\, i-1}

    For even attention both are the mean of :math:`1 / (i + 1)`.

    Parameters
    ----------
    params, config, tokenizer
        As in ``read_stories``.
    rng : numpy.random.Generator
        Draws the tokens.
    n_random : int, optional
        :math:`n`, at least 2; as many as fit into ``n_positions`` if not given.
    n_sequences : int
        How many such texts to average over.
    drawn_from : sequence of int, optional
        The tokens to draw from. The text then begins with ``<|endoftext|>``. If not given, those
        that Fable's words are spelled with, after a line break.

    Returns
    -------
    InductionScores

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    ValueError
        If ``n_random`` is not an integer of at least 2 that fits into ``n_positions`` and the
        vocabulary, ``n_sequences`` not one of at least 1, or the model's parts do not fit
        together.

    References
    ----------
    Olsson et al. (2022), "In-context learning and induction heads", where heads are told by
    their attention in repeated random tokens.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=256, n_positions=7, d_model=2, n_layers=2, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> scores = induction_scores(params, config, BPETokenizer([]), np.random.default_rng(0))
    >>> scores.induction.shape, bool(np.allclose(scores.induction, (1 / 5 + 1 / 6) / 2))
    ((2, 1), True)
    """
    require_model(params, config, tokenizer)
    require_heads(config)
    require_generator(rng)
    require_positive_integer(n_sequences=n_sequences)
    if drawn_from is None:
        break_, used = _used_tokens(tokenizer)
    else:
        break_, used = tokenizer.special_tokens[BEGIN], np.asarray(drawn_from)
    n = _checked_length(n_random, len(used), config.n_positions)
    drawn = rng.permuted(np.tile(used, (n_sequences, 1)), axis=1)[:, :n]
    breaks = np.full((n_sequences, 1), break_)
    texts = np.concatenate([breaks, drawn, drawn], axis=1)
    residuals, attention = trace(config, params, texts)
    logits = lens(config, params, residuals[-1])
    losses = token_losses(logits[:, :-1].astype(np.float64), texts[:, 1:])
    repeated, later = np.arange(n + 1, 2 * n), np.arange(1, 2 * n + 1)
    return InductionScores(
        induction=_mean_weight(attention, repeated, repeated - n + 1),
        induction_chance=float(np.mean(1 / (repeated + 1))),
        previous=_mean_weight(attention, later, later - 1),
        previous_chance=float(np.mean(1 / (later + 1))),
        first_loss=float(np.mean(losses[:, 1:n])),
        second_loss=float(np.mean(losses[:, n + 1 :])),
    )


def find_pronouns(story):
    r"""Find the pronouns of a story, and the words that name their antecedents.

    Parameters
    ----------
    story : list of str
        Words, from the beginning of the story.

    Yields
    ------
    kind : str
        "subject" or "object".
    place : int
        Where the pronoun stands in ``story``.
    mentions : list of int
        The places before it where its antecedent is named.

    Examples
    --------
    >>> words = "Leka the mouse lived in the desert . She ate some nuts . One day Leka met Dido"
    >>> words += " the goat near the well . Dido was loyal , so Leka gave him some corn ."
    >>> list(find_pronouns(words.split()))
    [('subject', 8, [0]), ('object', 31, [17, 24])]
    """
    for place, word in enumerate(story):
        if word in _SUBJECTS:
            kind, named = "subject", next(w for w in story if w in _NAMES)
        elif word in _OBJECTS:
            kind, named = "object", story[story.index("met") + 1]
        else:
            continue
        yield kind, place, [i for i in range(place) if story[i] == named]


class _Seen(NamedTuple):
    """What a model sees of a story, and how it looks at it."""

    story: list  # its words with the line break before it, up to the last that is whole
    tokens: np.ndarray  # (n,)
    word_of_token: np.ndarray  # (n,)
    weights: np.ndarray  # (n_layers, n_heads, n, n) or larger
    losses: np.ndarray  # (n - 1,) or larger: at each position, of the token after it


def _see(params, config, tokenizer, words):
    stories = split_stories(words)
    spelled = [encode_story(story, tokenizer) for story in stories]
    texts = [tokens for tokens, _ in spelled]
    for chosen, padded in padded_batches(texts, config.n_positions):
        residuals, attention = trace(config, params, padded)
        logits = lens(config, params, residuals[-1])
        losses = token_losses(logits[:, :-1].astype(np.float64), padded[:, 1:])
        # (n_texts, n_layers, n_heads, n, n)
        attention = np.stack(attention, axis=1)
        for i, weights, loss in zip(chosen, attention, losses, strict=True):
            tokens, word_of_token = (x[: config.n_positions] for x in spelled[i])
            # The last word may be cut off.
            story = ["\n", *stories[i]][: word_of_token[-1]]
            yield _Seen(story, tokens, word_of_token, weights, loss)


def _look(seen, mentions, query):
    """Measure one query: weight and largest, each (n_layers, n_heads), and chance."""
    weights = seen.weights[:, :, query, : query + 1].astype(np.float64)
    word_of_token = seen.word_of_token[: query + 1]
    starts = np.flatnonzero(np.diff(word_of_token, prepend=-1))
    of_words = np.add.reduceat(weights, starts, axis=-1)
    return (
        of_words[..., mentions].sum(axis=-1),
        np.isin(np.argmax(of_words, axis=-1), mentions),
        np.mean(np.isin(word_of_token, mentions)),
    )


def _look_for_copies(seen, earlier, here):
    """Measure a name's tokens but the last: weight on what comes next, and chance."""
    for i in here[:-1]:
        same = [j for j in earlier if seen.tokens[j] == seen.tokens[i + 1]]
        if same:
            weight = seen.weights[:, :, i, same].sum(axis=-1, dtype=np.float64)
            yield weight, len(same) / (i + 1)


def _averages(kind, measured):
    if not measured:
        raise ValueError(
            f"words must hold pronouns of both kinds within n_positions, got no {kind}"
        )
    scores = []
    for looks in zip(*measured, strict=True):
        weight, largest, chance = (
            np.mean(part, axis=0) for part in zip(*looks, strict=True)
        )
        scores.append(HeadScores(weight, largest, float(chance)))
    return PronounAttention(*scores, len(measured))


def _mean_weight(attention, queries, keys):
    """Average over texts and pairs of positions: (n_layers, n_heads)."""
    chosen = np.stack(attention)[..., queries, keys]
    return np.mean(chosen, axis=(1, 3), dtype=np.float64)


def _used_tokens(tokenizer):
    """Give the line break's token, and all others that Fable's words are spelled with."""
    break_ = tokenizer.encode("\n")[0]
    pieces = {f"{space}{word}" for word in vocabulary for space in ("", " ")}
    used = {token for piece in pieces for token in tokenizer.encode(piece)}
    return break_, np.asarray(sorted(used - {break_}))


def _checked_length(n_random, n_used, n_positions):
    most = min(n_used, (n_positions - 1) // 2)
    n = most if n_random is None else n_random
    if not isinstance(n, Integral) or not 2 <= n <= most:
        raise ValueError(f"n_random must be an integer from 2 to {most}, got {n!r}")
    return int(n)
