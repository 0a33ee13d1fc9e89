"""What is measured on any text: on small random models in loops, and on the real one once more.

The chapters make their claims on some texts and seeds. Here they are made on others.
"""

import zlib

import numpy as np
import pytest
import scipy.special
import scipy.stats
from libraries import close

from lmmath.english import long_texts, short_texts
from lmmath.experiments import (
    ANALOGIES,
    SENTENCES,
    active_share,
    analogies,
    best_heads,
    compressed_bits,
    copying_losses,
    effective_dimension,
    gift_sentences,
    gifts_resolved,
    induction_scores,
    lens_ranks,
    load_kept,
    loss_without,
    losses_at_positions,
    mean_and_interval,
    neurons_for,
    other_heads,
    previous_token_scores,
    pronoun_attention,
    pronoun_sentences,
    random_cosines,
    read_choices,
    reliability,
    repeated_texts,
    scores_by_distance,
    sink_shares,
    text_loss,
    token_counts,
    tokens_of,
    unigram_loss,
)
from lmmath.experiments.choices import Choices
from lmmath.experiments.context import (
    CONTEXTS,
    N_PLACES,
    losses_by_context,
    places_in,
)
from lmmath.experiments.repetition import (
    N_PROMPT,
    WAYS,
    losses_when_repeated,
    repeated_share,
)
from lmmath.language_models import (
    RecurrentConfig,
    activations,
    forward,
    init,
    lens,
    trace,
    without_heads,
)
from lmmath.neurons import silu
from lmmath.sampling import top_p_filter
from lmmath.tokenization import BPETokenizer, load_published
from lmmath.transformer import GPTConfig, LlamaConfig, rms_norm, subset
from lmmath.weights import load_smollm2
from lmmath.weights.smollm2 import find_smollm2

LETTERS = BPETokenizer([(b"h", b"e"), (b" ", b"M")], ["<|endoftext|>"])
MARK = LETTERS.special_tokens["<|endoftext|>"]
GPT = GPTConfig(259, n_positions=90, d_model=8, n_layers=2, n_heads=4)
LLAMA = LlamaConfig(259, 90, 8, n_layers=3, n_heads=4, d_ff=6, n_kv_heads=2)
ORDINARY = np.arange(300, 49_000)


@pytest.fixture(params=[GPT, LLAMA], ids=["gpt", "llama"])
def model(request):
    rng = np.random.default_rng(11)
    params = init(request.param, rng, np.float64)
    params = {n: a + 0.5 * rng.normal(size=a.shape) for n, a in params.items()}
    return params, request.param, LETTERS


@pytest.fixture(scope="module")
def real():
    return load_smollm2()


# Texts and intervals


def test_a_text_begins_with_the_mark():
    assert tokens_of("the", LETTERS).tolist() == [MARK, ord("t"), 256]
    with pytest.raises(
        ValueError, match=r"tokenizer must have the special token <\|endoftext\|>"
    ):
        tokens_of("a", BPETokenizer([]))
    with pytest.raises(
        ValueError, match="text must hold at least one character, got ''"
    ):
        tokens_of("", LETTERS)


def test_intervals_agree_with_scipys_bootstrap():
    values = np.random.default_rng(3).exponential(size=(40, 2))
    mean, low, high = mean_and_interval(values, np.random.default_rng(0), 0.8, 20_000)
    close(mean, values.mean(axis=0))
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.8, n_resamples=20_000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    close(low, theirs.low, 0.01)
    close(high, theirs.high, 0.01)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(300):
        _, low, high = mean_and_interval(rng.normal(size=50), rng, 0.9, 300)
        held += low <= 0 <= high
    assert 0.84 < held / 300 < 0.95


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: mean_and_interval([1.0], 3), "rng must be a numpy.random.Generator, got int"),
        (ValueError, lambda: mean_and_interval([], np.random.default_rng(0)), r"values must hold a measurement, got shape \(0,\)"),
        (ValueError, lambda: mean_and_interval([1.0], np.random.default_rng(0), 1.0), "level must be a number between 0 and 1, got 1.0"),
        (ValueError, lambda: mean_and_interval([1.0], np.random.default_rng(0), n_resamples=0), "n_resamples must be an integer of at least 1, got 0"),
    ],
)  # fmt: skip
def test_bad_measurements_are_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


# Sinks


def test_sink_shares_equal_a_loop(model):
    params, config, _ = model
    texts = [tokens_of(text, LETTERS) for text in ("the moon", "a wheel is here")]
    shares, even = sink_shares(params, config, texts, skip=3)
    for row, at_even, tokens in zip(shares, even, texts, strict=True):
        _, attention = trace(config, params, tokens)
        for layer in range(config.n_layers):
            for head in range(config.n_heads):
                weights = [attention[layer][head, i, 0] for i in range(3, len(tokens))]
                close(row[layer, head], np.mean(weights))
        close(at_even, np.mean([1 / (i + 1) for i in range(3, len(tokens))]))


def test_the_first_token_is_the_sink_in_other_texts_too(real):
    texts = [tokens_of(text.text, real.tokenizer)[:60] for text in short_texts()[1::4]]
    shares, even = sink_shares(real.params, real.config, texts)
    assert np.all(shares.mean(axis=(1, 2)) > 5 * even)
    without_mark, _ = sink_shares(real.params, real.config, [t[1:] for t in texts])
    assert np.all(np.abs(without_mark - shares).mean(axis=(1, 2)) < 0.1)


# Circuits


def test_best_and_other_heads():
    scores = np.asarray([[0.1, 0.9, 0.9, 0.0], [0.5, 0.2, 0.3, 0.0]])
    assert best_heads(scores, 3) == [(0, 1), (0, 2), (1, 0)]
    for seed in range(20):
        drawn = other_heads(GPT, [(0, 1), (0, 2), (1, 3)], np.random.default_rng(seed))
        assert [layer for layer, _ in drawn] == [0, 0, 1]
        assert sorted(drawn[:2]) == [(0, 0), (0, 3)]
        assert drawn[2][1] != 3
    with pytest.raises(ValueError, match="got 3 of 4 in layer 0"):
        other_heads(GPT, [(0, 0), (0, 1), (0, 2)], np.random.default_rng(0))


def test_repeated_texts_are_random_and_repeated():
    texts = repeated_texts(LETTERS, range(50, 90), 7, 5, np.random.default_rng(0))
    assert texts.shape == (5, 15)
    for text in texts.tolist():
        assert text[0] == MARK
        assert text[1:8] == text[8:]
        assert len(set(text)) == 8
        assert set(text[1:]) <= set(range(50, 90))
    assert len({tuple(text) for text in texts.tolist()}) == 5


def test_copying_losses_equal_a_loop(model):
    params, config, _ = model
    texts = repeated_texts(LETTERS, range(50, 90), 6, 2, np.random.default_rng(1))
    first, second = copying_losses(params, config, texts, [[], [(0, 1)]])
    assert not np.allclose(second[0], second[1])
    for i, text in enumerate(texts):
        logits = forward(config, params, text)
        losses = [
            -scipy.special.log_softmax(logits[at])[text[at + 1]] for at in range(12)
        ]
        close(first[0, i], np.mean(losses[1:6]), 1e-12)
        close(second[0, i], np.mean(losses[7:12]), 1e-12)


def test_without_either_kind_of_head_the_real_model_copies_less(real):
    scores = induction_scores(
        *real,
        np.random.default_rng(31),
        n_random=20,
        n_sequences=2,
        drawn_from=ORDINARY,
    )
    copying, previous = best_heads(scores.induction, 7), best_heads(scores.previous, 4)
    assert scores.induction.max() > 10 * scores.induction_chance
    draw = np.random.default_rng(32)
    texts = repeated_texts(real.tokenizer, ORDINARY, 20, 2, draw)
    others = other_heads(real.config, copying, draw)
    removed = [[], copying, previous, copying + previous, others]
    first, second = copying_losses(real.params, real.config, texts, removed)
    gain = (first - second).mean(axis=1)
    without_copying, without_previous, without_both, without_others = gain[1:] / gain[0]
    assert without_copying < 0.5
    assert without_previous < 0.75
    assert abs(without_both - without_copying) < 0.1
    assert without_others > 0.9

    plain = [text.text[200:400] for text in short_texts()[1::4]]
    intact, less_copying, less_previous = (
        text_loss(
            without_heads(real.config, real.params, heads), *real[1:], plain
        ).nats_per_token.mean()
        for heads in ([], copying, previous)
    )
    assert abs(less_copying - intact) < 0.1
    assert less_previous > intact + 0.05


# Pronouns


def test_the_sentences_are_balanced():
    sentences = pronoun_sentences()
    assert len(set(sentences)) == len(sentences) == 64
    for half in (sentences[:32], sentences[32:]):
        assert sum(sentence.right == 0 for sentence in half) == 16
        assert sum(sentence.words[-1] == "she" for sentence in half) == 16
    for (first, _, second, joint, pronoun), right in sentences:
        named = (first, second)[right // 2]
        assert joint in ("because", "after")
        assert (
            named
            in ("Mary", "Sarah", "Emma", "Alice", "Laura", "Julia", "Anna", "Helen")
        ) == (pronoun == "she")
    assert not {w for s in sentences[:32] for w in s.words[:3:2]} & {
        w for s in sentences[32:] for w in s.words[:3:2]
    }


def test_pronoun_attention_equals_a_loop(model):
    params, config, tokenizer = model
    sentences = pronoun_sentences()[5:9]
    right, wrong = pronoun_attention(params, config, tokenizer, sentences)
    for i, (words, at_right) in enumerate(sentences):
        parts = [[MARK], *(tokenizer.encode(f" {word}") for word in words)]
        ends = np.cumsum([len(part) for part in parts])
        _, attention = trace(config, params, np.concatenate(parts))
        for place, found in ((at_right, right), (2 - at_right, wrong)):
            columns = range(ends[place], ends[place + 1])
            for layer, weights in enumerate(attention):
                expected = sum(weights[:, -1, j] for j in columns)
                close(found[i, layer], expected, 1e-12)


def test_gifts_are_balanced_and_measured_as_by_hand(model):
    params, config, tokenizer = model
    sentences = gift_sentences(6, np.random.default_rng(2))
    margins = gifts_resolved(params, config, tokenizer, sentences)
    for i, (text, giver, receiver, receiver_first) in enumerate(sentences):
        assert receiver_first == (i % 2 == 0)
        names = [receiver, giver] if receiver_first else [giver, receiver]
        assert text.startswith(f"When {names[0]} and {names[1]} went to ")
        assert f", {giver} gave " in text
        row = scipy.special.log_softmax(
            forward(config, params, tokens_of(text, tokenizer))[-1]
        )
        first, second = (tokenizer.encode(f" {name}")[0] for name in (receiver, giver))
        close(margins[i], row[first] - row[second], 1e-12)


def test_the_real_model_gives_to_the_other_one(real):
    gifts = gift_sentences(24, np.random.default_rng(77))
    assert np.mean(gifts_resolved(*real, gifts) > 0) > 0.85


def test_the_head_that_looks_at_the_right_name_is_found_by_either_half(real):
    right, wrong = pronoun_attention(*real, pronoun_sentences())
    heads = [
        best_heads((right - wrong)[half].mean(axis=0), 1)[0]
        for half in (slice(32), slice(32, 64))
    ]
    assert heads[0] == heads[1]
    more = right[..., *heads[0]] > wrong[..., *heads[0]]
    assert more.mean() > 0.85


def test_a_model_without_heads_is_named():
    config = RecurrentConfig(259, 20, 4)
    params = init(config, np.random.default_rng(0))
    for call in (
        lambda: sink_shares(params, config, [np.arange(9)]),
        lambda: pronoun_attention(params, config, LETTERS, pronoun_sentences()[:1]),
        lambda: other_heads(config, [(0, 0)], np.random.default_rng(0)),
    ):
        with pytest.raises(
            TypeError, match="config must be of a model with heads, got RecurrentConfig"
        ):
            call()
    with pytest.raises(
        ValueError, match="texts must hold more than 4 tokens each, got one of 2"
    ):
        sink_shares(init(GPT, np.random.default_rng(0)), GPT, [np.arange(2)])


# Layers


def test_ranks_by_the_lens_equal_a_loop(model):
    params, config, tokenizer = model
    facts = {"One plus one is": "two", "He": "hums"}
    ranks = lens_ranks(params, config, tokenizer, facts)
    assert ranks.shape == (2, config.n_layers + 1)
    for row, (beginning, word) in zip(ranks, facts.items(), strict=True):
        right = tokenizer.encode(f" {word}")[0]
        residuals, _ = trace(config, params, tokens_of(beginning, tokenizer))
        for rank, x in zip(row, residuals, strict=True):
            logits = lens(config, params, x)[-1]
            assert rank == 1 + sum(logit > logits[right] for logit in logits)


def test_the_loss_without_a_number_equals_a_loop(model):
    params, config, _ = model
    texts = [tokens_of(text, LETTERS) for text in ("the moon", "a wheel")]
    for layer in range(config.n_layers + 1):
        losses = loss_without(params, config, texts, layer, position=2, feature=5)
        for loss, tokens in zip(losses, texts, strict=True):

            def edit(at, x, layer=layer):
                x = x.copy()
                x[2, 5] *= at != layer
                return x

            residuals, _ = trace(config, params, tokens, edit)
            rows = scipy.special.log_softmax(
                lens(config, params, residuals[-1]), axis=1
            )
            expected = [-rows[i, tokens[i + 1]] for i in range(3, len(tokens) - 1)]
            close(loss, np.mean(expected), 1e-12)
    with pytest.raises(
        ValueError, match="texts must hold at least 12 tokens each, got one of 8"
    ):
        loss_without(params, config, texts, 0, 9, 0)


def test_one_number_of_the_real_model_decides_in_other_texts_too(real):
    texts = [tokens_of(text.text, real.tokenizer)[:40] for text in short_texts()[1::5]]
    intact, without, beside = (
        loss_without(real.params, real.config, texts, layer, 0, feature)
        for layer, feature in ((None, 0), (12, 507), (12, 508))
    )
    assert np.all(without > np.log(real.config.vocab_size))
    assert np.all(np.abs(beside - intact) < 0.1)


# Embeddings


def test_random_cosines_are_of_different_rows(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(5, 3))
    found = random_cosines(rows, 400, np.random.default_rng(1))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    possible = (unit @ unit.T)[np.triu_indices(5, k=1)]
    assert {round(x, 10) for x in found} == {round(x, 10) for x in possible}


def test_the_effective_dimension_is_the_participation_ratio_of_the_variances():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(300, 6)) * [3, 2, 1, 1, 0.1, 0] + 5
    variances = np.linalg.eigvalsh(np.cov(rows.T))
    close(effective_dimension(rows), variances.sum() ** 2 / (variances**2).sum(), 1e-12)
    # Gaussian rows in d dimensions, n of them: d n / (d + n), about.
    found = effective_dimension(rng.normal(size=(400, 100)))
    close(found, 100 * 400 / 500, 0.02)


def test_analogies_by_hand():
    letters = BPETokenizer([(b" ", bytes([i])) for i in b"abcdx"], ["<|endoftext|>"])
    rows = np.tile([0.0, 0.0, 0.0, 1.0], (letters.vocab_size, 1))
    for word, row in {"a": [1, 0, 0, 0], "b": [1, 1, 0, 0], "c": [0, 0, 1, 0]}.items():
        rows[letters.encode(f" {word}")] = row
    rows[letters.encode(" d")] = [-0.3, 0.7, 1, 0]  # about c + b/|b| - a
    rows[letters.encode(" x")] = [0.1, 0.1, 1, 0]
    # Other spellings of the third word, which are left out as it is.
    rows[letters.encode("c")] = rows[letters.encode("C")] = [-0.3, 0.7, 1, 0]
    rows[letters.encode("A")] = rows[letters.encode("B")] = [0, 0, 1, 0]
    result = analogies(rows, letters, "a b c d, a bb c d")
    assert result.words == [("a", "b", "c", "d")]  # bb is no single token
    assert (result.found, result.nearest) == (["d"], ["x"])
    assert result.right(result.found).tolist() == [True]
    assert result.right(result.nearest).tolist() == [False]


def test_the_spellings_that_are_left_out_are_those_of_the_three_words_only():
    letters = BPETokenizer([(b" ", bytes([i])) for i in b"abcdx"])
    rows = np.tile([0.0, 0.0, 1.0], (letters.vocab_size, 1))
    for word, row in {" a": [1, 0, 0], " b": [1, 1, 0], " c": [0, 1, 0]}.items():
        rows[letters.encode(word)] = row
    rows[letters.encode("D")] = [-0.3, 1.7, 0]
    assert analogies(rows, letters, "a b c d").found == [
        "D"
    ]  # another word's, not left out
    rows[letters.encode("X")] = [-0.2, 1.7, 0]
    assert analogies(rows, letters, "a b c x").nearest == ["X"]


def test_the_real_models_vectors_share_a_direction_and_calculate(real):
    table = real.params["embed_tokens.weight"]
    centred = table - table.mean(axis=0)
    rng = np.random.default_rng(9)
    assert random_cosines(table, 5000, rng).mean() > 0.35
    found = random_cosines(centred, 5000, rng)
    assert abs(found.mean()) < 0.01
    assert found.std() > 2 / np.sqrt(576)
    assert 50 < effective_dimension(table) < 100
    half = ",".join(ANALOGIES.split(",")[::2])
    result = analogies(centred, real.tokenizer, half)
    by_difference, neighbours = map(result.right, (result.found, result.nearest))
    assert by_difference.sum() > 2 * neighbours.sum()
    for words, *guesses in zip(*result, strict=True):
        asked_with = {word.lower() for word in words[:3]}
        assert not asked_with & {guess.lower() for guess in guesses}


# Choices


def test_choices_equal_a_loop(model):
    params, config, _ = model
    texts = [tokens_of(text, LETTERS) for text in ("the moon", "a wheel")]
    found = read_choices(params, config, texts, (0.5, 2.0), (0.3, 0.8))
    for read, tokens in zip(found, texts, strict=True):
        logits = forward(config, params, tokens)
        for i, came in enumerate(tokens[1:]):
            for column, t in enumerate((0.5, 2.0)):
                p = scipy.special.softmax(logits[i] / t)
                close(read.entropy[i, column], scipy.stats.entropy(p), 1e-10)
            p = scipy.special.softmax(logits[i])
            for column, share in enumerate((0.3, 0.8)):
                kept = top_p_filter(logits[i], share)
                assert read.nucleus[i, column] == np.sum(np.isfinite(kept))
                # What came is cut off where what is before it has the share already.
                assert (read.before[i] >= share) == np.isinf(kept[came])
            close(read.confidence[i], p.max())
            assert read.right[i] == (np.argmax(p) == came)


def test_reliability_counts_in_bins():
    def read(confidence, right):
        n = len(right)
        return Choices(
            np.zeros((n, 1)),
            np.zeros((n, 1)),
            np.zeros(n),
            np.asarray(confidence),
            np.asarray(right),
        )

    choices = [
        read([0.1, 0.3, 0.3, 0.9], [False, True, False, True]),
        read([0.3, 0.95], [True, True]),
    ]
    found = reliability(choices, [0, 0.2, 0.5, 0.7, 1.01], np.random.default_rng(0))
    assert found.count.tolist() == [1, 3, 0, 2]
    close(found.confidence[[0, 1, 3]], [0.1, 0.3, 0.925])
    close(found.right[[0, 1, 3]], [0, 2 / 3, 1])
    assert (found.low[1], found.high[1]) == (0.5, 1.0)
    assert np.isnan(found.right[2])


def test_the_real_model_is_surer_than_right_on_the_other_half_of_each_text_too(real):
    texts = [tokens_of(text.text, real.tokenizer) for text in short_texts()[::3]]
    read = read_choices(real.params, real.config, [t[:60] for t in texts])
    confidence, right = (
        np.concatenate([getattr(r, name)[20:] for r in read])
        for name in ("confidence", "right")
    )
    assert confidence.mean() > right.mean() + 0.03
    assert np.mean(np.concatenate([r.before[20:] for r in read]) >= 0.9) > 0.1


# Repetition


def test_repeated_shares_by_hand():
    assert repeated_share(np.asarray([1, 2, 3, 4, 5])) == 0
    close(repeated_share(np.asarray([1, 2, 3, 4, 1, 2, 3, 4, 1])), 1 - 4 / 6)
    with pytest.raises(ValueError, match="tokens must hold at least 4 tokens, got 3"):
        repeated_share(np.asarray([1, 2, 3]))


def test_losses_when_repeated_equal_a_loop(model):
    params, config, _ = model
    sentence = np.asarray(LETTERS.encode(" he moos"))
    losses = losses_when_repeated(params, config, MARK, [sentence], 3)
    tokens = [MARK, *sentence, *sentence, *sentence]
    rows = scipy.special.log_softmax(
        forward(config, params, np.asarray(tokens)), axis=1
    )
    each = [-rows[i, tokens[i + 1]] for i in range(len(tokens) - 1)]
    close(losses[0], np.mean(np.reshape(each, (3, -1)), axis=1), 1e-12)


def test_the_real_model_expects_what_it_has_read(real):
    sentences = [
        real.tokenizer.encode(f" {text.text[60:120]}") for text in short_texts()[1::5]
    ]
    losses = losses_when_repeated(
        real.params, real.config, 0, list(map(np.asarray, sentences)), 3
    )
    assert np.all(np.diff(losses, axis=1) < 0)
    assert np.all(losses[:, 1] < losses[:, 0] / 2)


def test_kept_repetition_is_what_the_command_would_make():
    kept = load_kept("repetition")
    assert kept["command"] == "python -m lmmath.experiments.repetition"
    assert kept["shares"].keys() == {"the texts themselves", *WAYS}
    tokenizer = BPETokenizer.from_gguf(find_smollm2())
    own = [
        repeated_share(tokens_of(text.text, tokenizer)[N_PROMPT:])
        for text in short_texts()
    ]
    close(kept["shares"]["the texts themselves"][0], own)
    for name, runs in kept["shares"].items():
        assert all(len(run) == 16 for run in runs), name
    greedy, careful, free = (np.mean(kept["shares"][name]) for name in WAYS)
    assert greedy > careful > free


# Distances


def test_previous_token_scores_equal_a_loop(model):
    params, config, _ = model
    texts = [tokens_of(text, LETTERS) for text in ("the moon", "a wheel")]
    scores, even = previous_token_scores(params, config, texts)
    for row, tokens in zip(scores, texts, strict=True):
        _, attention = trace(config, params, tokens)
        for layer, weights in enumerate(attention):
            expected = [weights[:, i, i - 1] for i in range(1, len(tokens))]
            close(row[layer], np.mean(expected, axis=0))
    close(
        even, np.mean([np.mean([1 / (i + 1) for i in range(1, len(t))]) for t in texts])
    )


def test_scores_by_distance_equal_a_loop_and_are_foretold_where_all_words_are_alike():
    rng = np.random.default_rng(5)
    config = LlamaConfig(259, 90, 8, n_layers=2, n_heads=2, d_ff=6, n_kv_heads=1)
    params = {
        n: a + 0.5 * rng.normal(size=a.shape)
        for n, a in init(config, rng, np.float64).items()
    }
    tokens = tokens_of("the moon is a wheel", LETTERS)
    (first, measured), _ = scores_by_distance(
        params, config, [tokens], [(0, 1), (1, 1)], 5
    )
    residuals, _ = trace(config, params, tokens)
    block = subset(params, "layers.1.")
    x = rms_norm(residuals[1], block["input_layernorm.weight"], config.eps)
    q, k = (
        x @ block["self_attn.q_proj.weight"][:, 4:],
        x @ block["self_attn.k_proj.weight"],
    )
    turn = np.exp(1j * np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(2) / 2))
    q, k = ((part[:, 0::2] + 1j * part[:, 1::2]) * turn for part in (q, k))
    for d in range(5):
        scores = [
            np.real(np.sum(q[i] * np.conj(k[i - d]))) / 2 for i in range(d + 1, len(x))
        ]
        close(measured[d], np.mean(scores), 1e-12)
    (alone,), _ = scores_by_distance(params, config, [tokens], [(0, 1)], 5)
    close(first, alone, 1e-12)
    # Of one word again and again, the first layer's queries and keys are all the same.
    alike = np.full(30, 77)
    measured, foretold = scores_by_distance(params, config, [alike], [(0, 1)], 9)
    close(measured, foretold, 1e-10)


def test_losses_at_other_positions_are_those_of_the_model():
    config = LlamaConfig(259, 90, 8, n_layers=2, n_heads=2, d_ff=6)
    params = init(config, np.random.default_rng(0), np.float64)
    params = {n: 4 * a for n, a in params.items()}
    tokens = tokens_of("the moon is a wheel", LETTERS)
    moved, apart = (
        losses_at_positions(params, config, [tokens], place)[0]
        for place in (lambda p: p + 7, lambda p: 3 * p)
    )
    rows = scipy.special.log_softmax(forward(config, params, tokens), axis=1)
    expected = -np.mean([rows[i, tokens[i + 1]] for i in range(len(tokens) - 1)])
    close(moved, expected, 1e-10)
    assert abs(apart - expected) > 1e-6


def test_positions_of_the_real_model_count_by_their_differences(real):
    texts = [tokens_of(text.text, real.tokenizer)[:40] for text in short_texts()[2::5]]
    as_they_are, moved, same, shuffled = (
        losses_at_positions(real.params, real.config, texts, place)
        for place in (
            lambda p: p,
            lambda p: p + 55_555,
            lambda p: 0 * p,
            np.random.default_rng(6).permutation,
        )
    )
    close(moved, as_they_are, 1e-3)
    assert np.all(same > as_they_are + 0.5)
    assert np.all(shuffled > same)


def test_the_real_models_previous_token_heads_point_one_place_back(real):
    texts = [tokens_of(text.text, real.tokenizer)[:40] for text in short_texts()[2::5]]
    scores, even = previous_token_scores(real.params, real.config, texts)
    order = best_heads(scores.mean(axis=0), 270)
    measured, foretold = scores_by_distance(
        real.params, real.config, texts, order[:3] + order[3::9], 15
    )
    for layer, head in order[:3]:
        assert np.all(scores[:, layer, head] > 5 * even)
    assert np.all(np.argmax(measured[:3], axis=1) == 1)
    assert np.all(np.argmax(foretold[:3], axis=1) == 1)
    errors = np.abs(measured - foretold).max(axis=1) / np.ptp(measured, axis=1)
    assert np.all(errors[:3] < 0.05)
    assert np.median(errors[3:]) > 4 * errors[:3].max()


def test_what_does_not_turn_or_is_too_short_is_named():
    params = init(GPT, np.random.default_rng(0))
    with pytest.raises(TypeError, match="config must be a LlamaConfig, got GPTConfig"):
        scores_by_distance(params, GPT, [np.arange(9)], [(0, 0)], 3)
    params = init(LLAMA, np.random.default_rng(0))
    with pytest.raises(
        ValueError, match="texts must hold at least 5 tokens each, got one of 4"
    ):
        scores_by_distance(params, LLAMA, [np.arange(4)], [(0, 0)], 3)


# Bits


def test_text_losses_equal_a_loop(model):
    params, config, tokenizer = model
    texts = ["the moon", "é is two bytes"]
    found = text_loss(params, config, tokenizer, texts)
    for nats, bits, text in zip(*found, texts, strict=True):
        tokens = tokens_of(text, tokenizer)
        rows = scipy.special.log_softmax(forward(config, params, tokens), axis=1)
        losses = [-rows[i, tokens[i + 1]] for i in range(len(tokens) - 1)]
        close(nats, np.mean(losses), 1e-12)
        close(bits, np.sum(losses) / np.log(2) / len(text.encode("utf-8")), 1e-12)


def test_the_unigram_loss_leaves_each_text_out():
    found = unigram_loss(LETTERS, ["ab", "aac", "a"])
    size = LETTERS.vocab_size
    close(found.nats_per_token[0], -np.mean(np.log(np.asarray([4, 1]) / (4 + size))))
    close(found.nats_per_token[2], -np.log(4 / (5 + size)))
    close(found.bits_per_byte, found.nats_per_token / np.log(2))


def test_compressors_are_those_of_python():
    text = "the same again, " * 40
    bits = compressed_bits([text])
    header = len(zlib.compress(b""))
    close(bits["zlib"], [8 * (len(zlib.compress(text.encode())) - header) / len(text)])
    assert all(0 < value[0] < 2 for value in bits.values())


def test_the_real_model_needs_fewer_bits_than_simple_guesses_on_the_rest_of_each_text(
    real,
):
    rests = [text.text[-300:] for text in short_texts()[::2]]
    found = text_loss(*real, rests).bits_per_byte
    assert np.all(found < unigram_loss(real.tokenizer, rests).bits_per_byte - 1)
    assert np.all(found < compressed_bits(rests)["zlib"] - 2)


# Languages


def test_sentences_are_counted_one_by_one():
    assert {len(own) for own in SENTENCES.values()} == {5}
    counts = token_counts(LETTERS, SENTENCES)
    for language, own in SENTENCES.items():
        assert counts[language].tolist() == [len(LETTERS.encode(text)) for text in own]


def test_hindi_gets_cheaper_with_each_published_list_in_every_sentence():
    prices = []
    for name in ("gpt2", "cl100k", "o200k"):
        counts = token_counts(load_published(name), SENTENCES)
        prices.append(counts["Hindi"] / counts["English"])
    assert np.all(np.diff(prices, axis=0) < -1)


# Gates


def test_neurons_for_a_share_equal_a_loop():
    values = np.random.default_rng(1).normal(size=(3, 4, 30))
    found = neurons_for(values, 0.7)
    for place in np.ndindex(3, 4):
        squares = sorted(values[place] ** 2, reverse=True)
        count = next(k for k in range(1, 31) if sum(squares[:k]) >= 0.7 * sum(squares))
        assert found[place] == count
    with pytest.raises(
        ValueError, match=r"share must be a number .* below 1, got 1\.5"
    ):
        neurons_for(values, 1.5)


def test_the_active_share_is_the_mean_over_tokens_but_the_first(model):
    params, config, _ = model
    tokens = tokens_of("the moon", LETTERS)
    shares = active_share(params, config, [tokens], 0.5)
    for layer, h in enumerate(activations(config, params, tokens)):
        counts = [neurons_for(row, 0.5) for row in h[1:]]
        close(shares[0, layer], np.mean(counts) / config.d_ff)


def test_the_real_models_last_layers_are_more_selective_than_random_gates(real):
    texts = [tokens_of(text.text, real.tokenizer)[:40] for text in short_texts()[1::5]]
    shares = active_share(real.params, real.config, texts)
    z, u = np.random.default_rng(2).normal(size=(2, 200, 1536))
    by_chance = [
        neurons_for(silu(center + spread * z) * u).mean() / 1536
        for center, spread in [(0, 0.1), (0, 1), (0, 2), (-1, 1), (-1, 2)]
    ]
    assert np.all(shares[:, [-2, -1]] < min(by_chance))
    assert np.all(shares[:, 0] < 0.1)
    assert min(by_chance) < shares[:, 1:-2].mean() < max(by_chance)


# Context


def test_losses_by_context_equal_a_loop(model):
    params, config, _ = model
    tokens = np.asarray(LETTERS.encode("the moon is a wheel and the wheel is a moon"))
    places = places_in(tokens, 5, 4, np.random.default_rng(0))
    assert places.min() >= 5
    assert len(set(places.tolist())) == 4
    for begin in (None, MARK):
        losses = losses_by_context(params, config, tokens, places, [1, 5], begin)
        for row, t in zip(losses, places, strict=True):
            for loss, k in zip(row, (1, 5), strict=True):
                seen = (
                    tokens[t - k : t] if begin is None else [begin, *tokens[t - k : t]]
                )
                logits = forward(config, params, np.asarray(seen))[-1]
                close(loss, -scipy.special.log_softmax(logits)[tokens[t]], 1e-12)
    with pytest.raises(
        ValueError, match="places must have 5 tokens before them, got 3"
    ):
        losses_by_context(params, config, tokens, [3], [5])
    with pytest.raises(
        ValueError, match="tokens must have 4 places with 3 before them, got 1"
    ):
        places_in(np.arange(4), 3, 4, np.random.default_rng(0))


def test_kept_context_is_what_the_command_would_make(real):
    kept = load_kept("context")
    assert kept["command"] == "python -m lmmath.experiments.context"
    assert kept["contexts"] == list(CONTEXTS)
    assert [len(losses) for losses in kept["losses"]] == [N_PLACES, N_PLACES]
    begin, *tokens = tokens_of(long_texts()[0].text, real.tokenizer)
    tokens = np.asarray(tokens)
    places = places_in(
        tokens, max(CONTEXTS), N_PLACES, np.random.default_rng(kept["seed"])
    )
    again = losses_by_context(real.params, real.config, tokens, places, [1, 16], begin)
    columns = [CONTEXTS.index(1), CONTEXTS.index(16)]
    close(np.asarray(kept["losses"][0])[:, columns], again, 2e-3)
