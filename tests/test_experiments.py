"""Experiments on models whose answers are known: by hand, in closed form, or by loops."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from libraries import close

from lmmath.experiments import (
    CERTAIN_FACTS,
    antecedent_attention,
    best_temperature,
    bin_sums,
    calibration,
    divergence_at,
    divergence_by_temperature,
    fact_recall,
    induction_scores,
    loss_by_distance,
    name_induction,
    read_stories,
    split_stories,
    story_loss,
    true_probabilities,
    unit_activations,
    write_stories,
    writing,
)
from lmmath.experiments.distance import story_of_meals
from lmmath.experiments.heads import find_pronouns
from lmmath.experiments.held_out import encode_story, padded_batches
from lmmath.fable import (
    ANIMALS,
    next_token_probabilities,
    next_word_probabilities,
    sample,
    surprisals,
    to_text,
    to_words,
    vocabulary,
)
from lmmath.fable.language import CHOICES
from lmmath.fable.tokens import TokenReader
from lmmath.language_models import RecurrentConfig, forward, init_recurrent
from lmmath.sampling import kl_divergence, temperature_softmax
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import (
    GPTConfig,
    gpt,
    gpt_block,
    gpt_shapes,
    gpt_trace,
    init_gpt,
)

BYTES = BPETokenizer([])
TOKENIZER = BPETokenizer.train(to_text(sample(50_000, np.random.default_rng(0))), 400)
WORDS = sample(1500, np.random.default_rng(1))
STORIES = split_stories(WORDS)
READER = TokenReader(TOKENIZER)
NAMES = {animal.name: animal for animal in ANIMALS}


def sizes(tokenizer=TOKENIZER, n_positions=300, d_model=4, n_layers=2, n_heads=2):
    return GPTConfig(tokenizer.vocab_size, n_positions, d_model, n_layers, n_heads)


def zeros(**changed):
    """Make a model that expects every token alike and looks everywhere alike."""
    config = sizes(**changed)
    params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    return params, config, changed.get("tokenizer", TOKENIZER)


def random(**changed):
    """Make a model that has learned nothing but has strong and various opinions."""
    config = sizes(**changed)
    rng = np.random.default_rng(5)
    params = init_gpt(config, rng, np.float64)
    params = {name: p + 0.5 * rng.normal(size=p.shape) for name, p in params.items()}
    return params, config, changed.get("tokenizer", TOKENIZER)


def constant(logits, **changed):
    """Make a model with the same logits everywhere, whatever it reads."""
    params, config, tokenizer = zeros(**changed)
    params["ln_f.bias"][0] = 1.0
    params["wte.weight"][:, 0] = logits
    return params, config, tokenizer


def tokens_of(story, tokenizer=TOKENIZER):
    return tokenizer.encode("\n" + to_text(story))


# Two stories that a short model reads whole, and one that it does not.
FEW = [*sorted(STORIES, key=len)[:2], max(STORIES, key=len)]
FEW_WORDS = [word for story in FEW for word in story]
SHORT = random(n_positions=24)


@pytest.fixture(scope="module")
def places():
    """Ask model and truth, place by place: (story, target, logits, true probabilities)."""
    params, config, _ = SHORT
    found = []
    for i, story in enumerate(FEW):
        tokens = tokens_of(story)
        for t in range(1, min(len(tokens), 25)):
            logits = gpt(params, np.asarray(tokens[:t]), config)[-1]
            truth = next_token_probabilities(tokens[1:t], TOKENIZER)
            found.append((i, tokens[t], logits, truth))
    assert 0 < len(found) < sum(len(tokens_of(story)) - 1 for story in FEW)
    return found


TRUTH = np.concatenate([true_probabilities(tokens_of(s), READER) for s in STORIES])


# Held-out stories


def test_stories_are_cut_at_line_breaks_and_the_unfinished_one_is_left_out():
    assert all(story.count("\n") == 1 and story[-1] == "\n" for story in STORIES)
    whole = [word for story in STORIES for word in story]
    assert WORDS[: len(whole)] == whole
    assert "\n" not in WORDS[len(whole) :]
    assert len(split_stories(whole)) == len(STORIES)


@pytest.mark.parametrize("tokenizer", [TOKENIZER, BYTES])
def test_a_story_is_spelled_word_by_word_as_it_is_as_a_whole(tokenizer):
    for story in STORIES:
        tokens, word_of_token = encode_story(story, tokenizer)
        assert tokens.tolist() == tokens_of(story, tokenizer)
        for i, word in enumerate(["\n", *story]):
            assert tokenizer.decode(tokens[word_of_token == i]).strip(" ") == word


@pytest.mark.parametrize("n_positions", [20, 300])
def test_batches_hold_every_text_once_and_from_its_beginning(n_positions):
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 9, size=n) for n in rng.integers(1, 50, size=100)]
    seen = []
    for chosen, padded in padded_batches(texts, n_positions):
        seen += chosen
        for i, row in zip(chosen, padded, strict=True):
            n = min(len(texts[i]), n_positions)
            assert row[:n].tolist() == texts[i][:n].tolist()
            assert not row[n:].any()
    assert sorted(seen) == list(range(100))


@pytest.mark.parametrize("n_positions", [7, 300])
def test_each_token_is_predicted_from_its_whole_story_and_nothing_else(n_positions):
    params, config, _ = model = random(n_positions=n_positions)
    readings = {tuple(r.tokens): r for r in read_stories(*model, WORDS)}
    for story in STORIES:
        tokens = tokens_of(story)[: n_positions + 1]
        reading = readings[tuple(tokens)]
        assert reading.targets.tolist() == tokens[1:]
        logits = gpt(params, np.asarray(tokens[:-1]), config)
        close(reading.log_probabilities, scipy.special.log_softmax(logits, 1), 1e-12)


def test_predictions_of_float32_are_normalized_in_float64():
    params, config, tokenizer = random()
    params = {name: array.astype(np.float32) for name, array in params.items()}
    for reading in read_stories(params, config, tokenizer, WORDS[:200]):
        assert reading.log_probabilities.dtype == np.float64
        close(np.exp(reading.log_probabilities).sum(axis=1), np.ones(len(reading[1])))


def test_the_truth_is_that_of_fable_at_each_token():
    tokens = tokens_of(STORIES[0])
    truth = true_probabilities(np.asarray(tokens), READER)
    assert truth.shape == (len(tokens) - 1, TOKENIZER.vocab_size)
    for i, row in enumerate(truth):
        # The line break begins the story; what stands before it does not matter.
        close(row, next_token_probabilities(tokens[1 : i + 1], TOKENIZER))


def test_the_loss_of_even_guesses_and_the_floor_are_known():
    result = story_loss(*zeros(), WORDS)
    whole = [word for story in STORIES for word in story]
    n_tokens = sum(len(tokens_of(story)) - 1 for story in STORIES)
    assert result.n_tokens == n_tokens
    close(result.loss, math.log(TOKENIZER.vocab_size))
    close(result.floor, np.sum(surprisals(whole)) / n_tokens, 1e-12)


def test_loss_floor_and_standard_error_equal_loops_over_stories(places):
    loss = floor = 0.0
    per_story = {}
    for story, target, logits, truth in places:
        surprise = -scipy.special.log_softmax(logits)[target]
        loss, floor = loss + surprise, floor - math.log(truth[target])
        d, n = per_story.get(story, (0.0, 0))
        per_story[story] = d + surprise + math.log(truth[target]), n + 1
    result = story_loss(*SHORT, FEW_WORDS)
    n_tokens = len(places)
    assert result.n_tokens == n_tokens
    close(result.loss, loss / n_tokens, 1e-12)
    close(result.floor, floor / n_tokens, 1e-12)
    mean = (loss - floor) / n_tokens
    squares = sum((d - n * mean) ** 2 for d, n in per_story.values())
    expected = math.sqrt(squares / 2 * 3) / n_tokens
    close(result.standard_error, expected, 1e-12)


def test_the_standard_error_is_that_of_the_mean_where_stories_are_equally_long():
    # Three stories cut at four tokens each.
    model = random(n_positions=4)
    words = [word for story in STORIES[:3] for word in story]
    differences = [
        (lambda r: r.loss - r.floor)(story_loss(*model, story)) for story in STORIES[:3]
    ]
    result = story_loss(*model, words)
    close(result.standard_error, np.std(differences, ddof=1) / math.sqrt(3), 1e-12)
    assert math.isnan(story_loss(*model, STORIES[0]).standard_error)


def test_the_mean_log_ratio_estimates_the_divergence():
    model = constant(np.random.default_rng(3).normal(size=400))
    result = story_loss(*model, WORDS)
    (divergence,) = divergence_by_temperature(*model, WORDS, [1.0])
    gap = result.loss - result.floor - divergence
    assert 0 < abs(gap) < 4 * result.standard_error


# Calibration


def test_predictions_are_put_into_bins_as_a_loop_would():
    rng = np.random.default_rng(0)
    model, truth = rng.random((2, 50, 7))
    came = rng.random((50, 7)) < truth
    model[0, :3] = 0.0, 0.25, 1.0  # at the edges
    edges = np.asarray([0.0, 0.25, 0.3, 0.9, 1.0])
    expected = np.zeros((4, 4))
    for m, t, c in zip(model.flat, truth.flat, came.flat, strict=True):
        for b in range(4):
            if edges[b] <= m < edges[b + 1] or (b == 3 and m == 1):
                expected[:, b] += 1, m, t, c
    close(bin_sums(model, truth, came, edges), expected)


@pytest.mark.parametrize("most_probable_only", [False, True])
@pytest.mark.parametrize("edges", [[0, 0.001, 0.01, 0.1, 1], np.linspace(0, 1, 16)])
def test_calibration_equals_a_loop_over_tokens(places, most_probable_only, edges):
    rows = []
    for _, target, logits, truth in places:
        p = scipy.special.softmax(logits)
        kept = [np.argmax(p)] if most_probable_only else range(len(p))
        rows += [(p[v], truth[v], v == target) for v in kept]
    predicted, true, came = np.asarray(rows, float).T
    result = calibration(*SHORT, FEW_WORDS, edges, most_probable_only)
    assert np.sum(result.count) == len(rows)
    n_places, error, observed_error = len(places), 0.0, 0.0
    for b in range(len(edges) - 1):
        here = (predicted >= edges[b]) & (predicted < edges[b + 1])
        assert result.count[b] == here.sum()
        if not here.any():
            assert math.isnan(result.model[b])
            continue
        means = [np.mean(x[here]) for x in (predicted, true, came)]
        close([result.model[b], result.truth[b], result.observed[b]], means, 1e-12)
        error += here.sum() / n_places * abs(means[0] - means[1])
        observed_error += here.sum() / n_places * abs(means[0] - means[2])
    close(result.error, error, 1e-12)
    close(result.observed_error, observed_error, 1e-12)


def test_the_calibration_of_a_model_with_constant_probabilities_is_known():
    # Token 7 never comes, a full stop often does; all others share what is left.
    stop, others = ord("."), TOKENIZER.vocab_size - 2
    logits = np.full(TOKENIZER.vocab_size, math.log(0.1 / others))
    logits[[7, stop]] = math.log(0.3), math.log(0.6)
    result = calibration(*constant(logits), WORDS, [0, 0.2, 0.4, 1])
    n = len(TRUTH)
    assert result.count.tolist() == [n * others, n, n]
    close(result.model, [0.1 / others, 0.3, 0.6], 1e-12)
    mean = TRUTH[:, stop].mean()
    close(result.truth, [(1 - mean) / others, 0.0, mean], 1e-12)
    close(result.observed[1], 0.0)
    stops = np.concatenate([tokens_of(s)[1:] for s in STORIES]) == stop
    close(result.observed[2], np.mean(stops))
    close(result.error, (0.9 - mean) + 0.3 + abs(0.6 - mean), 1e-12)


def test_the_truth_is_calibrated_and_counting_comes_near_it():
    rng = np.random.default_rng(0)
    drawn = [rng.choice(len(row), p=row) for row in TRUTH]
    came = np.arange(TRUTH.shape[1]) == np.asarray(drawn)[:, None]
    edges = np.linspace(0, 1, 11)
    count, model, true, observed = bin_sums(TRUTH, TRUTH, came, edges)
    close(model, true)
    assert np.all(np.abs(observed - true) < 4 * np.sqrt(count))
    assert observed.sum() == len(TRUTH)


# Temperature


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_divergence_of_tempered_probabilities_is_that_of_kullback_and_leibler(
    temperature,
):
    rng = np.random.default_rng(0)
    truth = scipy.special.softmax(rng.normal(size=(4, 9)), axis=1)
    truth[:, 3] = 0.0
    truth /= truth.sum(axis=1, keepdims=True)
    logits = rng.normal(size=(4, 9))
    tempered = temperature_softmax(logits, temperature)
    close(divergence_at(temperature, truth, logits), kl_divergence(truth, tempered))


def test_a_cold_model_pays_much_and_not_infinitely():
    truth, logits = np.asarray([0.5, 0.5]), np.asarray([0.0, -10.0])
    close(divergence_at(0.001, truth, logits), 5000 - math.log(2))


def test_divergence_by_temperature_averages_over_tokens(places):
    temperatures = 0.5, 1.0, 3.0
    expected = [
        np.mean(
            [
                scipy.special.rel_entr(truth, scipy.special.softmax(logits / T)).sum()
                for _, _, logits, truth in places
            ]
        )
        for T in temperatures
    ]
    close(divergence_by_temperature(*SHORT, FEW_WORDS, temperatures), expected, 1e-12)


def test_a_model_that_is_right_but_for_a_temperature_gets_that_temperature():
    truth = np.random.default_rng(0).dirichlet(np.ones(6), size=20)
    for known in (0.5, 1.0, 3.0):
        # The model's logits are too large by this factor.
        found = scipy.optimize.minimize_scalar(
            lambda log_t, known=known: np.mean(
                divergence_at(math.exp(log_t), truth, known * np.log(truth))
            ),
            bounds=(-3, 3),
        )
        close(math.exp(found.x), known, 1e-4)
        close(divergence_at(known, truth, known * np.log(truth)), np.zeros(20), 1e-13)


def test_the_best_temperature_gives_model_and_truth_the_same_mean_logit():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=TOKENIZER.vocab_size)
    logits[[ord("."), ord("\n")]] = 5.0
    model = constant(logits)
    words = WORDS[:300]
    tokens = [tokens_of(story) for story in split_stories(words)]
    truth = np.concatenate([true_probabilities(t, READER) for t in tokens])
    wanted = truth.mean(axis=0) @ logits
    known = 1 / scipy.optimize.brentq(
        lambda beta: scipy.special.softmax(beta * logits) @ logits - wanted, 0.01, 10
    )
    best = best_temperature(*model, words)
    close(best.temperature, known, 1e-4)
    around = [known * factor for factor in (1.0, 0.5, 0.9, 1.1, 2.0)]
    least, *others = divergence_by_temperature(*model, words, around)
    close(best.divergence, least, 1e-9)
    assert min(others) > best.divergence


def test_the_search_stays_between_its_ends():
    # A model sure of what never comes is the better the hotter it is.
    logits = np.zeros(TOKENIZER.vocab_size)
    logits[7] = 9.0
    best = best_temperature(*constant(logits), WORDS[:100], 0.5, 4.0)
    close(best.temperature, 4.0, 1e-4)


# Pronouns


def meaning(story):
    """Read a story by its sentences: (place, pronoun's kind, antecedent's name)."""
    hero = friend = None
    start = 0
    for i, word in enumerate(story):
        if word != ".":
            continue
        sentence = story[start:i]
        names = [w for w in sentence if w in NAMES]
        hero = hero or names[0]
        if sentence[0] == "One":
            friend = names[1]
        if sentence[0] in ("She", "He"):
            yield start, "subject", hero
        if "gave" in sentence:
            yield start + sentence.index("gave") + 1, "object", friend
        start = i + 1


def test_pronouns_stand_for_the_hero_and_the_friend():
    n = 0
    for story in STORIES:
        expected = [
            (kind, place, [i for i in range(place) if story[i] == name])
            for place, kind, name in meaning(story)
        ]
        assert list(find_pronouns(story)) == expected
        for (kind, place, _), (_, _, name) in zip(
            expected, meaning(story), strict=True
        ):
            forms = {"she": ("She", "her"), "he": ("He", "him")}[NAMES[name].pronoun]
            assert story[place] == forms[kind == "object"]
            n += 1
    assert n > 20


@pytest.mark.parametrize(
    ("tokenizer", "n_positions"),
    [(TOKENIZER, 60), (TOKENIZER, 300), (BYTES, 170), (BYTES, 600)],
)
def test_antecedent_attention_equals_a_loop(tokenizer, n_positions):
    params, config, _ = model = random(tokenizer=tokenizer, n_positions=n_positions)
    measured = {}
    for story in STORIES:
        spelled = [tokenizer.encode("\n")]
        for i, word in enumerate(story):
            spelled.append(
                tokenizer.encode(word if word in ".\n," or i == 0 else " " + word)
            )
        ends = np.cumsum([len(ids) for ids in spelled])
        tokens = np.concatenate(spelled).astype(int)[:n_positions]
        _, attention = gpt_trace(params, tokens, config)
        for place, kind, name in meaning(story):
            end = ends[place + 1]
            if end >= n_positions:
                continue
            queries = {"before": ends[place] - 1, "at": end - 1}
            for query, i in queries.items():
                row = np.asarray([layer[:, i, :] for layer in attention])
                mentions = [w + 1 for w in range(place) if story[w] == name]
                of_words = [
                    row[..., ends[w] - len(spelled[w]) : ends[w]].sum(-1)
                    for w in range(place + 1 + (query == "at"))
                ]
                weight = sum(of_words[w] for w in mentions)
                largest = np.isin(np.argmax(of_words, axis=0), mentions)
                chance = sum(len(spelled[w]) for w in mentions) / (i + 1)
                measured.setdefault((kind, query), []).append((weight, largest, chance))
    result = antecedent_attention(*model, WORDS)
    for (kind, query), looks in measured.items():
        scores = getattr(getattr(result, kind), query)
        assert getattr(result, kind).n_pronouns == len(looks)
        for actual, expected in zip(scores, zip(*looks, strict=True), strict=True):
            close(actual, np.mean(expected, axis=0), 1e-12)
        assert scores.weight.shape == scores.largest.shape == (2, 2)


def test_even_attention_has_the_weight_of_chance():
    result = antecedent_attention(*zeros(n_layers=3), WORDS)
    for scores in (*result.subject[:2], *result.object[:2]):
        close(scores.weight, np.full((3, 2), scores.chance), 1e-12)


def test_a_head_that_looks_for_one_name_finds_it():
    story = story_of_two()
    for name, kind, other in (
        ("Leka", "subject", "object"),
        ("Dido", "object", "subject"),
    ):
        params, _, _ = model = zeros(d_model=2, n_layers=1, n_heads=1)
        params["wte.weight"][:] = [-1.0, 1.0]
        for spelling in (name, " " + name):
            params["wte.weight"][TOKENIZER.encode(spelling)] = [1.0, -1.0]
        params["h.0.ln_1.weight"][:] = 1.0
        # All queries are (1, 0); the key of a token is its vector, 50 times.
        params["h.0.attn.c_attn.bias"][0] = 1.0
        params["h.0.attn.c_attn.weight"][:, 2:4] = 50 * np.eye(2)
        result = antecedent_attention(*model, story)
        for scores in getattr(result, kind)[:2]:
            close(scores.weight, [[1.0]], 1e-9)
            close(scores.largest, [[1.0]])
            assert scores.chance < 0.5
        for scores in getattr(result, other)[:2]:
            close(scores.largest, [[0.0]])


def story_of_two():
    """Tell of two animals, each of whom is named twice."""
    leka, dido = NAMES["Leka"], NAMES["Dido"]
    text = (
        f"Leka the {leka.species} lived in the {leka.home} . {leka.pronoun.title()} ate some "
        f"nuts . One day Leka met Dido the {dido.species} near the well . Dido was "
        f"{dido.trait} , so Leka gave {'her' if dido.pronoun == 'she' else 'him'} some corn ."
    )
    return [*text.split(), "\n"]


# Repeated names


@pytest.mark.parametrize(
    ("tokenizer", "n_positions"), [(TOKENIZER, 300), (TOKENIZER, 40), (BYTES, 150)]
)
def test_name_induction_equals_a_loop(tokenizer, n_positions):
    params, config, _ = model = random(tokenizer=tokenizer, n_positions=n_positions)
    looks, losses = [], {True: [], False: []}
    for story in STORIES:
        tokens, word_of_token = encode_story(story, tokenizer)
        tokens = tokens[:n_positions]
        _, attention = gpt_trace(params, tokens, config)
        logits = gpt(params, tokens, config)
        names = [story[w - 1] if story[w - 1] in NAMES else None for w in word_of_token]
        # A word that ends at the last position that is seen counts as cut off.
        for i in range(len(tokens) - 1):
            last_seen = word_of_token[len(tokens) - 1]
            within = word_of_token[i] == word_of_token[i + 1] < last_seen
            if i == 0 or names[i] is None or not within:
                continue
            before = [
                j for j in range(i)
                if names[j] == names[i] and word_of_token[j] < word_of_token[i]
            ]  # fmt: skip
            loss = -scipy.special.log_softmax(logits[i])[tokens[i + 1]]
            losses[bool(before)].append(loss)
            same = [j for j in before if tokens[j] == tokens[i + 1]]
            if same:
                weight = sum(np.asarray([a[:, i, j] for a in attention]) for j in same)
                looks.append((weight, len(same) / (i + 1)))
    result = name_induction(*model, WORDS)
    close(result.weight, np.mean([weight for weight, _ in looks], axis=0), 1e-12)
    close(result.chance, np.mean([chance for _, chance in looks]), 1e-12)
    assert result.n_tokens == len(looks)
    close(result.first_loss, np.mean(losses[False]), 1e-12)
    close(result.repeated_loss, np.mean(losses[True]), 1e-12)


def test_even_attention_looks_at_names_by_chance():
    result = name_induction(*zeros(), WORDS)
    close(result.weight, np.full((2, 2), result.chance), 1e-12)
    close(result.first_loss, math.log(TOKENIZER.vocab_size))
    close(result.repeated_loss, math.log(TOKENIZER.vocab_size))


def test_a_name_of_one_token_has_no_loss_after_its_first():
    # "Leka" is one token, " Leka" two, of which the second is the same.
    whole = BPETokenizer([(b"L", b"e"), (b"Le", b"k"), (b"Lek", b"a")])
    hero = ANIMALS[0]
    words = f"Leka the {hero.species} lived in the {hero.home} ."
    words = [*f"{words} The brother of Leka was happy .".split(), "\n"]
    result = name_induction(*zeros(tokenizer=whole), words)
    assert result.n_tokens == 1
    assert math.isnan(result.first_loss)
    close(result.repeated_loss, math.log(259))


# Repeated tokens


@pytest.mark.parametrize("n_random", [None, 2, 5])
def test_induction_scores_equal_a_loop(n_random):
    params, config, _ = model = random(n_positions=20)
    n = n_random or 9
    texts = drawn(model, n_random, n_sequences=3)
    assert texts.shape == (3, 2 * n + 1)
    induction, previous, first, second = [], [], [], []
    for text in texts.tolist():
        assert text[0] == ord("\n")
        assert ord("\n") not in text[1:]
        assert text[1 : n + 1] == text[n + 1 :]
        assert len(set(text)) == n + 1
        _, attention = gpt_trace(params, np.asarray(text), config)
        for i in range(1, len(text)):
            previous.append([layer[:, i, i - 1] for layer in attention])
        for i in range(n + 1, 2 * n):
            earlier = text[1 : n + 1].index(text[i]) + 1
            induction.append([layer[:, i, earlier + 1] for layer in attention])
        logits = gpt(params, np.asarray(text), config)
        for i in range(1, len(text) - 1):
            loss = -scipy.special.log_softmax(logits[i])[text[i + 1]]
            if i != n:
                (first if i < n else second).append(loss)
    scores = induction_scores(*model, np.random.default_rng(8), n_random, 3)
    close(scores.induction, np.mean(induction, axis=0), 1e-12)
    close(scores.previous, np.mean(previous, axis=0), 1e-12)
    close(scores.first_loss, np.mean(first), 1e-12)
    close(scores.second_loss, np.mean(second), 1e-12)


def drawn(model, n_random, n_sequences):
    """See which texts the model is asked to read."""
    seen = []

    def spy(config, params, tokens):
        seen.append(tokens)
        return gpt_trace(params, tokens, config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmmath.experiments.heads.trace", spy)
        induction_scores(*model, np.random.default_rng(8), n_random, n_sequences)
    return seen[0]


def test_even_attention_has_the_scores_of_chance():
    scores = induction_scores(*zeros(n_positions=11), np.random.default_rng(0))
    close(scores.induction, np.full((2, 2), np.mean([1 / i for i in range(7, 11)])))
    close(scores.induction, np.full((2, 2), scores.induction_chance))
    close(scores.previous, np.full((2, 2), np.mean([1 / i for i in range(2, 12)])))
    close(scores.previous, np.full((2, 2), scores.previous_chance))
    close(scores.first_loss, math.log(TOKENIZER.vocab_size))
    close(scores.second_loss, math.log(TOKENIZER.vocab_size))


@pytest.mark.parametrize(("back", "score"), [(1, "previous"), (5, "induction")])
def test_a_head_that_looks_a_fixed_number_of_places_back_is_found(back, score):
    # With n = 6 the token after the earlier occurrence stands 5 places back.
    n, d = 6, 26
    params, _, _ = model = zeros(n_positions=13, d_model=d, n_heads=1)
    angles = np.arange(13) * 2 * np.pi / 26
    # Each position has its own direction; a key is its position's, moved on by `back`.
    waves = np.concatenate(
        [np.stack([np.cos(k * angles), np.sin(k * angles)]) for k in range(1, 14)]
    ).T
    params["wpe.weight"][:] = waves - waves.mean(axis=1, keepdims=True)
    params["h.0.ln_1.weight"][:] = 1.0
    vectors = params["wpe.weight"] / params["wpe.weight"].std(axis=1, keepdims=True)
    moved = np.roll(vectors, -back, axis=0)
    query, key = np.eye(d), np.linalg.lstsq(vectors, moved, rcond=None)[0]
    params["h.0.attn.c_attn.weight"][:, :d] = 50 * query
    params["h.0.attn.c_attn.weight"][:, d : 2 * d] = key
    scores = induction_scores(*model, np.random.default_rng(0), n_random=n)
    found = getattr(scores, score)
    assert found[0, 0] > 0.95
    close(found[1, 0], getattr(scores, f"{score}_chance"))


def test_the_draw_follows_the_seed_alone():
    model = random(n_positions=20)
    assert np.array_equal(drawn(model, None, 2), drawn(model, None, 2))


# Facts


def test_fact_recall_equals_a_loop_over_the_words_letters():
    params, config, _ = model = random()
    animals = [*ANIMALS[:5], *ANIMALS[700:703]]
    recall = fact_recall(*model, animals)
    for row, animal in enumerate(animals):
        before = {
            "species": f"{animal.name} the",
            "home": f"{animal.name} the {animal.species} lived in the",
            "trait": f"{animal.name} the {animal.species} lived in the {animal.home}. "
            f"Everyone said that {animal.name} was",
        }
        for column, fact in enumerate(CERTAIN_FACTS):
            text = TOKENIZER.encode("\n" + before[fact])
            word = TOKENIZER.encode(" " + getattr(animal, fact))
            probability, exact = 1.0, True
            for token in word:
                predicted = scipy.special.softmax(
                    gpt(params, np.asarray(text), config)[-1]
                )
                probability *= predicted[token]
                exact &= int(np.argmax(predicted)) == token
                text.append(token)
            close(recall.probability[row, column], probability, 1e-12)
            close(recall.loss[row, column], -math.log(probability) / len(word), 1e-12)
            assert recall.exact[row, column] == exact
            assert recall.n_tokens[row, column] == len(word)


def test_facts_are_asked_for_where_they_are_certain():
    for animal in ANIMALS[::200]:
        text = (
            f"{animal.name} the {animal.species} lived in the {animal.home}. "
            f"Everyone said that {animal.name} was {animal.trait}"
        )
        tokens, word_of_token = encode_story(to_words(text), TOKENIZER)
        truth = true_probabilities(tokens, READER)
        for place in (3, 7, 14):
            for i in np.flatnonzero(word_of_token == place):
                close(truth[i - 1, tokens[i]], 1.0)


def test_the_facts_of_a_model_with_constant_logits_are_known():
    # " the" is its most probable token, and a fact of one token gets e / (V - 2 + 2e).
    animal = next(a for a in ANIMALS if len(TOKENIZER.encode(" " + a.species)) == 1)
    logits = np.zeros(TOKENIZER.vocab_size)
    (token,) = TOKENIZER.encode(" " + animal.species)
    logits[token] = 1.0
    recall = fact_recall(*constant(logits), [animal])
    total = TOKENIZER.vocab_size - 1 + math.e
    close(recall.probability[0, 0], math.e / total)
    assert recall.exact[0].tolist() == [True, False, False]
    others = recall.n_tokens[0, 1:]
    close(recall.probability[0, 1:], total ** -others.astype(float), 1e-12)
    close(recall.loss[0, 1:], np.full(2, math.log(total)), 1e-12)


def test_a_word_is_right_only_if_all_its_tokens_are():
    animal = next(a for a in ANIMALS if len(TOKENIZER.encode(" " + a.home)) > 1)
    logits = np.zeros(TOKENIZER.vocab_size)
    logits[TOKENIZER.encode(" " + animal.home)[0]] = 1.0
    assert not fact_recall(*constant(logits), [animal]).exact[0, 1]


# Distance


def recurrent(cell):
    config = RecurrentConfig(TOKENIZER.vocab_size, 300, 5, cell)
    params = init_recurrent(config, np.random.default_rng(6), np.float64)
    return params, config, TOKENIZER


MODELS = {"gpt": random(), "rnn": recurrent("rnn"), "lstm": recurrent("lstm")}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_loss_by_distance_equals_a_loop_over_tokens(model):
    params, config, _ = model
    animals, n_meals = ANIMALS[700:703], [0, 3]
    result = loss_by_distance(*model, n_meals, np.random.default_rng(4), animals)
    rng = np.random.default_rng(4)
    for row, n in enumerate(n_meals):
        between = []
        for column, animal in enumerate(animals):
            story = story_of_meals(animal, n, rng)
            before = TOKENIZER.encode("\n" + to_text(story[:-1]))
            name = TOKENIZER.encode(" " + animal.name)
            loss, text = 0.0, list(before)
            for token in name:
                logits = forward(config, params, np.asarray(text))[-1]
                loss -= scipy.special.log_softmax(logits)[token]
                text.append(token)
            close(result.loss[row, column], loss, 1e-12)
            between.append(len(before) - 1 - len(TOKENIZER.encode(animal.name)))
        close(result.distance[row], np.mean(between))


@pytest.mark.parametrize("n_meals", [0, 1, 5])
def test_the_name_is_certain_at_every_distance(n_meals):
    for animal in ANIMALS[::200]:
        story = story_of_meals(animal, n_meals, np.random.default_rng(0))
        truth = dict(zip(vocabulary, next_word_probabilities(story[:-1]), strict=True))
        close(truth[animal.name], 1.0)
        assert story[-1] == animal.name
        assert story.count(animal.name) == 2
        assert story.count(".") == 1 + n_meals


def test_the_meals_have_the_odds_of_fable():
    stories = [
        story_of_meals(ANIMALS[0], 50, np.random.default_rng(i)) for i in range(60)
    ]
    verbs = [word for story in stories for word in story if word in CHOICES["ate"]]
    counts = [verbs.count(verb) for verb in CHOICES["ate"]]
    expected = 3000 * np.asarray([*CHOICES["ate"].values()])
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3
    foods = [
        story[i + 1]
        for story in stories
        for i, word in enumerate(story)
        if word == "some"
    ]
    favourite = foods.count(ANIMALS[0].food) / 3000
    assert abs(favourite - (0.75 + 0.25 / 16)) < 4 * math.sqrt(0.2 / 3000)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_recurrent_models_are_read_like_gpts(cell):
    params, config, _ = model = recurrent(cell)
    result = story_loss(*model, FEW_WORDS)
    losses = []
    for story in FEW:
        tokens = np.asarray(tokens_of(story)[: config.n_positions + 1])
        logits = forward(config, params, tokens[:-1])
        losses.extend(
            -scipy.special.log_softmax(logits, axis=-1)[
                np.arange(len(tokens) - 1), tokens[1:]
            ]
        )
    close(result.loss, np.mean(losses), 1e-12)


# Writing


@pytest.mark.parametrize(
    ("text", "possible", "heroes"),
    [
        ("\nLeka the mouse lived in the desert.\nLeka", [True], ["Leka"]),
        ("\nLeka the mouse lived in the forest.\nLeka", [False], []),
        (
            "\nLeka the\nThere was a patient mouse called Leka.\n",
            [False, True],
            ["Leka"],
        ),
        ("\n\n\ufffd?\n", [False, False], []),
        ("\nLeka the mouse", [], []),
    ],
)
def test_stories_are_held_against_the_language(monkeypatch, text, possible, heroes):
    tokens = np.asarray([TOKENIZER.encode(text)])
    monkeypatch.setattr(writing, "generate", lambda *arguments, **choices: tokens)
    written = write_stories(*MODELS["gpt"], 1, np.random.default_rng(0))
    assert written.possible.tolist() == possible
    assert written.heroes == heroes
    assert written.texts == text.split("\n")[1:-1]


def test_writing_fills_the_positions_and_follows_the_choices(monkeypatch):
    asked = []

    def generate(params, prompts, config, n_tokens, rng, **choices):
        asked.append((prompts.shape, n_tokens, choices))
        return prompts

    monkeypatch.setattr(writing, "generate", generate)
    write_stories(*zeros(n_positions=24), 3, np.random.default_rng(0), top_p=0.5)
    assert asked == [((3, 1), 23, {"top_p": 0.5})]


# Units


@pytest.mark.parametrize("n_positions", [300, 24])
def test_units_account_for_what_the_feed_forward_network_writes(n_positions):
    params, config, tokenizer = random(n_positions=n_positions)
    units = unit_activations(params, config, tokenizer, FEW_WORDS)
    start = 0
    for story in FEW:
        tokens = np.asarray(tokens_of(story)[:n_positions])
        place = slice(start, start + len(tokens))
        assert np.array_equal(units.tokens[place], tokens)
        residuals, _ = gpt_trace(params, tokens, config)
        for i in range(config.n_layers):
            block = {
                k.removeprefix(f"h.{i}."): p
                for k, p in params.items()
                if k.startswith(f"h.{i}.")
            }
            silent = block | {
                "mlp.c_proj.weight": np.zeros_like(block["mlp.c_proj.weight"]),
                "mlp.c_proj.bias": np.zeros(config.d_model),
            }
            before, _ = gpt_block(residuals[i], silent, config.n_heads)
            written = (
                units.values[i, place] @ block["mlp.c_proj.weight"]
                + block["mlp.c_proj.bias"]
            )
            close(residuals[i + 1], before + written, 1e-12)
        start += len(tokens)
    assert start == len(units.tokens)


# Bad input

MODEL = zeros()
RNG = np.random.default_rng(0)


def too_small():
    return zeros(n_positions=20)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: split_stories("a story\n"), "words must be a sequence of words, got str"),
        (ValueError, lambda: split_stories(["They", "sang"]), "words must hold at least one whole story, got 2 words without a line break"),
        (ValueError, lambda: read_stories(MODEL[0], sizes(d_model=8), TOKENIZER, WORDS), r"wte.weight must have shape \(400, 8\), got \(400, 4\)"),
        (ValueError, lambda: read_stories(*MODEL[:2], BYTES, WORDS), "tokenizer must have the model's vocab_size, 400, got 256"),
        (ValueError, lambda: story_loss(*MODEL, ["They", "sang", "\n"]), "words must be a text that Fable can produce, got one in which token .* at place"),
        (ValueError, lambda: calibration(*MODEL, WORDS, edges=[0.1, 1]), r"edges must increase from 0 to 1, got \[0.1 1. \]"),
        (ValueError, lambda: calibration(*MODEL, WORDS, edges=[0, 0.5, 0.5, 1]), "edges must increase from 0 to 1"),
        (ValueError, lambda: calibration(*MODEL, WORDS, edges=[0]), r"edges must have one axis and at least two entries, got shape \(1,\)"),
        (ValueError, lambda: divergence_by_temperature(*MODEL, WORDS, [1.0, 0.0]), r"temperatures\[1\] must be a finite number above 0, got 0.0"),
        (ValueError, lambda: best_temperature(*MODEL, WORDS, lowest=0), "lowest must be a finite number above 0, got 0"),
        (ValueError, lambda: best_temperature(*MODEL, WORDS, 2, 1), "lowest must be below highest, 1, got 2"),
        (ValueError, lambda: antecedent_attention(*MODEL, ["She", "ate", "\n"]), r"words\[0\] must be one that can begin a story"),
        (ValueError, lambda: antecedent_attention(*too_small(), WORDS), "words must hold pronouns of both kinds within n_positions, got no object"),
        (ValueError, lambda: name_induction(*MODEL, ["She", "ate", "\n"]), r"words\[0\] must be one that can begin a story"),
        (ValueError, lambda: name_induction(*zeros(n_positions=3), WORDS), "words must mention a name of several tokens again, got none"),
        (TypeError, lambda: induction_scores(*MODEL, 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: induction_scores(*MODEL, RNG, n_random=1), "n_random must be an integer from 2 to 149, got 1"),
        (ValueError, lambda: induction_scores(*too_small(), RNG, n_random=10), "n_random must be an integer from 2 to 9, got 10"),
        (ValueError, lambda: induction_scores(*MODEL, RNG, n_random=2.0), "n_random must be an integer from 2 to 149, got 2.0"),
        (ValueError, lambda: induction_scores(*MODEL, RNG, n_sequences=0), "n_sequences must be an integer of at least 1, got 0"),
        (TypeError, lambda: loss_by_distance(*MODEL, [1], 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: loss_by_distance(*MODEL, [1, -1], RNG), "n_meals must be at least 0, got -1"),
        (ValueError, lambda: loss_by_distance(*MODEL, [1], RNG, []), "animals must hold at least one animal, got none"),
        (ValueError, lambda: loss_by_distance(*too_small(), [1], RNG), "n_meals must leave the stories within n_positions = 20 tokens, got one of"),
        (ValueError, lambda: write_stories(*MODEL, 0, RNG), "n_texts must be an integer of at least 1, got 0"),
        (TypeError, lambda: write_stories(*MODEL, 1, 0), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: fact_recall(*MODEL, []), "animals must hold at least one animal, got none"),
        (ValueError, lambda: fact_recall(*too_small()), "n_positions must be at least .* to ask for these facts, got 20"),
    ],
)  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
